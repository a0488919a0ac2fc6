"""The way to a clicked place: turns first, then strides, and an end in every case."""

import math

import numpy as np
import pytest

from worldsim.actions import load_actions
from worldsim.runtime.core.click_walk import ClickWalk

LEFT, RIGHT, FORWARD = range(3)
STRIDE = 0.38


def follow(walk, actions, wall=math.inf, most=200):
    """The moves of a walk in a field that ends at x = wall, from the origin, and its last place."""
    x = y = heading = 0.0
    made = []
    while (action := walk.choose(np.float32([x, y, heading]))) is not None:
        made.append(action)
        assert len(made) < most, "the walk does not end"
        heading += actions.turns[action]
        if not actions.turns[action]:
            x = min(x + STRIDE * math.cos(heading), wall)
            y += STRIDE * math.sin(heading)
    return made, (x, y)


@pytest.mark.parametrize("name", ["dmlab", "minecraft"])
@pytest.mark.parametrize("known", [(), (STRIDE, 0.1)], ids=["first stride", "later"])
def test_every_place_is_reached_however_it_lies(name, known):
    """Turns are coarse, so it is aimed again on the way, and no place is circled round."""
    actions = load_actions(name)
    for seed in range(60):
        target = tuple(np.random.default_rng(seed).uniform(-4, 4, 2).tolist())
        walk = ClickWalk(target, actions, known)
        made, end = follow(walk, actions)
        assert math.dist(end, target) <= STRIDE
        assert not walk.blocked
        turns = [action for action in made if actions.turns[action]]
        shortest = math.hypot(*target) / STRIDE
        assert len(made) - len(turns) <= 1.1 * shortest + 2


def test_as_many_turns_as_the_angle_asks_and_then_strides():
    actions = load_actions("dmlab")
    made, _ = follow(ClickWalk((0.0, 2.0), actions), actions)
    assert made == [LEFT] * 4 + [FORWARD] * 5
    made, _ = follow(ClickWalk((0.0, -2.0), actions), actions)
    assert made == [RIGHT] * 4 + [FORWARD] * 5
    made, _ = follow(ClickWalk((-2.0, 0.01), actions), actions)
    assert made == [LEFT] * 8 + [FORWARD] * 5


def test_a_wall_ends_it_and_only_one_far_before_the_place_is_told():
    actions = load_actions("dmlab")
    walk = ClickWalk((3.0, 0.0), actions)
    made, end = follow(walk, actions, wall=1.0)
    assert made == [FORWARD] * 4  # the third is cut short, the fourth moves nothing
    assert (end, walk.blocked) == ((1.0, 0.0), True)
    walk = ClickWalk((1.3, 0.0), actions)  # the wall itself was clicked on
    follow(walk, actions, wall=1.0)
    assert not walk.blocked


def test_a_wall_right_ahead_is_one_try():
    actions = load_actions("dmlab")
    assert follow(ClickWalk((3.0, 0.0), actions), actions, wall=0.0)[0] == [FORWARD]


def test_a_place_underfoot_asks_for_nothing():
    assert ClickWalk((0.01, 0.0), load_actions("dmlab")).choose(np.zeros(3)) is None


def test_a_world_that_only_watches_leads_nowhere():
    with pytest.raises(ValueError, match="do not walk and turn"):
        ClickWalk((1.0, 0.0), load_actions("watch"))
