"""Continuous actions in both dynamics with a memory in space: turns and strides as numbers."""

import json

import numpy as np
import pytest

from tests.support.world_walks import dreams_of
from worldsim.controls import name_controls
from worldsim.world.batching import concat
from worldsim.world.card import read_card
from worldsim.world.checkpoint import CARD, hash_world
from worldsim.world.error import WorldError
from worldsim.world.model import load_world

WALK = [(7.5, 0.5), (-22.5, 1.0), (0.0, 0.25), (3.0, 0.0), (0.0, 1.0), (22.5, 0.0)]


@pytest.fixture(scope="module", params=["tiny_spatial_world", "tiny_videoar_spatial_world"])
def world(request):
    return load_world(request.getfixturevalue(request.param))


def go(world, state, controls=WALK):
    """The frames `[T,B,H,W,3]` of a way that all dreams go, and the poses `[T,B,3]`."""
    frames, poses = [], []
    for control in controls:
        state, frame = world.step(state, np.array([control] * state.batch, np.float32))
        frames.append(frame)
        poses.append(state.poses.copy())
    return np.stack(frames), np.stack(poses)


def test_a_control_that_says_what_an_action_does_is_that_action_bit_for_bit(world):
    """So that a recording may tell either, and the nearest id is told to the network."""
    for action, control in enumerate(name_controls(world.actions)):
        by_id, by_number = dreams_of(world), dreams_of(world)
        for _ in range(2):
            by_id, wanted = world.step(by_id, [action] * 2)
            by_number, frames = world.step(by_number, np.stack([control] * 2))
            assert np.array_equal(frames, wanted), world.actions.names[action]
        told, other = by_id.carry.tensors(), by_number.carry.tensors()
        assert all(np.array_equal(told[name], other[name]) for name in told)


def test_a_body_turns_by_the_angle_and_strides_before_it_turns(world):
    state = dreams_of(world)
    before = state.poses.copy()
    _, poses = go(world, state, [(7.5, 0.5)])
    turned = poses[0] - before
    np.testing.assert_allclose(turned[:, 2], np.radians(7.5), atol=1e-6)
    whole = dreams_of(world)
    whole, _ = world.step(whole, [world.actions.id("forward")] * 2)
    far = np.linalg.norm((whole.poses - before)[:, :2], axis=1)
    near = np.linalg.norm(turned[:, :2], axis=1)
    assert (near > 0).any()
    assert (near <= far + 1e-6).all()


def test_dreams_of_a_batch_go_as_each_goes_alone(world):
    frames, poses = go(world, dreams_of(world))
    for row in range(2):
        alone = go(world, dreams_of(world).select([row]))
        assert np.array_equal(frames[:, row : row + 1], alone[0])
        assert np.array_equal(poses[:, row : row + 1], alone[1])


def test_each_dream_of_a_batch_has_a_turn_and_a_stride_of_its_own(world):
    state, controls = dreams_of(world), np.array([(9.0, 0.5), (-3.0, 0.0)], np.float32)
    together, frames = world.step(state.fork(), controls)
    for row in range(2):
        alone, frame = world.step(state.select([row]), controls[row : row + 1])
        assert np.array_equal(frames[row : row + 1], frame)
        assert np.array_equal(together.poses[row : row + 1], alone.poses)


def test_forked_saved_and_joined_dreams_go_on_alike(world, tmp_path):
    state = dreams_of(world)
    go(world, state, WALK[:2])
    state.save(tmp_path / "state")
    others = state.fork(), world.load_state(tmp_path / "state"), concat([state.fork()])
    wanted = go(world, state)
    for other in others:
        assert all(map(np.array_equal, go(world, other), wanted))


def test_true_frames_that_controls_led_to_are_seen_from_where_these_lead(world):
    """A context's turn is the number's, not the nearest action's."""
    spawn = world.spawns[0]
    controls = np.full((1, 3, 2), np.nan, np.float32)
    controls[0, 1] = 5.0, 0.0
    plain = world.reset(spawn.frames[None], np.array([[3, 3, 3]]), [0])
    told = world.reset(spawn.frames[None], np.array([[3, 3, 3]]), [0], controls=controls)
    apart = told.poses - plain.poses
    np.testing.assert_allclose(apart[0, 2], np.radians(5.0), atol=1e-6)
    again = world.reset(spawn.frames[None], np.array([[3, 3, 3]]), [0], np.full((1, 3, 2), np.nan))
    assert np.array_equal(again.poses, plain.poses)


def test_what_no_dream_can_do_is_refused_and_changes_nothing(world):
    state = dreams_of(world)
    refused = {
        r"turn must be in \[-22.5, 22.5\] degrees, got 30": [[30.0, 0.0]] * 2,
        r"stride must be in \[0, 1\], got 2": [[0.0, 0.5], [0.0, 2.0]],
        "actions must be 2, one per dream, got 1": [[0.0, 0.5]],
        "action must be an integer": [0.0, 1.0],
    }
    for said, actions in refused.items():
        with pytest.raises(ValueError, match=said):
            world.step(state, np.array(actions, np.float32))
    with pytest.raises(ValueError, match="ids where poses lead"):
        world.step(state, np.zeros((2, 2), np.float32), poses=np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"context controls must be \[1, 0, 2\]"):
        world.reset(world.spawns[0].frames[None, :1], np.zeros((1, 0), int), [0], np.zeros((1, 2)))
    assert all(map(np.array_equal, go(world, state), go(world, dreams_of(world))))


def test_a_world_without_them_says_so(tiny_world):
    world = load_world(tiny_world)
    with pytest.raises(ValueError, match="has no continuous actions: give ids of actions"):
        world.step(dreams_of(world), np.zeros((2, 2), np.float32))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"turn": 22.5}, "continuous must have the keys turn and stride"),
        ([22.5, 1], "continuous must have the keys turn and stride"),
        ({"turn": 0, "stride": 1}, "continuous.turn must be"),
        ({"turn": 20, "stride": "far"}, "continuous.stride must be"),
    ],
)
def test_a_card_whose_limits_are_none_is_refused(tiny_spatial_world, tmp_path, told, said):
    card = json.loads((tiny_spatial_world / CARD).read_text())
    (tmp_path / CARD).write_text(json.dumps(card | {"continuous": told}))
    with pytest.raises(WorldError, match=said):
        read_card(tmp_path / CARD)


def test_the_limits_are_no_part_of_an_identity(tiny_spatial_world, tmp_path):
    """Saves and recordings of a world that had none belong to it."""
    card = json.loads((tiny_spatial_world / CARD).read_text())
    del card["continuous"]
    (tmp_path / CARD).write_text(json.dumps(card))
    assert read_card(tmp_path / CARD).continuous is None
    digest = "0" * 64
    assert hash_world(tmp_path / CARD, digest) == hash_world(tiny_spatial_world / CARD, digest)
