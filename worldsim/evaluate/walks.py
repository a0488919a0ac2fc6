"""Long walks: is a place the same after a loop, after a way there and back, after very long?

From the end of the context one looks round, walks a way that the engine has planned and that ends
at the very same pose, and looks round again (returns.py). Loops and returns take 16 to 1,024 moves,
revisits 100 to 10,000 frames.
"""

from functools import partial
from typing import Any

import numpy as np

from worldsim.evaluate.loops import plan_loop
from worldsim.evaluate.open_loop import Start
from worldsim.evaluate.protocol import Protocol
from worldsim.evaluate.returns import Place, compare_rounds
from worldsim.evaluate.rollouts import judge_steps, make_judge
from worldsim.evaluate.scripted_actions import (
    count_turns,
    find_forward,
    measure_full_step,
    plan_full_turn,
    plan_there_and_back,
)
from worldsim.evaluate.visibility import can_judge, mean
from worldsim.ground_truth import telling_depth
from worldsim.world.model import WorldModel, WorldState

NO_WAY_BACK = "the engine cannot go back to a state, or tells no poses"
_CLOSE = 1e-3


def measure(
    world: WorldModel, env: Any, made: list[Start], protocol: Protocol
) -> dict[str, dict[str, Any]]:
    """Walk and come back, from the first `places` starts; figures by way, means over the places."""
    found: dict[str, list[dict[str, float]]] = {}
    for start, row in _list_places(made, protocol.places):
        place = Place(start.memory.select([row]), start.truths[row], row)
        ways = plan_ways(env, start, place, protocol)
        seen = _mark_seen(env, start, place, plan_full_turn(world.actions))
        rounds = compare_rounds(world, place, partial(_keep_ways, ways), seen, protocol)
        for name, figures in rounds.items():
            found.setdefault(name, []).append(figures | {"moves": float(len(ways[name]))})
    if not found:
        return {"walks": {"skipped": NO_WAY_BACK}}
    return {
        name: {"places": len(those)}
        | {figure: mean(np.array([one[figure] for one in those])) for figure in those[0]}
        for name, those in found.items()
    }


def _keep_ways(ways: dict[str, np.ndarray], state: WorldState) -> dict[str, np.ndarray]:
    """The engine's ways, whatever is dreamt."""
    return ways


def _list_places(made: list[Start], count: int) -> list[tuple[Start, int]]:
    return [(start, row) for start in made for row in range(len(start.episodes))][:count]


def plan_ways(env: Any, start: Start, place: Place, protocol: Protocol) -> dict[str, np.ndarray]:
    """Ways by name that the engine walks back to the very pose; others are left out."""
    full = measure_full_step(start.episodes)
    ways: dict[str, np.ndarray | None] = {}
    for moves in protocol.walks:
        loop = plan_loop(env, place.truth.start, full, moves)
        ways[f"loop {moves}"] = loop if loop is not None and _closes(place, loop) else None
        ways[f"return {moves}"] = _plan_there(env, place, full, moves)
    for frames in protocol.revisits:
        ways[f"revisit {frames}"] = _plan_there(env, place, full, frames)
    return {name: way for name, way in ways.items() if way is not None}


def _plan_there(env: Any, place: Place, full: float, moves: int) -> np.ndarray | None:
    """A way there and back of so many moves, the half turns counted; None where none closes. What
    its steps are shorter than full ones adds up, so they are to be exact, where the engine's are.
    """
    half = (moves - count_turns(env.actions)) // 2
    if half <= 0:
        return None
    for slack in (_CLOSE / half, _CLOSE):
        rng = np.random.default_rng([place.row, moves])
        way = plan_there_and_back(env, place.truth.start, full, half, rng, slack)
        if way is None:
            return None
        walks = slack == _CLOSE or find_forward(env.actions) in way
        if walks and _closes(place, way):
            return way
    return None


def _closes(place: Place, way: np.ndarray) -> bool:
    """Whether the engine ends where it began, as planned: uneven ground may have other ideas."""
    poses = [info["pose"] for _, info in place.truth.walk(way.tolist())]
    apart = np.asarray(poses[-1]) - np.asarray(poses[0])
    turned = np.angle(np.exp(1j * apart[2]))
    return bool(np.hypot(*apart[:2]) < _CLOSE and abs(turned) < _CLOSE)


def _mark_seen(env: Any, start: Start, place: Place, turn: np.ndarray) -> np.ndarray:
    """Which pixels of the look round the context shows, bool `[T,H,W]`; all, where nobody knows."""
    with telling_depth(env):  # which is slow, and not wanted while ways are planned
        steps = list(place.truth.walk(turn.tolist()))[1:]
    if not can_judge(env, start):
        return np.ones((len(turn), *steps[0][0].shape[:2]), bool)
    return judge_steps(make_judge(env, start), place.row, steps)[1]
