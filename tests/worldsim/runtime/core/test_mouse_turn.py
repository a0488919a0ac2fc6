"""A drag makes as many turns as its angle says."""

import pytest

from worldsim.actions import load_actions, parse_actions
from worldsim.runtime.core.mouse_turn import MouseTurn

ACTIONS = load_actions("dmlab")  # turns of 22.5 degrees
LEFT, RIGHT = 0, 1


def test_half_a_window_is_two_turns_to_the_right():
    assert MouseTurn().drag(400, 800, ACTIONS) == (RIGHT, RIGHT)


def test_small_moves_add_up_and_moves_back_undo_them():
    mouse = MouseTurn()
    turned = [mouse.drag(-50, 800, ACTIONS) for _ in range(8)]
    assert turned == [(), (), (), (LEFT,)] * 2
    assert mouse.drag(150, 800, ACTIONS) == ()
    assert mouse.drag(-150, 800, ACTIONS) == ()
    mouse.drag(-199, 800, ACTIONS)
    mouse.release()
    assert mouse.drag(-10, 800, ACTIONS) == ()


def test_a_world_that_does_not_turn_is_left_alone():
    row = {"name": "ahead", "keys": ["w"], "turn": 0}
    actions = parse_actions("a", {"actions": [row], "idle": None, "published": 0})
    assert MouseTurn().drag(10_000, 800, actions) == ()


@pytest.mark.parametrize("pixels", [0, 1])
def test_nothing_is_turned_by_next_to_nothing(pixels):
    assert MouseTurn().drag(pixels, 800, ACTIONS) == ()
