"""Who drives: the keyboard, a script, a recording, chance, or nobody. Knows no screen.

A controller is asked as late as possible, right before the frame is made, and answers with an
action or with None: nobody asks for anything just now.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from worldsim.actions import ActionSet
from worldsim.controls import Action, find_nearest, read_action
from worldsim.told import tell

OPPOSITES = (("forward", "back"), ("forward", "backward"), ("left", "right"), ("up", "down"))


@dataclass(frozen=True, kw_only=True)
class Choice:
    """An action, and when it was asked for.

    Attributes:
        action: the action's id.
        pressed_at: the clock's time of the key press; None where no key was pressed for it.
        control: turn in degrees and stride of a continuous action, of which `action` is the
            nearest; None where it is chosen by its id.
    """

    action: int
    pressed_at: float | None = None
    control: tuple[float, float] | None = None


def choose_taken(action: Action, actions: ActionSet | None) -> Choice:
    """The choice of an action, told by its id or as a control, in float32's numbers."""
    if not isinstance(action, tuple):
        return Choice(action=action)
    assert actions is not None  # who chooses has met them
    turn, stride = np.array(action, np.float32).tolist()
    return Choice(action=find_nearest((turn, stride), actions), control=(turn, stride))


class Controller(Protocol):
    """Decides the next action."""

    name: str

    def meet(self, actions: ActionSet) -> None:
        """The world is open, and these are its actions; called before anything else."""
        return

    def choose(self, frame: np.ndarray) -> Choice | None:
        """The action to take after `frame` (uint8 `[H,W,3]`), or None to wait."""

    def choose_by_player(self, frame: np.ndarray) -> Choice | None:
        """What the player asks for, whoever drives; None where that is nothing."""
        return None

    def forget(self) -> None:
        """Drop what was asked for but not done: play was paused, or went somewhere else."""
        return


class Latch:
    """Which keys are down, or were tapped since the last look. Safe between threads.

    A tap shorter than a frame still counts once; however often a key was pressed in between,
    it counts once only, so nothing piles up while the model thinks.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._down: dict[str, float] = {}
        self._fresh: dict[str, float] = {}

    def press(self, key: str, at: float) -> None:
        """A key went down at the clock's time `at`."""
        with self._lock:
            self._down.pop(key, None)
            self._down[key] = at
            self._fresh.setdefault(key, at)

    def release(self, key: str) -> None:
        """A key came up; a key that was not down is nothing."""
        with self._lock:
            self._down.pop(key, None)

    def clear(self) -> None:
        """Forget everything: the window lost the keyboard, so releases would go unseen."""
        with self._lock:
            self._down.clear()
            self._fresh.clear()

    def held(self) -> tuple[str, ...]:
        """The keys that are down, the newest last."""
        with self._lock:
            return tuple(self._down)

    def forget_taps(self) -> None:
        """Keep only the keys that are down."""
        with self._lock:
            self._fresh.clear()

    def take(self) -> dict[str, float | None]:
        """Keys down or tapped since the last take, newest last, with the time of a new press."""
        with self._lock:
            pressed = self._fresh | self._down
            taken = {key: self._fresh.get(key) for key in sorted(pressed, key=pressed.__getitem__)}
            self._fresh.clear()
            return taken


class Keyboard(Controller):
    """Keys become actions: the newest key wins, opposite keys cancel each other."""

    name = tell("you")

    def __init__(self) -> None:
        self.latch = Latch()
        self._actions: ActionSet | None = None

    def meet(self, actions: ActionSet) -> None:
        """Take the world's table of keys."""
        self._actions = actions

    def choose(self, frame: np.ndarray) -> Choice | None:
        """The action of the keys that are down, or were tapped since the last frame."""
        actions = self._actions
        held: dict[int, float | None] = {}
        for key, pressed_at in self.latch.take().items():
            if key in actions.keys:
                action = actions.id(actions.keys[key])
                held.pop(action, None)
                held[action] = pressed_at
        for one, other in find_opposites(actions):
            if one in held and other in held:
                del held[one], held[other]
        if not held:
            return None
        action, pressed_at = held.popitem()
        return Choice(action=action, pressed_at=pressed_at)

    def choose_by_player(self, frame: np.ndarray) -> Choice | None:
        """The same: the player is who drives."""
        return self.choose(frame)

    def forget(self) -> None:
        """Taps that came at the wrong time do nothing later."""
        self.latch.forget_taps()


def find_opposites(actions: ActionSet) -> list[tuple[int, int]]:
    """Pairs of action ids that undo each other."""
    known = [pair for pair in OPPOSITES if set(pair) <= set(actions.names)]
    pairs = {(actions.id(one), actions.id(other)) for one, other in known}
    for one, turn in enumerate(actions.turns):
        for other in range(one + 1, len(actions)):
            if turn and actions.turns[other] == -turn:
                pairs.add((one, other))
    return sorted(pairs)


class Script(Controller):
    """Takes the given actions one after another, then waits.

    Args:
        actions: ids, controls, or None for a frame in which nothing is asked.
    """

    name = tell("script")

    def __init__(self, actions: Iterable[Action | None]) -> None:
        self._actions = iter(actions)
        self._known: ActionSet | None = None

    def meet(self, actions: ActionSet) -> None:
        """Take the world's action table."""
        self._known = actions

    def choose(self, frame: np.ndarray) -> Choice | None:
        """The next action of the script."""
        action = next(self._actions, None)
        return None if action is None else choose_taken(read_action(action), self._known)


class RandomWalk(Controller):
    """Takes actions by chance, a few times the same one, so that it gets somewhere.

    Args:
        seed: seed of its own generator.
        stick: the chance to repeat the last action.
    """

    name = tell("chance")

    def __init__(self, seed: int, stick: float = 0.6) -> None:
        self._stick = stick
        self._random = np.random.default_rng(seed)
        self._count = self._last = 0

    def meet(self, actions: ActionSet) -> None:
        """Learn how many actions there are."""
        self._count = len(actions)
        self._last = int(self._random.integers(self._count))

    def choose(self, frame: np.ndarray) -> Choice | None:
        """The last action again, or another one."""
        if self._random.random() >= self._stick:
            self._last = int(self._random.integers(self._count))
        return Choice(action=self._last)
