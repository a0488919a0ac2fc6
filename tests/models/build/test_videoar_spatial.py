"""A world of VideoAR with a memory in space from its folder: what it tells of its memory, and what
does not fit.
"""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from models.build.networks import settings_to_dict
from models.build.videoar import refuse_view
from models.build.videoar_spatial import build_videoar_spatial, check_sizes
from models.spatial.config import SpaceConfig
from tests.support.videoar_spatial_worlds import SIZE, small_settings
from worldsim.attention_probe import Watch
from worldsim.memory_levels import recollect
from worldsim.world.checkpoint import WorldError
from worldsim.world.depth_view import read_depth_view
from worldsim.world.memory_map import draw_map, format_points
from worldsim.world.model import load_world


@pytest.fixture(scope="module")
def world(tiny_videoar_spatial_world):
    return load_world(tiny_videoar_spatial_world)


@pytest.fixture
def state(world):
    spawn = world.spawns[0]
    return world.reset(spawn.frames[None], spawn.actions[None], [0])


def test_what_it_remembers_is_told(world, state):
    watch = Watch()
    with watch:
        state, frames = world.step(state, [2])
    assert (frames.shape, frames.dtype) == ((1, SIZE, SIZE, 3), np.uint8)
    levels = recollect(world, state)
    assert [level.name for level in levels] == ["window", "frame", "bank"]
    assert sorted(levels[0].frames) == [2, 3, 4]
    assert sorted(levels[2].frames)[-5:] == [0, 1, 2, 3, 4]
    window, frame, bank = watch.heats(levels)
    assert sum(window + frame) == pytest.approx(1, abs=1e-4)
    assert set(bank) == {None}


def test_its_memory_is_seen_from_above_and_written_as_points(world, state):
    assert draw_map(world, state, 64, 4.0).shape == (64, 64, 3)
    assert format_points(world, state).startswith(b"ply")
    view = read_depth_view(world, state)
    assert np.array_equal(view.inverse_depth, state.carry.inverse_depth[0].numpy())
    assert (view.field_of_view, view.far) == (73.0, world.dynamics.far)


def test_a_state_tells_what_was_seen(world, state):
    state, _ = world.step(state, [2])
    assert state.seen.shape == (1, SIZE, SIZE)
    assert np.array_equal(np.asarray(state.seen), state.carry.seen.numpy())
    assert state.poses.shape == (1, 3)


SETTINGS = small_settings()


@pytest.mark.parametrize(
    ("part", "change", "told"),
    [
        ("network", {"view_scales": 0}, r"network\.view_scales must be in \[1, 3\].*got 0"),
        ("network", {"view_scales": 4}, r"network\.view_scales must be in \[1, 3\].*got 4"),
        ("network", {"context": "scales"}, r"network\.context must be 'whole'.*got 'scales'"),
        ("depth", {"frame_size": 64}, r"depth\.frame_size must be 32"),
        ("odometry", {"actions": 3}, r"odometry\.actions must be 4"),
        ("codec", {"patch": 4, "frame_size": 16}, r"depth\.frame_size must be 16"),
        ("quantizer", {"channels": 6}, r"quantizer\.channels must be 8"),
    ],
)
def test_parts_that_do_not_fit_are_refused(part, change, told):
    changed = replace(getattr(SETTINGS, part), **change)
    with pytest.raises(ValueError, match=told):
        check_sizes(SETTINGS._replace(**{part: changed}))


def test_cells_without_room_for_the_mask_are_refused():
    codec = replace(SETTINGS.codec, patch=4, frame_size=16)
    depth = replace(SETTINGS.depth, frame_size=16)
    with pytest.raises(ValueError, match=r"codec\.patch must be a multiple of 8, got 4"):
        check_sizes(SETTINGS._replace(codec=codec, depth=depth))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"slots": 16}, "slots must be > 16"),
        ({"sources": 0}, "sources must be >= 1"),
        ({"field_of_view": 5.0}, r"field_of_view must be in \[10, 150\]"),
    ],
)
def test_memories_that_cannot_be_are_refused(change, told):
    with pytest.raises(ValueError, match=told):
        SpaceConfig(**change)


def test_a_network_that_is_told_views_needs_a_memory():
    with pytest.raises(ValueError, match="view_scales must be 0 without a memory in space"):
        refuse_view(SETTINGS.network)
    with pytest.raises(ValueError, match="view_scales must be >= 0"):
        replace(SETTINGS.network, view_scales=-1)


def test_a_card_that_describes_no_network_is_refused(world):
    told = settings_to_dict(SETTINGS)
    card = dataclasses.replace(world.card, settings={**told, "memory": {}, "codec": {}})
    with pytest.raises(WorldError, match="does not describe a network"):
        build_videoar_spatial(card, {}, "cpu")
