"""Dreams that are made together, in one batch of the network, and come and go in it. Knows no
player and no network connection.

A dream's frames are, bit for bit, what they would be alone (worldsim/world/batch_invariant.py).
"""

from collections import deque
from collections.abc import Sequence
from threading import RLock
from typing import Any

import numpy as np

from worldsim.runtime.core.state_history import History, Moment
from worldsim.world.batching import concat
from worldsim.world.snapshot import recall, take
from worldsim.world.state import WorldState

BUDGET = 32 << 20  # bytes of frames and states that a dream keeps to go back to


class Dream:
    """One dream: where it came from, its moves, and what it can go back to.

    Args:
        state: one that it can go on from.
        frame: the frame there, uint8 `[H,W,3]`.
        start: number of the world's start; None for a state that was brought.
        moves: the actions that led to the frames after its first.
        origin: number of its first frame; None for that of `state`.

    Attributes:
        seed: of its noise.
        ahead: the last of its moves, which are still to be made, or made again.
        lock: held while moves are added or dropped.
    """

    def __init__(
        self,
        state: WorldState,
        frame: np.ndarray,
        start: int | None,
        moves: bytes = b"",
        origin: int | None = None,
    ) -> None:
        at = state.counts[0]
        self.origin = at if origin is None else origin
        self.start, self.seed, self.frame = start, state.seeds[0], frame
        self.moves, self.ahead = bytearray(moves), deque(moves[at - self.origin :])
        self.state: WorldState | None = state  # None while it is in the batch
        self.snapshot, self.lock = take(state), RLock()
        self.history = History(at, Moment(frame=frame), self.snapshot, budget=BUDGET)

    @property
    def count(self) -> int:
        """The number of the frame that all its moves lead to."""
        return self.origin + len(self.moves)

    @property
    def made(self) -> int:
        """The number of the frame that its state is at."""
        return self.count - len(self.ahead)

    def ask(self, action: int) -> None:
        """Let an action be the next move."""
        with self.lock:
            self.moves.append(action)
            self.ahead.append(action)


class DreamBatch:
    """The dreams of one world that are in memory. One thread at a time may call it.

    Args:
        world: who dreams.
        steps: sampler steps a frame; None for the world's own number.
    """

    def __init__(self, world: Any, steps: int | None = None) -> None:
        self.world, self.steps = world, steps
        self._starts: dict[int, WorldState] = {}
        self._members: list[Dream] = []
        self._state: WorldState | None = None
        self.together = True  # until memories turn out not to fit into one batch

    def take_in(self, start: int) -> None:
        """Take in the true frames of a start, which takes seconds; once."""
        if start not in self._starts:
            spawn = self.world.spawns[start]
            context = (spawn.frames[None], spawn.actions[None])
            self._starts[start] = self.world.reset(*context, [0])

    def begin(self, start: int, seed: int) -> Dream:
        """A dream from one of the world's starts."""
        return Dream(*self.open_start(start, seed), start)

    def open_start(self, start: int, seed: int) -> tuple[WorldState, np.ndarray]:
        """State and frame at a start, with a seed of the noise."""
        self.take_in(start)
        frame = self.world.spawns[start].frames[-1].copy()
        return self._starts[start].fork([seed]), frame

    def step(self, dreams: Sequence[Dream]) -> dict[Dream, str]:
        """Make the move that lies ahead of each, in one forward.

        Returns:
            What became of those that ran away to numbers that are not finite, in a sentence; they
            must be rewound to a frame that is kept.
        """
        wanted = {dream: dream.made + 1 for dream in dreams}
        if self.together:
            try:
                self._step_together(list(dreams))
                return {}
            except ValueError:  # one of them; which is not told
                pass
        failed = {}
        for dream, number in wanted.items():
            try:
                while dream.made < number:
                    self._step_together([dream])
            except ValueError as error:
                failed[dream] = str(error)
        return failed

    def _step_together(self, dreams: list[Dream]) -> None:
        """Raises ValueError where a dream runs away; all are at a kept state then."""
        self._gather(dreams)
        state, self._state = self._state, None  # stepping uses it up, also when it fails
        actions = np.array([dream.ahead[0] for dream in dreams])
        try:
            self._state, frames = self.world.step(state, actions, self.steps)
        except Exception:
            self._members = []
            for dream in dreams:
                self._go_back(dream, dream.made)
            raise
        for row, (dream, frame) in enumerate(zip(dreams, frames, strict=True)):
            self._note(dream, row, frame)

    def _note(self, dream: Dream, row: int, frame: np.ndarray) -> None:
        dream.ahead.popleft()
        dream.frame, number = frame, dream.made
        if number <= dream.history.last:  # made again
            return
        snapshot = None
        if dream.history.wants_state(number):
            snapshot = dream.snapshot = take(self._split(row), dream.snapshot)
        dream.history.add(number, Moment(frame=frame), snapshot)

    def rewind(self, dream: Dream, number: int) -> None:
        """Go back to an earlier frame, which is shown at once; up to 31 moves are made again before
        the next one.

        Raises:
            ValueError: it is not kept any more.
        """
        oldest, newest = dream.history.first, dream.history.last
        if not oldest <= number <= newest:
            raise ValueError(f"step must be in [{oldest}, {newest}], got {number}")
        with dream.lock:
            del dream.moves[number - dream.origin :]
            dream.history.cut(number)
            self._go_back(dream, number)
        dream.frame = dream.history[number].frame

    def _go_back(self, dream: Dream, number: int) -> None:
        """Let its state be a kept one, the moves up to the newest frame ahead."""
        self._leave(dream)
        at, dream.snapshot = dream.history.keyframe(number)
        dream.state = recall(self.world, dream.snapshot)
        with dream.lock:
            dream.ahead = deque(dream.moves[at - dream.origin :])

    def _leave(self, dream: Dream) -> None:
        """Let the batch fall apart into the others' own states."""
        if dream in self._members:
            for row, member in enumerate(self._members):
                member.state = None if member is dream else self._split(row)
            self._members, self._state = [], None

    def forget(self, dream: Dream) -> None:
        """Drop a dream's memory."""
        self._leave(dream)
        dream.state = None

    def current(self, dream: Dream) -> WorldState:
        """Its state at frame `made`; to be read, or forked."""
        if dream.state is not None:
            return dream.state
        return self._split(self._members.index(dream))

    def _split(self, row: int) -> WorldState:
        """The state of one of the batch, a copy."""
        assert self._state is not None, "the batch must hold dreams"
        return self._state.select([row])

    def _gather(self, dreams: list[Dream]) -> None:
        """Let the batch be these dreams in this order; as it was, nothing is copied."""
        if dreams == self._members:
            return
        states = [self.current(dream) for dream in dreams]
        joined = states[0] if len(states) == 1 else self._concat(states)
        for row, member in enumerate(self._members):
            if member not in dreams:
                member.state = self._split(row)
        for dream in dreams:
            dream.state = None
        self._members, self._state = dreams, joined

    def _concat(self, states: list[WorldState]) -> WorldState:
        try:
            return concat(states)
        except ValueError:
            self.together = False
            raise
