"""What would really be seen: the engine a dream was learnt from, or the rest of a true clip.

A truth is asked for the frame after a number of actions since the start. Knows no dream.
"""

from typing import Any, Protocol

import numpy as np

from worldsim.runtime.line import Start

KEPT = 2048  # true frames that are remembered
STATES = 32  # actions between two states of an engine that are kept


class Truth(Protocol):
    """True frames by the actions since a start."""

    name: str

    def frame(self, actions: list[int]) -> np.ndarray | None:
        """The frame uint8 `[H,W,3]` after these actions; None where nobody knows it."""


class EngineTruth:
    """A real engine that does what the dreamer does.

    Args:
        env: the engine, unwrapped.
        seed: what it is reset with.
        before: actions from the reset to the start's last context frame.
    """

    def __init__(self, env: Any, seed: int, before: list[int]) -> None:
        self.name = f"truth ({env.spec.id if env.spec else type(env).__name__})"
        self._env, self._seed, self._before = env, seed, before
        self._done: list[int] = []
        self._frames: dict[int, np.ndarray] = {}
        self._states: dict[int, Any] = {}
        self._rewinds = hasattr(env, "clone_state")
        self._reset()

    def frame(self, actions: list[int]) -> np.ndarray:
        """Go to where the actions lead; a way that begins alike is not gone again."""
        same = _alike(self._done, actions)
        if same < len(self._done) or same not in self._frames:
            self._back(same)
        for action in actions[len(self._done) :]:
            self._step(action)
        return self._frames[len(actions)]

    def _reset(self) -> None:
        frame, _ = self._env.reset(seed=self._seed)
        for action in self._before:
            frame = self._env.step(int(action))[0]
        self._done, self._frames, self._states = [], {}, {}
        self._keep(frame)

    def _back(self, number: int) -> None:
        """Go to the number, or to a state before it."""
        found = max((at for at in self._states if at <= number), default=None)
        if found is None:
            self._reset()
            return
        self._env.restore_state(self._states[found])
        self._done = self._done[:found]

    def _step(self, action: int) -> None:
        frame = self._env.step(int(action))[0]
        self._done.append(action)
        self._keep(frame)

    def _keep(self, frame: np.ndarray) -> None:
        number = len(self._done)
        self._frames[number] = frame
        self._frames.pop(number - KEPT, None)
        if self._rewinds and number % STATES == 0:
            self._states[number] = self._env.clone_state()


class ClipTruth:
    """The rest of a true clip: known as long as the same actions are taken.

    Args:
        frames: uint8 `[T+1,H,W,3]`, the start's last context frame first.
        actions: int `[T]`.
    """

    name = "truth (the clip)"

    def __init__(self, frames: np.ndarray, actions: np.ndarray) -> None:
        self._frames, self._actions = frames, [int(action) for action in actions]

    def frame(self, actions: list[int]) -> np.ndarray | None:
        """The clip's frame, or None once another way was taken or the clip is over."""
        known = len(actions) <= len(self._actions) and _alike(self._actions, actions) == len(
            actions
        )
        return self._frames[len(actions)] if known else None


def engine_options(engine: str, seed: int, before: list[int]) -> dict[str, Any]:
    """What a start has to keep so that its truth is found again.

    Args:
        engine: the Gymnasium id.
        seed: what it was reset with.
        before: actions from the reset to the first context frame.
    """
    return {"engine": engine, "engine_seed": int(seed), "engine_before": [int(a) for a in before]}


def find_truth(start: Start, env: Any) -> Truth | None:
    """The truth of a start; None where nobody knows it.

    Args:
        start: it may hold what really followed, or say which engine and seed it is from.
        env: the world's engine, unwrapped; None where there is none here.
    """
    options = start.options
    if env is not None and options.get("engine") == env.spec.id:
        before = [*options.get("engine_before", ()), *start.context_actions.tolist()]
        truth = EngineTruth(env, options["engine_seed"], before)
        if np.array_equal(truth.frame([]), start.context_frames[-1]):
            return truth
    return None if start.future is None else ClipTruth(*start.future)


def _alike(one: list[int], other: list[int]) -> int:
    """How many first items are the same."""
    for number, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return number
    return min(len(one), len(other))
