"""Ground truth: truth, dream and their difference side by side, and how they part, frame by frame.

    panel = GroundTruthPanel(place)
    panel.follow(playthrough.track)            # from now on it is a sink
    panel.panes(number, frame)

The truth does what the dreamer does. Where it comes from is ground_truth_source.py's business. It
is drawn on a thread of its own, so an engine slower than play holds nobody up: it leaps over frames
that play has left behind, and until the newest one is there the last true frame stays, which is
said.
"""

import dataclasses
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple, TypeVar

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
from worldsim.told import Told, join, tell

GAIN = 2  # of the difference, so that small ones are seen
CONTEXT = 64  # true frames of a new start
SLICE = 0.03  # seconds that play waits for a true frame: one of a quick engine is there by then
FEW = 2  # frames behind, up to which every one is drawn
CATCH_UP_SECONDS = 1.0  # of a truth asked for late, in which every frame is drawn
STALE_SECONDS = 0.5  # of play, after which a true frame that stays is dimmed
NOBODY_KNOWS = tell("the truth is not known any more")

Result = TypeVar("Result")


class Asked(NamedTuple):
    """A true frame that is being drawn: of which truth, after which actions."""

    truth: Truth
    actions: list[int]
    frame: "Future[np.ndarray | None]"


class Compared(NamedTuple):
    """The newest frame that was compared, as it was dreamt and as it really is."""

    number: int
    dreamt: np.ndarray
    true: np.ndarray


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
        self._compared: Compared | None = None
        self._engine = ThreadPoolExecutor(1, "truth")  # an engine may belong to one thread
        self._found: tuple[Start, Future[Truth | None]] | None = None
        self._asked: Asked | None = None
        self._catching = threading.Lock()  # a status may be asked for from another thread
        self._unknown_from: int | None = None  # the first number that nobody knows
        self._leap_at = 0.0  # when frames that play has left behind are not drawn any more

    def find(self, start: Start) -> "Future[Truth | None]":
        """Begin to look for the truth of a start, which may take as long as its engine needs to
        start; `knows` then tells.
        """
        found = self._engine.submit(lambda: find_truth(start, self._find_engine(start)))
        self._found = start, found
        wait([found], SLICE)  # a quick engine is there by then
        return found

    @property
    def is_found(self) -> bool:
        """Whether what was looked for is known."""
        return self._found is not None and self._found[1].done()

    def knows(self, start: Start) -> bool:
        """Whether the truth of a start can be had; opens the engine where it needs one."""
        if start is not self._start:
            looked_for, found = self._found or (None, None)
            if found is None or looked_for is not start:
                found = self.find(start)
            truth = found.result()
            self._start, self._asked, self._compared = start, None, None
            self._unknown_from = None
            self._truth = truth
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
        episode = self._do(lambda: play(self._open_engine(), chosen, CONTEXT, "heldout")).episode
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
        self._leap_at = time.monotonic() + CATCH_UP_SECONDS
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
        if self._compared is not None and self._compared.number > here:
            self._compared = None
        if self._unknown_from is not None and self._unknown_from > here:
            self._unknown_from = None
        self._dreamt[here] = point.frame
        self._catch_up()

    def step(self, step: Step) -> None:
        """A move was made."""
        self._actions.append(step.move.taken)
        self._dreamt[len(self._actions)] = step.frame
        self._catch_up()

    def panes(self, number: int, frame: np.ndarray) -> tuple[Pane, ...]:
        """Truth, dream and difference of one frame; of the newest that has a truth, where this one
        has none yet.
        """
        self._catch_up()
        dream = Pane(frame, tell("dream"), marked=True, newest=True)
        if number in self._true:
            true = self._true[number]
            label = label_difference(self._decibels.get(number))
            return Pane(true, self._truth.name), dream, Pane(difference(true, frame), label)
        known, true = self._find_last_true(number)
        behind = number - known
        name, label = self._describe_late(number, behind), label_difference(None)
        apart = None
        if (last := self._compared) is not None and last.number == known:
            apart = difference(last.true, last.dreamt)
            label = label_difference(self._decibels[known])
        stale = name == NOBODY_KNOWS or behind > STALE_SECONDS * self._place.fps
        return Pane(true, name, dimmed=stale), dream, Pane(apart, label, dimmed=stale)

    def _find_last_true(self, number: int) -> tuple[int, np.ndarray | None]:
        """The last number before one whose truth is known, and its frame; the start's at worst."""
        known = max((at for at in list(self._true) if at < number), default=0)
        context = self._start.context_frames
        return known, self._true.get(known, None if context is None else context[-1])

    def _describe_late(self, number: int, behind: int) -> Told:
        """Why the truth beside a frame is of an earlier one."""
        unknown = self._unknown_from is not None and number >= self._unknown_from
        if self._truth is None or unknown:
            return NOBODY_KNOWS
        if behind == 1:
            return join([tell("truth"), tell("a frame behind")], by=", ")
        return join([tell("truth"), tell("{behind} frames behind", behind=behind)], by=", ")

    def curve(self, number: int) -> tuple[float, ...]:
        """PSNR in dB of the frames from the start up to a number, as far as they are known."""
        return tuple(self._decibels[at] for at in sorted(self._decibels) if at <= number)

    def make_grounded_start(self, number: int) -> Start:
        """A start in the true frames up to a number, as many as the last start had.

        Raises:
            ValueError: the truth is not known there.
        """
        start, actions = self._start, self._actions[:number]
        if self._truth is None or self._draw(actions) is None:
            raise ValueError(
                tell(
                    "Ground truth is unavailable: the actions taken differ from those of the clip."
                )
            )
        kept = len(start.context_frames)
        newest = range(max(1, number - kept + 1), number + 1)
        true = [self._draw(actions[:at]) for at in newest]
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

    def close(self, waits: bool = True) -> None:
        """Let go of the engine; what it is doing ends first.

        Args:
            waits: whether to come back only then.
        """
        self._engine.submit(self._close_engine)
        self._engine.shutdown(wait=waits)

    def _close_engine(self) -> None:
        if self._env is not None:
            self._env.close()
            self._env = None

    def _do(self, work: Callable[[], Result]) -> Result:
        """Do something with the engine, and wait for it."""
        return self._engine.submit(work).result()

    def _draw(self, actions: list[int]) -> np.ndarray | None:
        return self._do(lambda: self._truth.frame(actions))

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
        """Take in true frames that were drawn, and ask for the next, until the newest is there or
        play has waited for long enough.
        """
        if self._truth is None:
            self._dreamt.clear()
        elif self._catching.acquire(blocking=False):  # else another thread is at it
            try:
                self._take_until(time.monotonic() + SLICE)
            finally:
                self._catching.release()

    def _take_until(self, deadline: float) -> None:
        while self._reached <= len(self._actions):
            if self._asked is None:
                self._asked = self._ask()
            wait([self._asked.frame], max(0.0, deadline - time.monotonic()))
            if not self._asked.frame.done():
                return
            asked, self._asked = self._asked, None
            self._take(asked)

    def _ask(self) -> Asked:
        """Have the next true frame drawn; the newest, where play has left the next ones behind."""
        newest, truth = len(self._actions), self._truth
        if newest - self._reached > FEW and time.monotonic() > self._leap_at:
            self._reached = newest
        actions = self._actions[: self._reached]
        return Asked(truth, actions, self._engine.submit(truth.frame, actions))

    def _take(self, asked: Asked) -> None:
        """Compare what was drawn, unless another way was taken meanwhile."""
        true, number = asked.frame.result(), len(asked.actions)
        if asked.truth is not self._truth or asked.actions != self._actions[:number]:
            return
        self._reached = number + 1
        dreamt = self._dreamt.pop(number, None)
        self._dreamt = {at: frame for at, frame in self._dreamt.items() if at > number}
        if true is None:
            self._unknown_from = number if self._unknown_from is None else self._unknown_from
            return
        self._true[number] = true
        if len(self._true) > KEPT:
            del self._true[min(self._true)]
        if dreamt is not None:
            self._decibels[number] = float(psnr(dreamt, true))
            self._compared = Compared(number, dreamt, true)


def label_difference(decibels: float | None) -> Told:
    """What the difference is called, with how alike the two are in dB where that is known."""
    if decibels is None:
        return tell("difference")
    return tell("difference, {decibels:.1f} dB", decibels=decibels)


def difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far two pictures are apart, pixel by pixel, enlarged: uint8 `[H,W,3]`."""
    apart = np.abs(one.astype(np.int16) - other.astype(np.int16))
    return np.minimum(GAIN * apart, 255).astype(np.uint8)
