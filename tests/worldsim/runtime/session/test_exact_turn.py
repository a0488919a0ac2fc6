"""A session turned by the mouse in a world with continuous actions."""

import numpy as np
import pytest

from envs.world_model import WorldModelEnv
from tests.support.players import Played
from worldsim.runtime.core.control import Keyboard, Script
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.panels.return_walk import undo_taken
from worldsim.runtime.session.loading import LoadedWorld
from worldsim.world.model import load_world

LEFT, RIGHT, FORWARD, STAND = range(4)


@pytest.fixture
def opening(tiny_spatial_world):
    place = PlayableEnv(WorldModelEnv(load_world(tiny_spatial_world)), "FARDMLab-v0", {})
    yield LoadedWorld(place)
    place.close()


def taken(played):
    return [step.move.taken for step in played.seen.steps]


def drag(played, angle):
    played.session.command_queue.put("turn", (0.0, ((angle, 0.0),)))


def test_the_mouse_turns_by_the_angle_while_a_key_walks(opening):
    keyboard = Keyboard()
    played = Played(opening, keyboard).ticks(1)
    drag(played, 30.0)
    played.ticks(3)
    assert taken(played) == [(22.5, 0.0), (7.5, 0.0)]
    turned = played.seen.steps[-1].pose[2] - played.seen.lines[0].pose[2]
    assert turned == pytest.approx(np.radians(30), abs=1e-5)
    played.press("w")
    drag(played, -5.0)
    played.ticks(2)
    assert taken(played)[2:] == [(-5.0, 1.0), FORWARD]


def test_going_back_forgets_what_was_not_turned_yet(opening):
    played = Played(opening, Keyboard()).ticks(1)
    drag(played, 100.0)
    played.ticks(2)
    made = len(played.seen.steps)
    assert made == 2
    played.session.rewind(1)
    played.settle()
    played.ticks(3)
    assert len(played.seen.steps) == made


def test_a_way_of_numbers_is_walked_back(opening):
    """Out and back by dead reckoning: the untrained odometry moves by prototypes alone."""
    way = [(10.0, 0.0), (5.0, 0.0), LEFT]
    played = Played(opening, Script(way)).ticks(1 + len(way))
    played.tap("f10")
    played.ticks(30)
    assert taken(played)[3:] == [LEFT] * 8 + [RIGHT, (-5.0, 0.0), (-10.0, 0.0)] + [LEFT] * 8
    heading = played.seen.steps[-1].pose[2] - played.seen.lines[0].pose[2]
    assert np.cos(heading) == pytest.approx(1, abs=1e-4)


def test_who_looks_back_turns_before_the_stride_that_came_first():
    assert undo_taken([(10.0, 0.5), FORWARD, LEFT], LEFT, RIGHT) == [
        RIGHT,
        FORWARD,
        (-10.0, 0.0),
        (0.0, 0.5),
    ]
