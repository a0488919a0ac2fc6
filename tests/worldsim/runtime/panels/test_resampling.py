"""The newest frame sampled again: to be looked at, play goes on as it would have."""

import numpy as np

import worldsim  # noqa: F401  registers the environments
from envs.world_model import WorldModelEnv
from tests.support.players import Played
from worldsim.runtime.core.control import Keyboard
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.session.loading import LoadedWorld


def play(world):
    place = PlayableEnv(WorldModelEnv(world), "FARDMLab-v0", {"world": str(world)})
    return Played(LoadedWorld(place), Keyboard())


def walk(world):
    played = play(world)
    played.session.go([0, 2, 2, 0, 2])
    return played.ticks(6)


def test_other_samples_change_nothing(tiny_spatial_world):
    played, other = (walk(tiny_spatial_world) for _ in range(2))
    before = played.session.frame
    played.tap("f7")
    played.ticks(2)
    first, *samples = (pane.frame for pane in played.panes)
    assert np.array_equal(first, before)
    assert len(samples) == 3
    assert len({frame.tobytes() for frame in (first, *samples)}) == 4
    played.tap("2")
    played.ticks(2)
    assert "only to be looked at" in played.note
    played.tap("1")
    played.ticks(2)
    assert not played.panes
    for one in (played, other):
        one.session.go([2])
        one.ticks(2)
    assert np.array_equal(played.session.frame, other.session.frame)


def test_before_the_first_move_there_is_nothing_to_sample(tiny_spatial_world):
    played = play(tiny_spatial_world).ticks(2)
    played.tap("f7")
    played.ticks(2)
    assert "walk first" in played.note
