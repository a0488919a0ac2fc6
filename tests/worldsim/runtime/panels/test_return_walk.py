"""The last moves are walked back, and the error is told."""

import numpy as np
import pytest

from envs.world_model import WorldModelEnv
from tests.support.players import Played
from worldsim.actions import load_actions
from worldsim.runtime.core.control import Script
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.panels.return_walk import check_turns, undo_taken
from worldsim.runtime.session.loading import LoadedWorld

LEFT, RIGHT, FORWARD, STAND = range(4)


@pytest.fixture
def played(make_fake_world):
    place = PlayableEnv(WorldModelEnv(make_fake_world()), "FARDMLab-v0", {})
    return Played(LoadedWorld(place), Script([FORWARD, LEFT, STAND, FORWARD]))


def test_half_a_turn_the_inverses_in_reverse_half_a_turn(played):
    played.ticks(8)
    assert played.number == 4
    played.tap("f10")
    played.ticks(30)
    half = [LEFT] * 8
    back = [FORWARD, STAND, RIGHT, FORWARD]
    assert played.seen.actions[4:] == [*half, *back, *half]
    assert "4 moves walked back: the picture agrees to" in played.note
    assert "dB" in played.note


def test_only_the_last_sixteen_moves(make_fake_world):
    place = PlayableEnv(WorldModelEnv(make_fake_world()), "FARDMLab-v0", {})
    played = Played(LoadedWorld(place), Script([FORWARD] * 20)).ticks(25)
    played.tap("f10")
    played.ticks(40)
    assert played.number == 20 + 16 + 16


def test_going_elsewhere_ends_it_without_a_word(played):
    played.ticks(8)
    played.tap("f10")
    played.ticks(3)
    played.tap("return")
    played.ticks(30)
    assert played.number == 0
    assert "walked back" not in played.note


def test_before_a_move_there_is_nothing_to_walk_back(make_fake_world):
    place = PlayableEnv(WorldModelEnv(make_fake_world()), "FARDMLab-v0", {})
    played = Played(LoadedWorld(place), Script([])).ticks(2)
    played.tap("f10")
    played.ticks(2)
    assert "nothing to walk back" in played.note


@pytest.mark.parametrize("name", ["dmlab", "minecraft"])
def test_the_bundled_worlds_can(name):
    check_turns(load_actions(name))


def test_turns_that_miss_half_a_turn_cannot():
    from dataclasses import replace

    odd = replace(load_actions("dmlab"), turns=tuple(np.array((1.0, -1.0, 0.0, 0.0))))
    with pytest.raises(ValueError, match="do not turn round"):
        check_turns(odd)


def test_who_looks_back_turns_before_the_stride_that_came_first():
    assert undo_taken([(10.0, 0.5), FORWARD, LEFT], LEFT, RIGHT) == [
        RIGHT,
        FORWARD,
        (-10.0, 0.0),
        (0.0, 0.5),
    ]
