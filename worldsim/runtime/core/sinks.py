"""Who watches a session: the protocol, and the Meter.

A sink watches and never changes what happens. The Window and the Recorder are sinks too.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from worldsim.runtime.core.clock import Clock
from worldsim.runtime.core.moves import Point, Step
from worldsim.runtime.core.status import Status


class Sink:
    """A watcher that sees nothing; a real one overrides what it cares about.

    The calls come from the session's thread. `begin`, any number of `step`s, `end`: one straight
    line, every step following the one before. `show` is whatever is to be seen now, line or not.
    """

    def begin(self, point: Point) -> None:
        """Steps follow one another from here."""

    def step(self, step: Step) -> None:
        """A move was made."""

    def end(self, why: str) -> None:
        """The line is over: rewound, reset, loaded, or the session is closed."""

    def show(self, frame: np.ndarray | None, status: Status) -> None:
        """The picture (uint8 `[H,W,3]`, None before the first) and the figures of this moment."""

    def close(self) -> None:
        """The session is closed; write down what is left."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """How fast frames were made.

    Attributes:
        fps: frames a second, from first to last.
        p50_ms: the median time the environment took.
        p99_ms: what 99 of 100 stayed below.
        frames: how many this is about.
    """

    fps: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    frames: int = 0


PAUSE_SECONDS = 1.0  # nobody asked for a frame for so long


class Meter(Sink):
    """Times the newest steps.

    Args:
        window: how many steps are looked at.
        clock: where the time comes from.
    """

    def __init__(self, window: int = 120, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._seconds: deque[float] = deque(maxlen=window)
        self._ends: deque[float] = deque(maxlen=window + 1)

    def begin(self, point: Point) -> None:
        """A reset is no frame: the clock starts again."""
        self._ends.clear()
        self._ends.append(self._clock.now())

    def step(self, step: Step) -> None:
        """Count a step; after a pause, which is no frame, the clock starts again."""
        now = self._clock.now()
        if self._ends and now - self._ends[-1] > step.seconds + PAUSE_SECONDS:
            self._ends.clear()
            self._ends.append(now - step.seconds)
        self._seconds.append(step.seconds)
        self._ends.append(now)

    def figures(self) -> Figures:
        """The figures of the newest steps."""
        if not self._seconds:
            return Figures()
        p50, p99 = np.percentile(self._seconds, (50, 99)) * 1000
        span = self._ends[-1] - self._ends[0]
        fps = (len(self._ends) - 1) / span if span > 0 else 0.0
        return Figures(fps=fps, p50_ms=float(p50), p99_ms=float(p99), frames=len(self._seconds))
