"""The mouse and fingers: a drag turns, a click names a place, and keys on the screen, hints of
keys and pictures to pick are pressed.

SDL tells of a finger twice, as a finger and, the first one, as a mouse; keys go by fingers, since
there are two thumbs, and all else by the mouse.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from worldsim.actions import ActionSet
from worldsim.controls import Action, ControlLimits
from worldsim.runtime.core.intents import Hint
from worldsim.runtime.core.mouse_turn import MouseTurn
from worldsim.runtime.core.pane_layout import Rect
from worldsim.runtime.core.touch_pad import PadKey, Touches, find_cell
from worldsim.runtime.window.compose import Placed
from worldsim.runtime.window.screen import pygame
from worldsim.told import tell
from worldsim.world.depth_view import DepthView

MOUSE = "mouse"  # as a finger
FINGERS = (pygame.FINGERDOWN, pygame.FINGERMOTION, pygame.FINGERUP)
MICE = (pygame.MOUSEBUTTONDOWN, pygame.MOUSEMOTION, pygame.MOUSEBUTTONUP)
BESIDE = tell("Only the dream can be walked in: click on its picture.")
STILL = 50  # a click may stray by this part of the window's width: fingers tremble


class Scene(NamedTuple):
    """What there is to point at.

    Attributes:
        room: all of the window.
        placed: where things are.
        pad: the keys on the screen.
        hints: the keys below the picture.
        picks: the keys that pick a picture, where there are many.
        view: how far away what the picture shows is; None where nobody knows.
    """

    room: Rect = Rect(0, 0, 1, 1)
    placed: Placed = Placed()
    pad: Sequence[PadKey] = ()
    view: DepthView | None = None
    hints: Sequence[Hint] = ()
    picks: Sequence[str] = ()

    def find_key(self, place: tuple[float, float]) -> str | None:
        """The key on the screen, the hint of a key, or the picture that a key picks, at a place."""
        for keys, cells in ((self.pad, self.placed.pad), (self.hints, self.placed.hints)):
            if (found := find_cell(cells, place)) is not None:
                return keys[found].key
        picked = find_cell(self.placed.picks[: len(self.picks)], place)
        return None if picked is None else self.picks[picked]


class Click(NamedTuple):
    """A click on the picture: x and y of what it shows there; None where nobody knows."""

    target: tuple[float, float] | None


@dataclass
class _Press:
    """Where the button went down, what was to be seen there, and how far it ever strayed."""

    scene: Scene
    place: tuple[int, int]
    strayed: float = 0.0


class Pointer:
    """The mouse and all fingers.

    Attributes:
        touched: whether a finger was ever on the screen.
        touches: which finger holds which key.
    """

    def __init__(self) -> None:
        self.touched, self.touches = False, Touches()
        self._turn = MouseTurn()
        self._press: _Press | None = None

    def read_keys(self, event: "pygame.event.Event", scene: Scene) -> list[tuple[str, bool]]:
        """The keys on the screen that went down (True) or came up."""
        self.touched |= event.type in FINGERS
        told = _read_finger(event, scene.room)
        if told is None:
            return []
        finger, place = told
        if event.type in (pygame.FINGERUP, pygame.MOUSEBUTTONUP):
            return self.touches.lift(finger)
        began = event.type in (pygame.FINGERDOWN, pygame.MOUSEBUTTONDOWN)
        key = scene.find_key(place)
        if (began and key is not None) or self.touches.has(finger):
            return self.touches.put(finger, key)
        return []

    def read_turns(
        self,
        event: "pygame.event.Event",
        scene: Scene,
        actions: ActionSet,
        limits: ControlLimits | None = None,
    ) -> tuple[Action, ...]:
        """The turns that a drag has completed, unless it began on a key on the screen."""
        if event.type != pygame.MOUSEMOTION or self._press is None or not event.buttons[0]:
            return ()
        self._press.strayed = max(self._press.strayed, math.dist(self._press.place, event.pos))
        return self._turn.drag(event.rel[0], scene.room.width, actions, limits)

    def read_click(self, event: "pygame.event.Event", scene: Scene) -> Click | None:
        """A click that has just ended on a picture; None for anything else.

        Raises:
            ValueError: it shows no place there.
        """
        if event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            on_key = scene.find_key(event.pos) is not None
            self._press = None if on_key else _Press(scene, event.pos)
        if event.type != pygame.MOUSEBUTTONUP or event.button != 1:
            return None
        self._turn.release()
        press, self._press = self._press, None
        if press is None or press.strayed > press.scene.room.width / STILL:
            return None
        return _find_place(press)

    def clear(self) -> None:
        """Nothing is held any more."""
        self.touches.clear()
        self._turn.release()
        self._press = None


def _find_place(press: _Press) -> Click | None:
    (shown, _, beside, *_), view = press.scene.placed, press.scene.view
    if find_cell(beside, press.place) is not None:
        if view is not None:
            raise ValueError(BESIDE)
        return Click(None)  # nowhere in this world a click walks
    if shown is None or find_cell([shown], press.place) is None:
        return None
    across = (press.place[0] - shown.x + 0.5) / shown.width
    down = (press.place[1] - shown.y + 0.5) / shown.height
    return Click(None if view is None else view.locate(across, down))


def _read_finger(
    event: "pygame.event.Event", room: Rect
) -> tuple[Hashable, tuple[float, float]] | None:
    """Which finger an event tells of, and where; None for another event."""
    if event.type in FINGERS:
        return event.finger_id, (event.x * room.width, event.y * room.height)
    left = getattr(event, "button", 1) == 1
    if event.type not in MICE or not left or getattr(event, "touch", False):
        return None
    return MOUSE, event.pos
