"""Ground truth: truth, dream and their difference side by side, and how they part, frame by frame.

    panel = GroundTruthPanel(place)
    panel.follow(playthrough.track)            # from now on it is a sink
    panel.panes(number, frame)

The truth does what the dreamer does. Where it comes from is truth.py's business. A truth that has
far to go, because it was asked for late, goes there in slices of time and holds nobody up.
"""

import dataclasses
import time
from typing import Any

import numpy as np

from worldsim.controls import Action, list_actions, split_actions
from worldsim.data.collect import SEED_RANGES
from worldsim.evaluate.metrics import psnr
from worldsim.ground_truth import KEPT, open_engine, play
from worldsim.runtime.core.moves import Point, Start, Step
from worldsim.runtime.core.pane_layout import Pane
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.core.track import Track
from worldsim.runtime.panels.ground_truth_source import Truth, find_truth, make_engine_options
from worldsim.runtime.panels.lacking import find_remedy
from worldsim.told import Told, tell

GAIN = 2  # of the difference, so that small ones are seen
CONTEXT = 64  # true frames of a new start
SLICE = 0.05  # seconds that catching up may hold up play at a time
FEW = 4  # frames that are caught up with at once


class GroundTruthPanel:
    """A dream beside the truth.

    Args:
        place: a dream's.

    Raises:
        ValueError: it is no dream, or its engine won't start.
        ImportError: what the engine needs is not installed.
    """

    def __init__(self, place: PlayableEnv) -> None:
        if not place.dreams:
            raise ValueError(
                tell("Ground truth is shown beside a dream; this environment is the engine itself.")
            )
        self._place = place
        self._env: Any = None
        self._truth: Truth | None = None
        self._start: Start | None = None
        self._actions: list[Action] = []
        self._reached = 0  # the number of the next true frame
        self._dreamt: dict[int, np.ndarray] = {}  # by number, still to be compared
        self._true: dict[int, np.ndarray] = {}
        self._decibels: dict[int, float] = {}

    def knows(self, start: Start) -> bool:
        """Whether the truth of a start can be had; opens the engine where it needs one."""
        if start is not self._start:
            self._start = start
            self._truth = find_truth(start, self._find_engine(start))
            self._actions, self._reached = [], 0
            self._dreamt, self._true, self._decibels = {}, {}, {}
        return self._truth is not None

    def new_start(self, seed: int) -> Start:
        """A start whose truth is known: an episode of the engine that no world was trained on.

        Raises:
            ValueError: there is no engine.
        """
        heldout = SEED_RANGES["heldout"]
        chosen = heldout[seed % len(heldout)]
        episode = play(self._open_engine(), chosen, CONTEXT, "heldout").episode
        return Start(
            seed=seed,
            options=make_engine_options(self._place.base.world.card.engine, chosen, []),
            context_frames=episode.frames,
            context_actions=episode.actions,
        )

    def follow(self, track: Track) -> None:
        """Go to where a track is, and compare what is remembered of it."""
        self.knows(track.start)
        self._actions, self._reached = [move.taken for move in track.moves], 0
        known = range(track.history.first, track.number + 1)
        self._dreamt = {number: track.history[number].frame for number in known}
        self._catch_up()

    def begin(self, point: Point) -> None:
        """A line begins, or goes on from an earlier frame."""
        self.knows(point.start)
        self._actions = [move.taken for move in point.moves]
        here = len(self._actions)
        for kept in (self._true, self._decibels, self._dreamt):
            for number in [number for number in kept if number > here]:
                del kept[number]
        self._reached = min(self._reached, here)
        self._dreamt[here] = point.frame
        self._catch_up()

    def step(self, step: Step) -> None:
        """A move was made."""
        self._actions.append(step.move.taken)
        self._dreamt[len(self._actions)] = step.frame
        self._catch_up()

    def panes(self, number: int, frame: np.ndarray) -> tuple[Pane, ...]:
        """Truth, dream and difference of one frame."""
        self._catch_up()
        true = self._true.get(number)
        decibels = self._decibels.get(number)
        behind = number + 1 - self._reached
        late = self._truth is not None and behind > 0
        name = tell("{behind} frames to go", behind=behind) if late else tell("nobody knows")
        name = name if true is None else self._truth.name
        gone = None if true is None else difference(true, frame)
        label = label_difference(decibels)
        dream = Pane(frame, tell("dream"), marked=True, newest=True)
        return Pane(true, name), dream, Pane(gone, label)

    def curve(self, number: int) -> tuple[float, ...]:
        """PSNR in dB of the frames from the start up to a number, as far as they are known."""
        return tuple(self._decibels[at] for at in sorted(self._decibels) if at <= number)

    def make_grounded_start(self, number: int) -> Start:
        """A start in the true frames up to a number, as many as the last start had.

        Raises:
            ValueError: the truth is not known there.
        """
        start, actions = self._start, self._actions[:number]
        if self._truth is None or self._truth.frame(actions) is None:
            raise ValueError(
                tell(
                    "Ground truth is unavailable: the actions taken differ from those of the clip."
                )
            )
        kept = len(start.context_frames)
        newest = range(max(1, number - kept + 1), number + 1)
        true = [self._truth.frame(actions[:at]) for at in newest]
        frames = np.concatenate([start.context_frames, *([np.stack(true)] if true else [])])
        before = list_actions(start.context_actions, start.context_controls)
        led = [*before, *actions]
        options = dict(start.options)
        options.pop("spawn", None)
        if "engine" in options:
            options["engine_before"] = [*options.get("engine_before", ()), *led[:number]]
        future = None
        if start.future is not None:
            future = start.future[0][number:], start.future[1][number:]
        ids, controls = split_actions(led[len(led) - kept + 1 :], self._place.actions)
        return dataclasses.replace(
            start,
            options=options,
            context_frames=frames[-kept:],
            context_actions=ids,
            context_controls=controls,
            future=future,
        )

    def close(self) -> None:
        """Let go of the engine."""
        if self._env is not None:
            self._env.close()
            self._env = None

    def _find_engine(self, start: Start) -> Any:
        """The engine a start is from; None where there is none here, and a clip will do."""
        if "engine" not in start.options:
            return None
        try:
            return self._open_engine()
        except (ValueError, ImportError):
            if start.future is None:
                raise
            return None

    def _open_engine(self) -> Any:
        if self._env is None:
            card = self._place.base.world.card
            engine = getattr(card, "engine", "")
            if not engine:
                raise ValueError(tell("This world was learnt from no engine: it has no truth."))
            if remedy := find_remedy(engine):
                raise ValueError(tell("The truth needs the engine: {remedy}", remedy=remedy))
            self._env = open_engine(card)
        return self._env

    def _catch_up(self) -> None:
        """Lead the truth towards the newest frame, and compare what is on the way."""
        until = time.monotonic() + SLICE
        if self._truth is None:
            self._dreamt.clear()
            return
        while self._reached <= len(self._actions):
            self._compare(self._reached)
            self._reached += 1
            if time.monotonic() > until and len(self._actions) - self._reached > FEW:
                return

    def _compare(self, number: int) -> None:
        true = self._truth.frame(self._actions[:number])
        dreamt = self._dreamt.pop(number, None)
        if true is None:
            return
        self._true[number] = true
        self._true.pop(number - KEPT, None)
        if dreamt is not None:
            self._decibels[number] = float(psnr(dreamt, true))


def label_difference(decibels: float | None) -> Told:
    """What the difference is called, with how alike the two are in dB where that is known."""
    if decibels is None:
        return tell("difference")
    return tell("difference, {decibels:.1f} dB", decibels=decibels)


def difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far two pictures are apart, pixel by pixel, enlarged: uint8 `[H,W,3]`."""
    apart = np.abs(one.astype(np.int16) - other.astype(np.int16))
    return np.minimum(GAIN * apart, 255).astype(np.uint8)
