"""Several who can drive, one at a time: you, a policy, a recording, chance. Touch a key, and you
drive.

Knows no screen.
"""

from collections.abc import Sequence

import numpy as np

from worldsim.actions import ActionSet
from worldsim.controls import Action, read_action
from worldsim.runtime.core.control import Choice, Controller, Keyboard, choose_taken
from worldsim.runtime.core.moves import Point, Step
from worldsim.runtime.core.sinks import Sink
from worldsim.told import tell


class Drivers(Controller):
    """A keyboard and others; a key of the player's takes over from whoever drives.

    Args:
        keyboard: the player; also where pictures are chosen from.
        others: who else can drive, in the order in which they are asked for.
    """

    def __init__(self, keyboard: Keyboard, others: Sequence[Controller]) -> None:
        self.keyboard = keyboard
        self._all = [keyboard, *others]
        self._now: Controller = keyboard
        self.latch = keyboard.latch

    @property
    def name(self) -> str:
        """Who drives."""
        return self._now.name

    def turn(self) -> str:
        """Let the next one drive who can; its name."""
        at = self._all.index(self._now)
        after = self._all[at + 1 :] + self._all[: at + 1]
        self._now = next(one for one in after if getattr(one, "ready", True))
        return self._now.name

    def meet(self, actions: ActionSet) -> None:
        """Everybody meets the actions."""
        for one in self._all:
            one.meet(actions)

    def choose(self, frame: np.ndarray) -> Choice | None:
        """The player's choice if there is one, else that of whoever drives.

        Raises:
            Exception: whoever drove failed; from now on the player drives.
        """
        choice = self.choose_by_player(frame)
        if choice is not None:
            return choice
        try:
            return None if self._now is self.keyboard else self._now.choose(frame)
        except Exception:  # a policy is anybody's function; the player goes on without it
            self._now = self.keyboard
            raise

    def choose_by_player(self, frame: np.ndarray) -> Choice | None:
        """The player's choice, who drives from then on; None where no key is pressed."""
        choice = self.keyboard.choose(frame)
        if choice is not None:
            self._now = self.keyboard
        return choice

    def forget(self) -> None:
        """Everybody drops what was asked for."""
        for one in self._all:
            one.forget()


class Follower(Controller, Sink):
    """Does what was done after this start, where that is known; a sink, to know where play is."""

    name = tell("the recording")

    def __init__(self) -> None:
        self._future: list[Action] = []
        self._actions: ActionSet | None = None
        self._at = 0

    def meet(self, actions: ActionSet) -> None:
        """Take the world's action table."""
        self._actions = actions

    @property
    def ready(self) -> bool:
        """Whether there is anything left to do."""
        return self._at < len(self._future)

    def begin(self, point: Point) -> None:
        """A line begins: what followed it is what is to be done."""
        future = point.start.future
        self._future = [] if future is None else [read_action(action) for action in future[1]]
        self._at = len(point.lead_in)

    def step(self, step: Step) -> None:
        """A move was made, whoever chose it."""
        self._at += 1

    def choose(self, frame: np.ndarray) -> Choice | None:
        """What was done at this frame, or nothing at the end."""
        return choose_taken(self._future[self._at], self._actions) if self.ready else None
