"""The truth of a start: the engine a dream was learnt from, or the rest of a true clip.

A truth is asked for the frame after a number of actions since the start. Knows no dream.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from worldsim.controls import Action, list_actions, read_action
from worldsim.evaluate.metrics import psnr
from worldsim.ground_truth import EngineReplay
from worldsim.runtime.core.moves import Start
from worldsim.told import tell

ALIKE = 30  # dB from which on two pictures are of one place, drawn by other versions of a renderer


class Truth(Protocol):
    """True frames by the actions since a start."""

    name: str

    def frame(self, actions: list[Action]) -> np.ndarray | None:
        """The frame uint8 `[H,W,3]` after these actions; None where nobody knows it."""


class ClipTruth:
    """The rest of a true clip: known as long as the same actions are taken.

    Args:
        frames: uint8 `[T+1,H,W,3]`, the start's last context frame first.
        actions: T of them.
    """

    name = tell("truth (the clip)")

    def __init__(self, frames: np.ndarray, actions: Sequence[Action] | np.ndarray) -> None:
        self._frames, self._actions = frames, [read_action(action) for action in actions]

    def frame(self, actions: list[Action]) -> np.ndarray | None:
        """The clip's frame, or None once another way was taken or the clip is over."""
        number = len(actions)
        return self._frames[number] if actions == self._actions[:number] else None


def make_engine_options(engine: str, seed: int, before: list[int]) -> dict[str, Any]:
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
        led = list_actions(start.context_actions, start.context_controls)
        before = [*options.get("engine_before", ()), *led]
        truth = EngineReplay(env, options["engine_seed"], before)
        if psnr(truth.start()[0], start.context_frames[-1]) > ALIKE:
            return truth
    return None if start.future is None else ClipTruth(*start.future)
