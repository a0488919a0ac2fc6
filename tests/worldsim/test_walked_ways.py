"""Ways between places that were passed, walked by a body on an empty floor."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse.csgraph import dijkstra

from worldsim.actions import load_actions
from worldsim.walked_ways import WalkedWays

STRIDE, HOP = 0.38, 0.8
ACTIONS = load_actions("dmlab")


def poses_along(*corners):
    """Poses every stride or less along the straight lines between corners."""
    places = []
    for one, other in itertools.pairwise(corners):
        count = math.ceil(math.dist(one, other) / STRIDE)
        places += [np.add(one, np.subtract(other, one) * at / count) for at in range(count)]
    places = np.array([*places, corners[-1]])
    return np.concatenate([places, np.zeros((len(places), 1))], axis=1)


def walk(ways, pose, target, most=200):
    """Poses up to the place, as the actions lead with nothing in the way."""
    found = [np.array(pose, float)]
    while (action := ways.choose(found[-1], target)) is not None:
        assert len(found) < most, "it does not arrive"
        x, y, heading = found[-1]
        stride = STRIDE * (action == ACTIONS.id("forward"))
        heading += ACTIONS.turns[action]
        found.append(
            np.array([x + stride * math.cos(heading), y + stride * math.sin(heading), heading])
        )
    return np.stack(found)


def test_lengths_are_those_of_another_algorithm():
    places = np.random.default_rng(0).uniform(0, 3, (30, 3))
    apart = np.linalg.norm(places[:, None, :2] - places[None, :, :2], axis=2)
    lengths = WalkedWays(places, ACTIONS, HOP).lengths
    np.testing.assert_allclose(lengths, dijkstra(np.where(apart < HOP, apart, 0)))
    alone = WalkedWays([[0, 0, 0], [5, 0, 0]], ACTIONS, HOP).lengths
    assert alone.tolist() == [[0, np.inf], [np.inf, 0]]


@pytest.mark.parametrize("heading", [0.0, 2.0, -math.pi])
def test_a_way_round_a_corner_is_walked_back(heading):
    """Straight to the place is shorter, and leads through what may be a wall."""
    poses = poses_along((0, 0), (4, 0), (4, 4))
    ways = WalkedWays(poses, ACTIONS, HOP)
    found = walk(ways, (4, 4, heading), 0)
    assert np.linalg.norm(found[-1, :2] - poses[0, :2]) <= 0.25
    off = np.linalg.norm(found[:, None, :2] - poses[None, :, :2], axis=2).min(axis=1)
    assert off.max() < 0.3
    strides = (np.linalg.norm(np.diff(found[:, :2], axis=0), axis=1) > 0).sum()
    assert strides * STRIDE == pytest.approx(8, abs=1)


def test_a_loop_is_cut_short_where_it_comes_near_to_itself():
    poses = poses_along((0, 0), (4, 0), (4, 3), (0, 3), (0, 0.5))
    ways = WalkedWays(poses, ACTIONS, HOP)
    assert len(walk(ways, (0, 0.5, math.pi / 2), 0)) < 12


def test_a_body_off_all_places_goes_to_the_nearest_of_them_first():
    poses = poses_along((0, 0), (4, 0))
    found = walk(WalkedWays(poses, ACTIONS, HOP), (4, 2, 0), 0)
    assert np.linalg.norm(found[-1, :2]) <= 0.25
    assert found[np.abs(found[:, 1]).argmin(), 0] < 4.5


@pytest.mark.parametrize("poses", [np.zeros((0, 3)), np.zeros((4, 2)), np.zeros(3)])
def test_what_are_no_poses_is_refused(poses):
    with pytest.raises(ValueError, match=r"poses must be \[T, 3\], T >= 1, got \["):
        WalkedWays(poses, ACTIONS, HOP)


def test_actions_that_do_not_walk_are_refused():
    lift = SimpleNamespace(names=("up", "down"), turns=(0.0, 0.0))
    with pytest.raises(ValueError, match="actions must turn both ways and walk forward, got up"):
        WalkedWays(np.zeros((1, 3)), lift, HOP)
