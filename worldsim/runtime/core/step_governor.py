"""How many sampler steps a frame may cost: the governor. Knows no network.

It watches how long frames take and keeps them within the world's pace: fewer sampler steps when
they come late, more when there is time to spare, never more than the world's own number, nor less
than half of it: a world that is invented in a step or two is one that nobody wants to walk in, so
beyond that frames come later.
"""

from collections import deque
from collections.abc import Iterable

import numpy as np

from worldsim.runtime.core.moves import Step
from worldsim.runtime.core.sinks import Sink
from worldsim.types import STEPS

NOISE = range(0, 100, 10)  # context noise that can be chosen, in per cent
LOOKED_AT = 16  # frames before it judges
LATE, EARLY = 0.95, 0.7  # of the time between two frames
PATIENCE = 64  # frames before a number that was too slow is tried again; doubles every time


class StepGovernor(Sink):
    """Chooses the sampler steps from the time that the newest frames took.

    Args:
        on: whether it decides at all; a player who chooses a number switches it off.
        most: the highest number it may choose; None for the one it first meets, the world's own.
    """

    def __init__(self, on: bool = True, most: int | None = None) -> None:
        self.on = on
        self._most = most
        self._seconds: deque[float] = deque(maxlen=LOOKED_AT)
        self._made = 0
        self._too_slow: dict[int, tuple[int, int]] = {}  # steps -> when to try again, patience

    def step(self, step: Step) -> None:
        """A frame was made in so many seconds."""
        self._made += 1
        self._seconds.append(step.seconds)

    def steps(self, now: int, period: float) -> int:
        """The sampler steps of the next frame.

        Args:
            now: those of the newest frame; 0 where the world has none.
            period: seconds a frame may take; 0 for as fast as possible, which leaves all as it is.
        """
        if not self.on or not now or not period:
            return now
        self._most = self._most or now
        if len(self._seconds) < LOOKED_AT:
            return now
        slow = float(np.percentile(self._seconds, 90))
        least = min(now, max(self._most // 2, 1))
        lower = max((k for k in STEPS if least <= k < now), default=now)
        higher = min((k for k in (*STEPS, self._most) if now < k <= self._most), default=now)
        if slow > LATE * period and lower < now:
            _, patience = self._too_slow.get(now, (0, PATIENCE // 2))
            self._too_slow[now] = self._made + 2 * patience, 2 * patience
            return self._change(lower)
        again, _ = self._too_slow.get(higher, (0, 0))
        # As if all of a frame were sampling: a little too careful, so it does not swing.
        if higher > now and slow * higher / now < EARLY * period and self._made >= again:
            return self._change(higher)
        return now

    def _change(self, steps: int) -> int:
        self._seconds.clear()
        return steps


def find_next_steps(now: int, direction: int, own: int) -> int:
    """The next higher (+1) or lower (-1) number of sampler steps, or the same at the end; `own` is
    the world's, which may be any.
    """
    return _find_next((*STEPS, own), now, direction)


def find_next_noise(now: int, direction: int) -> int:
    """The next higher (+1) or lower (-1) context noise in per cent, or the same at the end."""
    return _find_next(NOISE, now, direction)


def _find_next(known: Iterable[int], now: int, direction: int) -> int:
    wanted = [k for k in known if (k - now) * direction > 0]
    return min(wanted, key=lambda k: abs(k - now), default=now)
