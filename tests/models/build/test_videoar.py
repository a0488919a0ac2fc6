"""A VideoAR world from its folder: played, forked, saved, remembered; what does not fit is told."""

import dataclasses

import numpy as np
import pytest

from models.build.networks import settings_to_dict
from models.build.videoar import (
    build_videoar,
    check_tokenizer,
    settings_from_dict,
)
from models.codec.causal_autoencoder import CausalAutoencoderConfig
from models.codec.multiscale_quantizer import QuantizerConfig
from tests.support.videoar_worlds import small_settings, write_videoar_world
from worldsim.attention_probe import Watch
from worldsim.memory_levels import recollect
from worldsim.world.batching import concat
from worldsim.world.checkpoint import WorldError
from worldsim.world.model import load_world


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videoar")
    write_videoar_world(folder)
    return load_world(folder)


def begin(world, seeds=(0,)):
    spawn = world.spawns[0]
    frames = np.repeat(spawn.frames[None], len(seeds), axis=0)
    actions = np.repeat(spawn.actions[None], len(seeds), axis=0)
    return world.reset(frames, actions, seeds)


def test_it_is_played(world):
    state = begin(world)
    for action in (2, 0, 1):
        state, frames = world.step(state, [action])
        assert (frames.shape, frames.dtype) == ((1, 32, 32, 3), np.uint8)


@pytest.mark.parametrize("steps", [1, 2, 3, 8])
def test_any_number_of_steps_works(world, steps):
    _, frames = world.step(begin(world), [2], steps=steps)
    assert frames.shape == (1, 32, 32, 3)


def test_forks_and_saved_states_go_on_alike(world, tmp_path):
    state, _ = world.step(begin(world), [2])
    fork = state.fork()
    state.save(tmp_path / "state")
    read = world.load_state(tmp_path / "state")
    made = [world.step(one, [0])[1] for one in (state, fork, read)]
    assert np.array_equal(made[0], made[1])
    assert np.array_equal(made[0], made[2])


def test_dreams_of_different_frames_share_a_batch(world):
    late = begin(world, seeds=(1,))
    for action in (1, 2):
        late, _ = world.step(late, [action])
    together, alone = concat([begin(world), late]), [begin(world), late.fork()]
    for action in (0, 2, 1):
        together, frames = world.step(together, [action, action])
        for row, one in enumerate(alone):
            alone[row], frame = world.step(one, [action])
            assert np.array_equal(frames[row], frame[0])


def test_what_it_remembers_is_told(world):
    state, watch = begin(world), Watch()
    with watch:
        state, _ = world.step(state, [2])
    levels = recollect(world, state)
    assert [level.name for level in levels] == ["window", "frame"]
    assert sorted(levels[0].frames) == [2, 3, 4]
    heats = watch.heats(levels)
    assert sum(sum(part) for part in heats) == pytest.approx(1, abs=1e-4)


def test_settings_come_back():
    settings = small_settings()
    assert settings_from_dict(settings_to_dict(settings)) == settings
    causal = CausalAutoencoderConfig(
        frame_size=32, channels=8, multipliers=(1, 1, 1, 1), time_kernel=1, time_stride=1
    )
    settings = settings._replace(codec=causal)
    assert settings_from_dict(settings_to_dict(settings)) == settings


def test_parts_that_do_not_fit_are_refused(world):
    quantizer = QuantizerConfig(channels=6, scales=((1, 1), (4, 4)))
    with pytest.raises(ValueError, match=r"quantizer\.channels must be 8"):
        check_tokenizer(small_settings().codec, quantizer)
    quantizer = QuantizerConfig(channels=8, scales=((1, 1), (8, 8)))
    with pytest.raises(ValueError, match=r"must be \(4, 4\)"):
        check_tokenizer(small_settings().codec, quantizer)
    card = dataclasses.replace(world.card, settings={"codec": {}})
    with pytest.raises(WorldError, match="does not describe a network"):
        build_videoar(card, {}, "cpu")
