"""Scripted ways for measuring: a full turn, a way out and back, and what is pressed for long."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from worldsim.actions import ActionSet
from worldsim.data.collect import RandomActions
from worldsim.types import Episode

KEYS = ("random", "held", "scripted")
TURNS = 0.2  # share of a random walk's moves that turn although the way is free
AHEAD, ASIDE = 6, 4  # frames of the script; four turns are a quarter of a circle


def plan_full_turn(actions: ActionSet) -> np.ndarray:
    """The turns that go once round to the left.

    Raises:
        ValueError: no action of the table turns left.
    """
    return np.repeat(find_turn(actions, +1), count_turns(actions))


def find_turn(actions: ActionSet, way: int) -> int:
    """The first action that turns to the left (+1) or to the right (-1).

    Raises:
        ValueError: there is none.
    """
    for number, turn in enumerate(actions.turns):
        if turn * way > 0:
            return number
    raise ValueError(f"the actions {actions.name} don't turn both ways: memory is not measured.")


def count_turns(actions: ActionSet) -> int:
    """How many turns make a full one."""
    return round(math.tau / actions.turns[find_turn(actions, +1)])


def measure_full_step(episodes: Sequence[Episode]) -> float:
    """How far a step leads that touches nothing; 0 where nobody moved, or poses are not known.

    The median of the long ones: pushed out of a corner, a step may be a little longer than full.
    """
    known = [episode.poses[:, :2] for episode in episodes if episode.poses is not None]
    steps = [np.linalg.norm(np.diff(places, axis=0), axis=1) for places in known]
    moved = np.concatenate([np.zeros(1), *steps])
    return float(np.median(moved[moved >= moved.max() / 2]))


def plan_out_and_back(
    env: Any, back: Callable[[], tuple[np.ndarray, dict[str, Any]]], full: float, length: int
) -> np.ndarray | None:
    """Actions that lead from a place out and back to the very same pose.

    The way back is the way out in reverse, between two half turns; it holds because only full steps
    are taken, that touch no wall and stay level.

    Args:
        env: the engine.
        back: brings it to the place, and gives its frame and info there.
        full: length of a step that touches nothing, see `measure_full_step`.
        length: of the whole way, in frames.

    Returns:
        int `[length]`; None where the engine cannot go back to a state, or tells no poses.
    """
    if not hasattr(env, "restore_state") or not full:
        return None
    left, right = find_turn(env.actions, +1), find_turn(env.actions, -1)
    half = np.repeat(left, count_turns(env.actions) // 2)
    home = back()[1]["pose"]
    out = np.array(_plan_way_out(env, home, full, length // 2 - len(half)), np.int64)
    return np.concatenate((out, half, undo_moves(out, left, right), half))


def undo_moves(out: np.ndarray, left: int, right: int) -> np.ndarray:
    """The inverses of moves in reverse, for one who faces the other way."""
    undone = out[::-1].copy()
    undone[out[::-1] == left], undone[out[::-1] == right] = right, left
    return undone


def plan_there_and_back(
    env: Any,
    back: Callable[[], tuple[Any, dict[str, Any]]],
    full: float,
    moves: int,
    rng: np.random.Generator,
    slack: float = 1e-3,
) -> np.ndarray | None:
    """A random walk of full steps and turns, a half turn, the inverses of all moves, a half turn.

    Args:
        env: the engine.
        back: brings it to the place, and gives its frame and info there.
        full: length of a step that touches nothing, see `measure_full_step`.
        moves: of the walk there.
        rng: draws it.
        slack: by how much a full step may be longer or shorter.

    Returns:
        int `[2 * moves + a full circle]`; None as `plan_out_and_back`.
    """
    if not hasattr(env, "restore_state") or not full:
        return None
    left, right = find_turn(env.actions, +1), find_turn(env.actions, -1)
    half = np.repeat(left, count_turns(env.actions) // 2)
    info = back()[1]
    out, side = [], left
    while len(out) < moves:
        state, wants = env.clone_state(), rng.random() < TURNS
        there = info if wants else env.step(find_forward(env.actions))[-1]
        free = not wants and is_full(info, there, full, slack)
        if wants:
            side = (left, right)[rng.integers(2)]
        elif not free:
            env.restore_state(state)
        out.append(find_forward(env.actions) if free else side)
        info = there if free else env.step(side)[-1]
    moved = np.array(out, np.int64)
    return np.concatenate((moved, half, undo_moves(moved, left, right), half))


def _plan_way_out(env: Any, home: np.ndarray, full: float, length: int) -> list[int]:
    """Straight legs that lead ever farther from home; what is left of the length looks around."""
    way: list[int] = []
    far = 0.0
    while True:
        here = env.clone_state()
        gain, leg = max(_measure_legs(env, home, full, length - len(way), far), default=(0.0, []))
        env.restore_state(here)
        if gain <= far:
            return way + [find_turn(env.actions, +1)] * (length - len(way))
        far = gain
        for action in leg:
            env.step(action)
        way += leg


def _measure_legs(
    env: Any, home: np.ndarray, full: float, most: int, far: float
) -> Iterator[tuple[float, list[int]]]:
    """How far from home straight legs of at most so many steps lead that touch and fall off
    nothing; headings are left out where no leg could lead farther than `far`, or than another did.
    """
    left, right = find_turn(env.actions, +1), find_turn(env.actions, -1)
    forward, circle = find_forward(env.actions), count_turns(env.actions)
    state, aside = env.clone_state(), 0
    info = env.restore_state(state)[1]
    away = math.dist(info["pose"][:2], home[:2])
    for turns in range(circle):
        leg = [left] * turns if turns <= circle // 2 else [right] * (circle - turns)
        if away + (most - len(leg)) * full > far - 1e-6:
            for _ in range(turns - aside):
                info = env.step(left)[-1]
            state, aside, there = env.clone_state(), turns, info
            while len(leg) < most:
                before, there = there, env.step(forward)[-1]
                if not is_full(before, there, full):
                    break
                leg.append(forward)
                gain = math.dist(there["pose"][:2], home[:2])
                far = max(far, gain)
                yield gain, list(leg)
            env.restore_state(state)


def is_full(
    before: dict[str, Any], after: dict[str, Any], full: float, slack: float = 1e-3
) -> bool:
    """Whether a step touched nothing and stayed level, so that it can be walked back."""
    level = before.get("height", 0) == after.get("height", 0)
    return level and abs(math.dist(before["pose"][:2], after["pose"][:2]) - full) < slack


def find_forward(actions: ActionSet) -> int:
    """The first action that walks.

    Raises:
        ValueError: there is none.
    """
    if not actions.walks:
        raise ValueError(f"no action of {actions.name} walks: memory is not measured.")
    return actions.walks[0]


def plan_long_keys(actions: ActionSet, kind: str, row: int, length: int) -> np.ndarray:
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
    ahead = [find_forward(actions)] * AHEAD
    legs = [ahead + [key] * ASIDE for key in keys if key != ahead[0]]
    return np.resize(np.concatenate(legs), length)
