"""What a player asks for, on its way from the window's thread to the session's. Knows no screen.

Keys come in as names; actions end in a Latch for the Keyboard, intents in the CommandQueue.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from worldsim.actions import ActionSet
from worldsim.controls import Action, ControlLimits
from worldsim.runtime.core.control import Latch
from worldsim.runtime.core.intents import INTENTS, REPLAY_INTENTS, Intent, find_intent, hint
from worldsim.runtime.core.key_press import US, Layout, find_key, read_press
from worldsim.runtime.session.loading import WorldLoader


class Command(NamedTuple):
    """An intent by name, and which of its keys was pressed; or what only a mouse asks for: the path
    of a dropped file, when the mouse was dragged and the turns it made, or when it clicked and x
    and y of the place it clicked on, None where nobody knows that.
    """

    name: str
    value: "Value" = 0


Value = int | str | tuple[float, tuple[Action, ...]] | tuple[float, tuple[float, float] | None]
BY_WINDOW = ("open", "turn", "walk", "leave", "truth_found")
"""What is asked for without a key of its own: by a dropped file, the mouse, Esc over pictures, and
an engine that has started.
"""
_HOW = {intent.name: intent.how for intent in (*INTENTS, *REPLAY_INTENTS)}
_HOW |= dict.fromkeys(BY_WINDOW, "press")
MODIFIERS = ("left ctrl", "right ctrl", "left shift", "right shift", "left alt", "right alt")


class CommandQueue:
    """Intents that wait to be obeyed. Safe between threads.

    An intent waits once however often it was asked for, so a slow model finds no backlog; asking
    for a toggle a second time takes it back.
    """

    def __init__(self) -> None:
        self.holds = Latch()
        self._lock = threading.Lock()
        self._waiting: dict[Command, None] = {}
        self.signal = 0  # the number of the one that asked to quit
        self._stop = False

    def put(self, name: str, value: Value = 0) -> None:
        """Ask for an intent by name.

        Args:
            name: the intent's, or one of BY_WINDOW.
            value: which of the intent's keys it was, from 0; else see Command.
        """
        how = _HOW[name]
        if name == "quit":
            self.stop()
            return
        command = Command(name, value if how == "press" else 0)
        with self._lock:
            if command in self._waiting and how == "toggle":
                del self._waiting[command]
            else:
                self._waiting[command] = None

    def take(self) -> list[Command]:
        """What was asked for since the last take, in order."""
        with self._lock:
            taken = list(self._waiting)
            self._waiting.clear()
        return taken

    def stop(self) -> None:
        """Ask to quit. Takes no lock, so that a signal handler may call it at any moment."""
        self._stop = True

    @contextmanager
    def stop_on_signals(self) -> Iterator[None]:
        """While in this context a signal to end asks to quit, so that everything is written.

        A second Ctrl-C interrupts at once.
        """

        def stop(number: int, _: object) -> None:
            self.signal = number
            self.stop()
            signal.signal(number, before[number])

        names = ("SIGINT", "SIGTERM", "SIGHUP")
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        before = {number: signal.signal(number, stop) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def stopped(self) -> bool:
        """Whether somebody asked to quit."""
        return self._stop


class Keys:
    """Sorts key presses by the two tables.

    Args:
        opening: knows the world's actions, at the latest once it is open.
        latch: where the keys of actions go.
        command_queue: where the intents go.
    """

    def __init__(self, opening: WorldLoader, latch: Latch, command_queue: CommandQueue) -> None:
        self.command_queue = command_queue
        self.layout: Layout = US  # what is printed on the player's keys; the window knows
        self._opening = opening
        self._latch = latch
        self._down: dict[str, str] = {}  # physical key -> the key of the tables it went down as

    @property
    def actions(self) -> ActionSet | None:
        """The world's actions; None while they are not known yet."""
        return self._opening.actions

    @property
    def limits(self) -> ControlLimits | None:
        """What the world's continuous actions may say; None where it has none."""
        place = self._opening.place
        return None if place is None else place.limits

    @property
    def intents(self) -> tuple[Intent, ...]:
        """The table of everything else."""
        return self._opening.bindings.intents

    def down(self, key: str, at: float, place: str = "") -> str | Intent | None:
        """A key went down at the clock's time `at`.

        Args:
            key: what is printed on it; with Ctrl its name begins with "ctrl+".
            at: the clock's time.
            place: where it is, as a US keyboard names it (core/key_press.py); "" where unknown.

        Returns:
            An intent that only the window can carry out, a hint to show, or None.
        """
        press = read_press(key, place)
        actions = () if self.actions is None else self.actions.keys
        meant = find_key(press, actions, self._commands())
        if meant is None:
            if self.actions is None or key in MODIFIERS:
                return None
            unused = key if press.letter else place
            return hint(unused, self.actions, self.layout, self.intents)
        self._down[place or press.letter] = meant
        intent = find_intent(meant, self.intents)
        if intent is not None:
            return self._ask(intent, meant, at)
        self._latch.press(meant, at)
        return None

    def press(self, meant: str, at: float) -> Intent | None:
        """A key of the tables, by its name there, went down; an intent that only the window can
        carry out, or None.
        """
        intent = find_intent(meant, self.intents)
        if intent is not None:
            return self._ask(intent, meant, at)
        self._latch.press(meant, at)
        return None

    def _ask(self, intent: Intent, key: str, at: float) -> Intent | None:
        """Ask for an intent; itself where only the window can carry it out."""
        if intent.how == "view":
            return intent
        if intent.how == "hold":
            self.command_queue.holds.press(intent.name, at)
        else:
            self.command_queue.put(intent.name, intent.keys.index(key))
        return None

    def up(self, key: str, place: str = "") -> None:
        """A key came up, whatever it was pressed with."""
        for name in (key, f"ctrl+{key}", self._down.pop(place or key, key)):
            self.release(name)

    def release(self, meant: str) -> None:
        """A key of the tables came up."""
        self._latch.release(meant)
        intent = find_intent(meant, self.intents)
        if intent is not None and intent.how == "hold":
            self.command_queue.holds.release(intent.name)

    def _commands(self) -> set[str]:
        return {key for intent in self.intents for key in intent.keys}

    def drop(self, path: str) -> None:
        """A file was dropped on the window."""
        self.command_queue.put("open", path)

    def held(self) -> tuple[str, ...]:
        """What is printed on the keys of actions that are down, the newest last."""
        return tuple(self.layout.get(key, key) for key in self._latch.held())

    def lost(self) -> None:
        """The window lost the keyboard: nothing is down any more."""
        self._latch.clear()
        self._down.clear()
        self.command_queue.holds.clear()
