"""The memory that makes rewinding instant and exact.

Frames are small, states are not: every shown frame is kept (bounded), but a state of the
environment only every 32 steps, and every 4 within the newest 32, so that going back a little
costs at most 3 repeated steps and going back far at most 31. All of it stays below a number of
bytes: where states are large, fewer are kept. States share memory, and one that is kept keeps alive
what it shares: every buffer is weighed once, as long as any kept state holds it; and a state whose
neighbours were dropped is rebased onto the one kept before it, so that they are truly gone. Knows
no environment: it is given states and gives them back.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from worldsim.held_memory import Ledger, measure_storages

SPARSE = 32
DENSE = 4
BUDGET = 256 << 20  # bytes


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A frame that was shown, the pose in it (None where unknown), and the reward it came with."""

    frame: np.ndarray
    pose: np.ndarray | None = None
    reward: float = 0.0


class History:
    """Shown moments by number, and the states to come back to.

    Args:
        number: number of the first moment (0 at a start, more after a load).
        moment: the first moment.
        state: the environment's state there.
        sparse: a state is kept for every so many steps.
        dense: and for every so many among the newest `sparse` steps.
        budget: bytes that frames and states may take, moments before are forgotten; the newest
            ones are kept in any case.
        weigh: the bytes of a state in which no buffers are found (held_memory.py).
    """

    def __init__(
        self,
        number: int,
        moment: Moment,
        state: Any,
        sparse: int = SPARSE,
        dense: int = DENSE,
        budget: int = BUDGET,
        weigh: Callable[[Any], int] = lambda state: 0,
    ) -> None:
        assert sparse % dense == 0
        self._sparse, self._dense = sparse, dense
        self._first = number
        self._budget, self._weigh = budget, weigh
        self._moments: OrderedDict[int, Moment] = OrderedDict({number: moment})
        self._states: OrderedDict[int, Any] = OrderedDict()
        self._parts: dict[int, dict[int, int]] = {}
        self._rebased: set[int] = set()
        self._ledger = Ledger()
        self._hold(number, state)
        self._spare = self._ledger.bytes

    @property
    def first(self) -> int:
        """The oldest number that can be gone back to."""
        return next(iter(self._moments))

    @property
    def bytes(self) -> int:
        """Memory that frames and states keep alive; and once more that of a whole state, since
        the newest is made before old ones are dropped.
        """
        frame = getattr(self._moments[self.last].frame, "nbytes", 0)
        return frame * len(self._moments) + self._ledger.bytes + self._spare

    @property
    def last(self) -> int:
        """The newest number."""
        return next(reversed(self._moments))

    def __getitem__(self, number: int) -> Moment:
        return self._moments[number]

    def wants_state(self, number: int) -> bool:
        """Whether the state at this number should be given to `add`."""
        return number % self._dense == 0

    def add(self, number: int, moment: Moment, state: Any = None) -> None:
        """Keep the moment that follows the newest one, with its state if it was wanted."""
        assert number == self.last + 1
        self._moments[number] = moment
        if self.wants_state(number):
            self._hold(number, state)
            self._thin(number)

    def keyframe(self, number: int) -> tuple[int, Any]:
        """The newest state at or before `number`: its own number, and the state."""
        return next(item for item in reversed(self._states.items()) if item[0] <= number)

    def cut(self, number: int) -> None:
        """Forget everything after `number`: play goes on from there."""
        while self.last > number:
            self._moments.popitem()
        for later in [kept for kept in self._states if kept > number]:
            self._drop(later)

    def _hold(self, number: int, state: Any) -> None:
        parts = measure_storages(state) or {id(state): self._weigh(state)}
        self._ledger.add(parts)
        if number in self._parts:
            self._ledger.remove(self._parts[number])
        self._parts[number], self._states[number] = parts, state

    def _drop(self, number: int) -> None:
        self._ledger.remove(self._parts.pop(number))
        self._rebased.discard(number)
        del self._states[number]

    def _thin(self, newest: int) -> None:
        old, before = [number for number in self._states if number < newest - self._sparse], None
        for number in old:
            if number % self._sparse and number != self._first:
                self._drop(number)
                continue
            if number not in self._rebased and before is not None:
                self._hold(number, rebase_state(self._states[number], self._states[before]))
                self._rebased.add(number)
            before = number
        fewest = self._sparse // self._dense + 1
        while self.bytes > self._budget and len(self._states) > fewest:
            self._drop(next(iter(self._states)))
            self._first = next(iter(self._states))
            while self.first < self._first:
                self._moments.popitem(last=False)


def rebase_state(state: Any, base: Any) -> Any:
    """A state that shares memory with another one and no longer with those it was made after; one
    that cannot be, as it is. States of several parts, such as a wrapper's, part by part.
    """
    if hasattr(state, "rebase"):
        return state.rebase(base)
    alike = isinstance(state, tuple) and type(state) is type(base) and len(state) == len(base)
    if not alike:
        return state
    parts = [rebase_state(*pair) for pair in zip(state, base, strict=True)]
    return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)
