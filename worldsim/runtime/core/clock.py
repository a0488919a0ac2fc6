"""Time: a steady beat for the loop. Knows no frames."""

import time


class Clock:
    """The machine's monotonic clock; a wall clock that jumps does not touch it."""

    def now(self) -> float:
        """Seconds since some fixed moment."""
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        """Do nothing for a while."""
        time.sleep(seconds)


class Pacer:
    """Says when the next frame is due, at a fixed number of frames a second.

    A frame that comes late moves the beat: time that was lost is not made up for in a burst.

    Args:
        fps: frames a second; 0 for as fast as possible.
        clock: where the time comes from.
    """

    def __init__(self, fps: float, clock: Clock | None = None) -> None:
        if not 0 <= fps < float("inf"):
            raise ValueError(f"fps must be >= 0 (0: as fast as possible), got {fps}.")
        self.period = 1.0 / fps if fps else 0.0
        self._clock = clock or Clock()
        self._due = float("-inf")

    def remaining(self) -> float:
        """Seconds until the next frame is due; 0 when it is."""
        return max(0.0, self._due - self._clock.now())

    def beat(self) -> None:
        """A frame begins now: the next one is due a period later."""
        now = self._clock.now()
        late = now - self._due
        # A little lateness is the sleep's own error: keep the beat, or every frame would drift.
        start = self._due if late < 0.5 * self.period else now
        self._due = start + self.period
