"""Return error: is a place the same when one comes back to it, also where it was invented?

At a place one looks round once, leaves by some moves, comes back by their inverses, and looks round
again. The two rounds are compared view by view: over the pixels that the context shows, and over
those that the dream had to invent. The moves touch nothing: where a world tells its poses they are
planned in the dream itself, whose invented walls stand where the engine has none; else in the
engine.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from worldsim.evaluate.masked import masked_psnr
from worldsim.evaluate.open_loop import Start, dream
from worldsim.evaluate.protocol import Protocol
from worldsim.evaluate.rollouts import judge_steps
from worldsim.evaluate.scripted_actions import (
    measure_full_step,
    plan_full_turn,
    plan_there_and_back,
)
from worldsim.ground_truth import EngineReplay
from worldsim.world.model import WorldModel, WorldState

LATEST, EVERY = 64, 8  # frames after the context at which a place may lie that is invented
SLACK = 0.05  # share of a full step by which odometry may be off


@dataclass
class Place:
    """Where one leaves from: one dream that is there, the engine there, and its episode's row."""

    state: WorldState
    truth: EngineReplay
    row: int


class DreamedPlace:
    """A dream as an engine that ways are planned in.

    Args:
        world: who dreams; tells poses.
        state: one dream; it stays as it is.
        steps: sampler steps a frame.
    """

    def __init__(self, world: WorldModel, state: WorldState, steps: int | None):
        self.world, self.begun, self.steps = world, state, steps
        self.actions, self.state = world.actions, state.fork()

    def start(self) -> tuple[None, dict[str, Any]]:
        """Go to where it began; the info there."""
        self.state = self.begun.fork()
        return None, self._info()

    def step(self, action: int) -> tuple[None, float, bool, bool, dict[str, Any]]:
        """Dream on."""
        self.state, _ = self.world.step(self.state, [action], self.steps)
        return None, 0.0, False, False, self._info()

    def clone_state(self) -> WorldState:
        """Where the dream is now."""
        return self.state.fork()

    def restore_state(self, state: WorldState) -> tuple[None, dict[str, Any]]:
        """Go back to where a dream was; the info there."""
        self.state = state.fork()
        return None, self._info()

    def _info(self) -> dict[str, Any]:
        assert self.state.poses is not None
        return {"pose": self.state.poses[0]}


def find_least_seen(unseen: np.ndarray) -> int:
    """Of a dream's frames (from 1), one of the early ones whose view the context shows least.

    Args:
        unseen: share of every frame that the context does not show, `[T]`.
    """
    numbers = np.arange(EVERY, min(LATEST, len(unseen)) + 1, EVERY)
    return int(numbers[unseen[numbers - 1].argmax()])


def find_place(env: Any, start: Start, row: int, state: WorldState, number: int) -> Place:
    """Where an episode is `number` frames after the context, dreamt by `state`."""
    episode, first = start.episodes[row], start.context - 1
    before = episode.actions[: first + number].tolist()
    assert episode.meta.seed is not None  # an engine made it
    return Place(state, EngineReplay(env, episode.meta.seed, before), row)


def measure(
    world: WorldModel,
    env: Any,
    judge: Any,
    start: Start,
    places: Sequence[Place],
    protocol: Protocol,
) -> list[dict[str, dict[str, float]]]:
    """Leave and come back at every place: figures by name of the way."""
    full = measure_full_step(start.episodes)
    return [_return_everywhere(world, env, judge, place, full, protocol) for place in places]


def _return_everywhere(
    world: WorldModel, env: Any, judge: Any, place: Place, full: float, protocol: Protocol
) -> dict[str, dict[str, float]]:
    turn = plan_full_turn(world.actions)
    steps = list(place.truth.walk(turn.tolist()))[1:]
    seen = judge_steps(judge, place.row, steps)[1]

    def plan(state: WorldState) -> dict[str, np.ndarray]:
        rng = np.random.default_rng([place.row, 5])
        where, slack = env, 1e-3
        back: Callable[[], tuple[Any, dict[str, Any]]] = place.truth.start
        if state.poses is not None:
            where = DreamedPlace(world, state, protocol.steps)
            back, slack = where.start, SLACK * full
        ways = {
            str(moves): plan_there_and_back(where, back, full, moves, rng, slack)
            for moves in protocol.returns
        }
        return {"full turn": turn[:0]} | {n: way for n, way in ways.items() if way is not None}

    return compare_rounds(world, place, plan, seen, protocol)


def compare_rounds(
    world: WorldModel,
    place: Place,
    plan: Callable[[WorldState], Mapping[str, np.ndarray]],
    seen: np.ndarray,
    protocol: Protocol,
) -> dict[str, dict[str, float]]:
    """Look round at a place, go each way, look round again: figures by name of the way.

    Args:
        world: who dreams.
        place: where.
        plan: finds ways, actions that lead back to the place's pose, for the dream that has looked
            round: one that is planned earlier may meet a wall that is invented since.
        seen: which pixels of the look round the context shows, bool `[T,H,W]`.
        protocol: sampler steps.
    """
    turn = plan_full_turn(world.actions)
    first, state = _look_round(world, place.state.fork(), turn, protocol)
    figures = {}
    for name, way in plan(state).items():
        again, after = _look_round(world, state.fork(), np.concatenate((way, turn)), protocol)
        figures[name] = _compare_rounds(first, again[-len(turn) :], seen) | _measure_offset(
            state, after
        )
    return figures


def _look_round(
    world: WorldModel, state: WorldState, actions: np.ndarray, protocol: Protocol
) -> tuple[np.ndarray, WorldState]:
    """Frames `[T,H,W,3]` of one dream, and its state after them."""
    latest = [state]
    frames = dream(world, state, actions[None], protocol.steps, after=lambda s: latest.append(s))
    return np.concatenate(list(frames)), latest[-1]


def _compare_rounds(first: np.ndarray, again: np.ndarray, seen: np.ndarray) -> dict[str, float]:
    """PSNR of the second round against the first, and of the first against its opposite views."""
    opposite = np.roll(first, len(first) // 2, axis=0)
    everywhere = np.ones_like(seen)
    return {
        "seen": _average_known(masked_psnr(again, first, seen)),
        "invented": _average_known(masked_psnr(again, first, ~seen)),
        "all": _average_known(masked_psnr(again, first, everywhere)),
        "other views": _average_known(masked_psnr(opposite, first, everywhere)),
    }


def _measure_offset(before: WorldState, after: WorldState) -> dict[str, float]:
    """How far from where it was the dreamer believes to be, where it keeps count."""
    if before.poses is None:
        return {}
    return {"off place": float(np.hypot(*(after.poses - before.poses)[0, :2]))}


def _average_known(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
