"""Scripted ways for measuring: a full turn, a way out and back, and what is pressed for long."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from worldsim.actions import ActionSet
from worldsim.data.collect import RandomActions
from worldsim.types import Episode

KEYS = ("random", "held", "scripted")
TRIES = 4
AHEAD, ASIDE = 6, 4  # frames of the script; four turns are a quarter of a circle


def full_turn(actions: ActionSet) -> np.ndarray:
    """The turns that go once round to the left.

    Raises:
        ValueError: no action of the table turns left.
    """
    return np.repeat(_turning(actions, +1), _in_circle(actions))


def _turning(actions: ActionSet, way: int) -> int:
    for number, turn in enumerate(actions.turns):
        if turn * way > 0:
            return number
    raise ValueError(f"the actions {actions.name} don't turn both ways: memory is not measured.")


def _in_circle(actions: ActionSet) -> int:
    return round(math.tau / actions.turns[_turning(actions, +1)])


def full_step(episodes: Sequence[Episode]) -> float:
    """How far the longest step led; 0 where nobody moved, or poses are not known."""
    known = [episode.poses[:, :2] for episode in episodes if episode.poses is not None]
    steps = [np.linalg.norm(np.diff(places, axis=0), axis=1).max() for places in known]
    return float(max(steps, default=0.0))


def out_and_back(
    env: Any, back: Callable[[], dict[str, Any]], full: float, length: int, seed: int
) -> np.ndarray | None:
    """Actions that lead from a place out and back to the very same pose.

    Of a few random ways the one that leads farthest. The way back is the way out in reverse,
    between two half turns; it holds because only full steps are taken, that touch no wall.

    Args:
        env: the engine.
        back: brings it to the place, and gives its info there.
        full: length of a step that touches nothing, see `full_step`.
        length: of the whole way, in frames.
        seed: of the ways that are tried.

    Returns:
        int `[length]`; None where the engine cannot go back to a state, or tells no poses.
    """
    if not hasattr(env, "restore_state") or not full:
        return None
    actions = env.actions
    left, right = _turning(actions, +1), _turning(actions, -1)
    half = np.repeat(left, _in_circle(actions) // 2)
    rng = np.random.default_rng([length, seed])
    ways = [_way_out(env, back, (length - 2 * len(half)) // 2, full, rng) for _ in range(TRIES)]
    out = np.array(max(ways, key=lambda way: way[0])[1], np.int64)
    undone = out[::-1].copy()
    undone[out[::-1] == left], undone[out[::-1] == right] = right, left
    return np.concatenate((out, half, undone, half))


def _way_out(env, back, length: int, full: float, rng) -> tuple[float, list[int]]:
    """How far a random way without touching walls leads, and its actions."""
    turns = [_turning(env.actions, +1), _turning(env.actions, -1)]
    forward = _forward(env.actions)
    pose = home = back()["pose"]
    way: list[int] = []
    far, turn = 0.0, int(rng.choice(turns))
    while len(way) < length:
        here = env.clone_state()
        moved = env.step(forward)[-1]["pose"]
        free = abs(math.dist(moved[:2], pose[:2]) - full) < 1e-3
        if free and rng.random() < 0.9:
            pose = moved
            way.append(forward)
            turn = int(rng.choice(turns))
        else:
            env.restore_state(here)
            pose = env.step(turn)[-1]["pose"]
            way.append(turn)
        far = max(far, math.dist(pose[:2], home[:2]))
    return far, way


def _forward(actions: ActionSet) -> int:
    """The action that walks: it neither turns nor idles."""
    named = zip(actions.names, actions.turns, strict=True)
    walks = [i for i, (name, turn) in enumerate(named) if not turn and name != actions.idle]
    if not walks:
        raise ValueError(f"no action of {actions.name} walks: memory is not measured.")
    return walks[0]


def long_keys(actions: ActionSet, kind: str, row: int, length: int) -> np.ndarray:
    """What is pressed in a long run, int `[length]`.

    Args:
        actions: the world's table.
        kind: "random" (a key for a while, then another), "held" (one key all the time, another in
            every row) or "scripted" (ahead and a quarter turn, again and again).
        row: number of the run.
        length: in frames.
    """
    keys = [i for i, name in enumerate(actions.names) if name != actions.idle]
    if kind == "random":
        walker = RandomActions(len(actions), np.random.default_rng([row, length]))
        return np.array([walker.act(None) for _ in range(length)])
    if kind == "held":
        return np.full(length, keys[row % len(keys)])
    ahead = [_forward(actions)] * AHEAD
    legs = [ahead + [key] * ASIDE for key in keys if key != ahead[0]]
    return np.resize(np.concatenate(legs), length)
