"""Loops: ways that lead back to where they began without turning round, planned in the engine."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from worldsim.evaluate.scripted_actions import count_turns, find_forward, find_turn, is_full

Back = Callable[[], tuple[np.ndarray, dict[str, Any]]]


def plan_loop(env: Any, back: Back, full: float, moves: int) -> np.ndarray | None:
    """The longest parallelogram of full steps that the engine has space for, as many laps of it as
    fit into a number of moves. Where there is no space it is turned on the spot.

    Args:
        env: the engine.
        back: brings it to the place, and gives its frame and info there.
        full: length of a step that touches nothing.
        moves: at most so many; at least a full turn.

    Returns:
        int `[at most moves]`; None where the engine cannot go back to a state, tells no poses, or
        the moves are fewer than a full turn's.
    """
    circle = count_turns(env.actions)
    if not hasattr(env, "restore_state") or not full or moves < circle:
        return None
    best: tuple[int, list[int], list[int]] = (0, [], [find_turn(env.actions, +1)] * circle)
    for heading in _plan_headings(env, circle):
        info = _walk_actions(env, heading, full, back()[1])
        assert info is not None  # turns touch nothing
        for lap in _plan_laps(env, full, info, moves - circle - 2 * len(heading), best[0]):
            best = max(best, (len(lap), heading, lap), key=lambda found: found[0])
    _, heading, lap = best
    away = _mirror_turns(env, heading)
    laps = (moves - 2 * len(heading)) // len(lap)
    return np.array([*heading, *lap * laps, *away], np.int64)


def _plan_headings(env: Any, circle: int) -> Iterator[list[int]]:
    """The turns to every heading, the shorter way round."""
    for turns in range(circle):
        left = turns <= circle // 2
        side, count = (+1, turns) if left else (-1, circle - turns)
        yield [find_turn(env.actions, side)] * count


def _mirror_turns(env: Any, turns: list[int]) -> list[int]:
    left, right = find_turn(env.actions, +1), find_turn(env.actions, -1)
    return [right if turn == left else left for turn in turns]


def _plan_laps(
    env: Any, full: float, info: dict[str, Any], space: int, longer_than: int
) -> Iterator[list[int]]:
    """Parallelograms from where the engine stands whose steps are all free and at most `space`."""
    here, circle = env.clone_state(), count_turns(env.actions)
    left, ahead = find_turn(env.actions, +1), find_forward(env.actions)
    corners = [left] * (circle // 4), [left] * (circle // 2 - circle // 4)
    longest = _count_free(env, full, info, space // 2 - 1)
    for side in _list_halves(longest):
        other = space // 2 - side
        if 2 * (side + other) + circle <= longer_than:
            continue
        first = [ahead] * side + corners[0]
        env.restore_state(here)
        there = _walk_actions(env, first, full, info)
        corner = env.clone_state()
        for second in _list_halves(_count_free(env, full, there or info, other)):
            rest = [ahead] * second + corners[1]
            env.restore_state(corner)
            if _walk_actions(env, rest + first + rest, full, there or info) is not None:
                yield first + rest + first + rest
                break


def _list_halves(number: int) -> Iterator[int]:
    """The number, its half, and so on down to 1."""
    while number > 0:
        yield number
        number //= 2


def _count_free(env: Any, full: float, info: dict[str, Any], most: int) -> int:
    """How many full steps lead straight on."""
    ahead, count = find_forward(env.actions), 0
    while count < most:
        before, info = info, env.step(ahead)[-1]
        if not is_full(before, info, full):
            break
        count += 1
    return count


def _walk_actions(
    env: Any, actions: list[int], full: float, info: dict[str, Any]
) -> dict[str, Any] | None:
    """Go a way: the info at its end, None where a step touched something."""
    ahead = find_forward(env.actions)
    for action in actions:
        before, info = info, env.step(action)[-1]
        if action == ahead and not is_full(before, info, full):
            return None
    return info
