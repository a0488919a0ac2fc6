"""A mouse turns by the angle where a world can: bounded in each frame, beside what else is done."""

import numpy as np
import pytest

from envs.world_model import WorldModelEnv
from tests.support.players import Played
from worldsim.actions import load_actions, parse_actions
from worldsim.controls import ControlLimits
from worldsim.runtime.core.control import Choice, Keyboard, Script
from worldsim.runtime.core.exact_turn import MOST, ExactTurn
from worldsim.runtime.core.mouse_turn import MouseTurn
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.session.loading import LoadedWorld
from worldsim.world.model import load_world

ACTIONS = load_actions("dmlab")
LIMITS = ControlLimits(turn=22.5, stride=1.0)
LEFT, RIGHT, FORWARD, STAND = range(4)


def join(turn, choice=None):
    made = turn.join(choice, ACTIONS, LIMITS)
    return made and made.control


def test_an_angle_takes_as_many_frames_as_it_needs():
    turn = ExactTurn()
    turn.add(50, LIMITS)
    assert [join(turn) for _ in range(4)] == [(22.5, 0), (22.5, 0), (5, 0), None]
    turn.add(-3, LIMITS)
    assert join(turn) == (-3, 0)


def test_a_held_key_goes_on_meanwhile():
    turn = ExactTurn()
    turn.add(10, LIMITS)
    walk = turn.join(Choice(action=FORWARD, pressed_at=2.5), ACTIONS, LIMITS)
    assert walk == Choice(action=FORWARD, control=(10, 1), pressed_at=2.5)
    untouched = Choice(action=FORWARD)
    assert turn.join(untouched, ACTIONS, LIMITS) is untouched


def test_a_turn_by_keys_adds_to_it():
    turn = ExactTurn()
    turn.add(10, LIMITS)
    assert join(turn, Choice(action=LEFT)) == (22.5, 0)  # all that a frame can do is taken
    assert join(turn) == (10, 0)
    turn.add(10, LIMITS)
    assert join(turn, Choice(action=RIGHT)) == (-12.5, 0)
    turn.add(10, LIMITS)
    assert join(turn, Choice(action=STAND, control=(5.0, 0.5))) == (15, 0.5)


def test_more_than_half_a_turn_is_not_kept():
    turn = ExactTurn()
    turn.add(10_000, LIMITS)
    made = 0
    while join(turn):
        made += 1
    assert made == MOST
    turn.add(10, LIMITS)
    turn.drop()
    assert join(turn) is None


def test_a_move_that_no_number_says_is_left_alone():
    names = (("left", 9), ("right", -9), ("forward", 0), ("jump", 0))
    rows = [{"name": name, "keys": [], "turn": turn} for name, turn in names]
    actions = parse_actions("a", {"actions": rows, "idle": None, "published": 0})
    turn, jump = ExactTurn(), Choice(action=3)
    turn.add(5, LIMITS)
    assert turn.join(jump, actions, LIMITS) is jump
    assert turn.join(None, actions, LIMITS).control == (5, 0)


def test_a_world_without_continuous_actions_is_not_turned_so():
    turn = ExactTurn()
    turn.add(5, LIMITS)
    assert turn.join(None, ACTIONS, None) is None


@pytest.mark.parametrize("pixels", [40, -1])
def test_a_drag_is_one_turn_of_its_angle(pixels):
    mouse = MouseTurn()
    ((angle, stride),) = mouse.drag(pixels, 800, ACTIONS, LIMITS)
    assert (angle, stride) == (pytest.approx(-90 * pixels / 800), 0)
    assert mouse.drag(0, 800, ACTIONS, LIMITS) == ()


# ---- in a session ----


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
