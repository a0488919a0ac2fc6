"""Turns and strides as numbers: what they may be, which action is nearest, kept beside ids."""

import numpy as np
import pytest

from worldsim.actions import load_actions, parse_actions
from worldsim.controls import (
    ControlLimits,
    are_controls,
    find_nearest,
    is_control,
    limit_controls,
    list_actions,
    name_controls,
    split_actions,
)

MAZE, FOREST = load_actions("dmlab"), load_actions("voxel")
LEFT, RIGHT, FORWARD, STAND = range(4)
LIMITS = ControlLimits(turn=22.5, stride=1.0)


def test_a_set_that_turns_both_ways_and_walks_has_limits():
    assert limit_controls(MAZE) == LIMITS
    assert limit_controls(FOREST) == ControlLimits(turn=20.0, stride=1.0)
    assert limit_controls(load_actions("codes4")) is None


@pytest.mark.parametrize(
    ("control", "said"),
    [
        ([23, 0], r"turn must be in \[-22.5, 22.5\] degrees, got 23"),
        ([0, 1.5], r"stride must be in \[0, 1\], got 1.5"),
        ([0, -0.1], r"stride must be in \[0, 1\], got -0.1"),
        ([np.nan, 0], r"turn must be in \[-22.5, 22.5\] degrees, got nan"),
        ([0, np.inf], r"stride must be in \[0, 1\], got inf"),
        ([0], r"must be \[turn in degrees, stride\], got \[0\]"),
        (["a", "b"], r"must be \[turn in degrees, stride\]"),
    ],
)
def test_what_is_out_of_range_is_said_in_a_sentence(control, said):
    with pytest.raises(ValueError, match=said) as caught:
        LIMITS.valid(control)
    assert str(caught.value).endswith(".")


def test_both_ends_are_in_range():
    for end in (LIMITS.lowest, LIMITS.highest):
        assert np.array_equal(LIMITS.valid(end), end)
    odd = ControlLimits(turn=18.3, stride=0.7)  # neither is a float32
    assert np.array_equal(odd.valid(odd.highest), odd.highest)


@pytest.mark.parametrize("limits", [{"turn": 0, "stride": 1}, {"turn": 20, "stride": 1.1}])
def test_limits_that_nothing_could_keep_are_refused(limits):
    with pytest.raises(ValueError, match="must be"):
        ControlLimits(**limits)


@pytest.mark.parametrize("actions", [MAZE, FOREST], ids=["maze", "forest"])
def test_the_control_that_does_what_an_action_does_is_nearest_to_it(actions):
    for action, control in enumerate(name_controls(actions)):
        assert find_nearest(control, actions) == action


def test_the_nearest_action_by_hand():
    near = {(20, 0.1): LEFT, (-12, 0.4): RIGHT, (5, 0.6): FORWARD, (3, 0.2): STAND}
    for control, action in near.items():
        assert find_nearest(control, MAZE) == action


def test_who_does_not_stride_is_told_of_no_step():
    rows = [("forward", 0), ("left", 22.5), ("right", -22.5)]
    table = [{"name": name, "keys": [], "turn": turn} for name, turn in rows]
    restless = parse_actions("a", {"actions": table, "idle": None, "published": 0})
    assert find_nearest((0, 0), restless) != 0
    assert find_nearest((0, 0.1), restless) == 0


def test_only_floats_are_controls():
    """Ids of several dreams are numbers too."""
    assert is_control([0.0, 1.0])
    assert is_control(np.zeros(2, np.float32))
    assert not any(map(is_control, (2, 1.5, [0, 1], np.array([0, 1]), np.float32(1), None, "ab")))
    assert are_controls(np.zeros((3, 2), np.float32))
    assert not any(
        map(are_controls, ([0, 1], np.zeros((3, 2), int), [0.0, 1.0], [[0.0], [1.0, 2.0]]))
    )


def test_ids_and_controls_are_kept_side_by_side():
    taken = [FORWARD, (3.5, 0.75), LEFT, (-22.5, 0.0)]
    ids, controls = split_actions(taken, MAZE)
    assert ids.tolist() == [FORWARD, FORWARD, LEFT, RIGHT]
    assert controls.dtype == np.float32
    assert np.isnan(controls).all(axis=1).tolist() == [True, False, True, False]
    assert list_actions(ids, controls) == taken
    assert split_actions([FORWARD, LEFT], MAZE)[1] is None
    assert list_actions(np.array([1, 2]), None) == [1, 2]
