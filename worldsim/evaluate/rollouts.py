"""Dreams beside the engine with, for every frame, which pixels the context shows.

The first frames are dreamt under the walker's own actions, so that the truth is where the dream
is; later ones under random keys, for as long as is asked.
"""

import importlib
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from worldsim.evaluate.open_loop import Start, dream
from worldsim.evaluate.protocol import Protocol
from worldsim.evaluate.scripted_actions import plan_long_keys
from worldsim.poses import place_poses, relative_poses, with_heights
from worldsim.world.model import WorldModel, WorldState

JUDGE = "models.memory.visibility:VisibilityJudge"


@dataclass
class Rollout:
    """T frames of B dreams.

    Attributes:
        dream, truth, warped: uint8 `[B,T,H,W,3]`; warped is what the context shows, else black.
        seen: bool `[B,T,H,W]` which pixels the context shows, as the engine's depth tells.
        told: `[B,T]` the share that the world's own memory showed; None where it tells none.
        milliseconds: of a frame of one dream.
    """

    dream: np.ndarray
    truth: np.ndarray
    warped: np.ndarray
    seen: np.ndarray
    told: np.ndarray | None = None
    milliseconds: float = 0.0

    @property
    def unseen_share(self) -> np.ndarray:
        """Share of every frame that the context does not show, `[B,T]`."""
        return 1 - self.seen.mean(axis=(-2, -1))


def make_judge(env: Any, start: Start) -> Any:
    """A judge that has seen the context of a start's episodes."""
    module, name = JUDGE.split(":")
    judge = getattr(importlib.import_module(module), name)
    parts = zip(*(_read_context(one, start.context) for one in start.episodes), strict=True)
    return judge(*map(np.stack, parts), (env.field_of_view, env.far))


def _read_context(episode: Any, context: int) -> tuple[np.ndarray, ...]:
    poses = with_heights(episode.poses, episode.heights)
    return episode.frames[:context], episode.depths[:context], poses[:context]


@dataclass
class _Taken:
    """What is kept of a dream while it goes on."""

    frames: list[np.ndarray] = field(default_factory=list)
    told: list[np.ndarray] = field(default_factory=list)

    def look(self, state: WorldState) -> None:
        seen = getattr(state, "seen", None)
        if seen is not None:
            self.told.append(seen.mean(axis=(1, 2)))

    def stack_taken(self) -> tuple[np.ndarray, np.ndarray | None]:
        return np.stack(self.frames, 1), np.stack(self.told, 1) if self.told else None


def look_near(judge: Any, start: Start, protocol: Protocol) -> tuple[np.ndarray, np.ndarray]:
    """What the context shows of the frames after it: warped uint8 `[B,T,H,W,3]`, and which pixels
    bool `[B,T,H,W]`.
    """
    first, last = start.context, start.context + protocol.predicted
    views = []
    for row, one in enumerate(start.episodes):
        assert one.poses is not None  # can_judge has looked
        assert one.depths is not None
        poses = with_heights(one.poses, one.heights)[first:last]
        views.append(judge.view(poses, one.depths[first:last], [row] * protocol.predicted))
    warped, seen = map(np.stack, zip(*views, strict=True))
    return warped, seen


def roll_near(
    world: WorldModel,
    start: Start,
    views: tuple[np.ndarray, np.ndarray],
    protocol: Protocol,
    after: Callable[[int, WorldState], None] = lambda number, state: None,
    led: bool = False,
) -> Rollout:
    """Dream on under the walkers' own actions.

    Args:
        world: who dreams.
        start: dreams that have seen their context.
        views: see `look_near`.
        protocol: how long.
        after: called with the number (from 1) of every frame and the state that has dreamt it.
        led: the bodies move as the engine says, from where their dreams believe to be, so that
            memory and network are judged alone.
    """
    first, last = start.context, start.context + protocol.predicted
    actions = np.stack([one.actions[first - 1 : last - 1] for one in start.episodes])
    truth = np.stack([one.frames[first:last] for one in start.episodes])
    taken, numbers = _Taken(), itertools.count(1)

    def watch(state: WorldState) -> None:
        taken.look(state)
        after(next(numbers), state)

    began = time.perf_counter()
    state = start.state()
    poses = _lead(start, state, protocol.predicted) if led else None
    taken.frames += dream(world, state, actions, protocol.steps, after=watch, poses=poses)
    spent = (time.perf_counter() - began) / actions.size * 1e3
    frames, told = taken.stack_taken()
    return Rollout(frames, truth, *views, told, spent)


def _lead(start: Start, state: WorldState, frames: int) -> np.ndarray:
    """Poses `[B,T,4]` to which the engine's motions lead from those of a state."""
    rows, last = [], start.context - 1
    for one, own in zip(start.episodes, np.asarray(state.carry.tensors()["pose"]), strict=True):
        assert one.poses is not None  # can_judge has looked
        poses = with_heights(one.poses, one.heights)[last : last + frames + 1]
        rows.append(place_poses(relative_poses(poses)[1:], own))
    return np.stack(rows)


def roll_again(
    world: WorldModel, start: Start, protocol: Protocol, rows: Sequence[int]
) -> np.ndarray:
    """The near frames of some of the rows, dreamt with other seeds."""
    first, last = start.context, start.context + protocol.predicted
    actions = np.stack([start.episodes[row].actions[first - 1 : last - 1] for row in rows])
    state = start.memory.select(rows)
    other = state.fork([seed + 1_000_003 for seed in state.seeds])
    return np.stack(list(dream(world, other, actions, protocol.steps)), axis=1)


def roll_late(
    world: WorldModel, start: Start, judge: Any, state: WorldState, protocol: Protocol
) -> Rollout:
    """The last frames of long dreams under random keys.

    Args:
        world: who dreams.
        start: where the dreams began; its first rows are those of the state.
        judge: of the same episodes.
        state: dreams that have made the near frames; used up.
        protocol: how long.
    """
    rows, last = range(state.batch), start.context + protocol.predicted
    length = protocol.long - protocol.predicted
    keys = np.stack(
        [
            plan_long_keys(world.actions, "random", start.episodes[i].meta.seed or 0, length)
            for i in rows
        ]
    )
    taken, kept = _Taken(), length - min(protocol.late, length)
    for number, frames in enumerate(dream(world, state, keys, protocol.steps, after=taken.look)):
        if number >= kept:
            taken.frames.append(frames)
    taken.told = taken.told[kept:]
    parts = []
    for row in rows:
        before = start.episodes[row].actions[start.context - 1 : last - 1]
        walked = start.truths[row].walk(np.concatenate((before, keys[row])))
        steps = list(itertools.islice(walked, protocol.predicted + kept + 1, None))
        parts.append((np.stack([frame for frame, _ in steps]), *judge_steps(judge, row, steps)))
    truth, warped, seen = map(np.stack, zip(*parts, strict=True))
    frames, told = taken.stack_taken()
    return Rollout(frames, truth, warped, seen, told)


def judge_steps(
    judge: Any, row: int, steps: Sequence[tuple[np.ndarray, dict[str, Any]]]
) -> tuple[np.ndarray, np.ndarray]:
    """What the context of an episode shows of an engine's steps: warped frames, which pixels."""
    poses = np.stack([[*info["pose"], info.get("height", 0.0)] for _, info in steps])
    return judge.view(poses, np.stack([info["depth"] for _, info in steps]), [row] * len(steps))
