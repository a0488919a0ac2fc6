"""What if: every action imagined at once from one moment, some frames ahead, each in its own tile.

A dream imagines all of them in one batched forward. An engine is fast, and goes each way in turn.
The moment itself is left as it was; picking a way makes its moves for real.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from worldsim.runtime.core.clock import Clock, Pacer
from worldsim.runtime.core.moves import NO_NOISE, Move
from worldsim.runtime.core.pane_layout import Pane
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.told import join, tell

AHEAD = 8  # frames


class Ways(Protocol):
    """Every action taken again and again, side by side."""

    def advance(self) -> np.ndarray:
        """The next frame of every way: uint8 `[A,H,W,3]`."""


class DreamtWays:
    """All ways as rows of one batch."""

    def __init__(self, place: PlayableEnv, how: Move) -> None:
        self._world, self._how = place.base.world, how
        self._actions = np.arange(len(place.actions))
        self._state = place.base.memory.select([0] * len(self._actions))

    def advance(self) -> np.ndarray:
        """One batched forward."""
        noise = None if self._how.noise == NO_NOISE else self._how.noise / 100
        how = self._how.steps, noise
        self._state, frames = self._world.step(self._state, self._actions, *how)
        return frames


class WalkedWays:
    """All ways one after another in one engine, which is put back where it was."""

    def __init__(self, place: PlayableEnv, how: Move) -> None:
        self._place, self._how = place, how
        self._states: list[Any] = [place.clone()] * len(place.actions)

    def advance(self) -> np.ndarray:
        """One step of each way."""
        place, here = self._place, self._place.clone()
        frames = []
        try:
            for action, state in enumerate(self._states):
                place.restore(state)
                frames.append(place.step(self._how._replace(action=action)).frame)
                self._states[action] = place.clone()
        finally:
            place.restore(here)
        return np.stack(frames)


class ActionPreview:
    """Pictures of the outcomes, shown in a loop while they are imagined and afterwards.

    Args:
        place: where the moment is.
        how: a move, whose sampler steps and noise all ways have.
        clock: the session's.
        picked: what to do with the actions of the way that was picked.

    Raises:
        ValueError: the world cannot try ways out.
    """

    by_action = True

    def __init__(
        self, place: PlayableEnv, how: Move, clock: Clock, picked: Callable[[list[int]], None]
    ) -> None:
        if not place.rewinds:
            raise ValueError(
                tell("This world cannot try ways out: it has no states to come back to.")
            )
        self.title = tell("Pick a way: its number, or its key. B or Backspace leaves.")
        self._names, self._picked = place.actions.names, picked
        self._ways: Ways = (DreamtWays if place.dreams else WalkedWays)(place, how)
        self._frames: list[np.ndarray] = [self._ways.advance()]
        self._shown = 0
        self._pacer = Pacer(place.fps, clock)

    @property
    def ahead(self) -> int:
        """How many frames were imagined."""
        return len(self._frames)

    def panes(self) -> tuple[Pane, ...]:
        """The frame of every way that is to be seen now."""
        frames = self._frames[self._shown]
        at = f"+{self._shown + 1}"
        labels = (
            join([f"{number} ", tell(name), f" {at}"]) for number, name in enumerate(self._names, 1)
        )
        return tuple(Pane(frame, label) for frame, label in zip(frames, labels, strict=True))

    def tick(self) -> bool:
        """Imagine one more frame of each way, or show the next one."""
        if self.ahead < AHEAD:
            self._frames.append(self._ways.advance())
            self._shown = self.ahead - 1
            return True
        if self._pacer.remaining():
            return False
        self._pacer.beat()
        self._shown = (self._shown + 1) % self.ahead
        return True

    def more(self) -> bool:
        """There is one page."""
        return False

    def pick(self, number: int) -> None:
        """Go the way of the action with this number, from 1.

        Raises:
            ValueError: there is no such action.
        """
        count = len(self._names)
        if number > count:
            raise ValueError(
                tell("action must be in [1, {count}], got {number}.", count=count, number=number)
            )
        self._picked([number - 1] * self.ahead)
