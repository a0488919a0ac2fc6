"""What goes where in a window: the picture has a room of its own, what is written stands below and
beside it; nothing hides a label, the strip, or what is compared. Draws through a Screen.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from worldsim.runtime.core.intents import Hint
from worldsim.runtime.core.pane_layout import Rect, beside, grid
from worldsim.runtime.core.status import Status, banner
from worldsim.runtime.core.touch_pad import PadKey, lay_out_pad
from worldsim.runtime.panels.space_memory import tint
from worldsim.runtime.session.state import State
from worldsim.runtime.window.palette import Colour
from worldsim.runtime.window.screen import MARGIN, Screen

CHOOSING = State.CHOOSING.value
SIDE = 3  # the side panel takes this part of the width,
SIDE_LINES = 11  # but is as wide as so many lines are high, in a small window,
SIDE_LEAST = 8  # and left out where even so many are too wide
TREND_LINES = 4  # of a curve there, with its name


class Around(NamedTuple):
    """What is shown around a picture.

    Attributes:
        words: a line below it; with the hints the foot, which is left out where both are empty.
        hints: keys and what they do, for the line above the words, to be clicked on.
        figures: lines of the side panel; none for no panel.
        trends: a name and its newest values each, as curves in the side panel.
        helped: lines over everything; none for no help.
        pad: keys to be touched; none for no room for them.
        held: those of them that are down, as the tables of keys name them.
    """

    words: str = ""
    hints: Sequence[Hint] = ()
    figures: Sequence[str] = ()
    trends: Sequence[tuple[str, Sequence[float]]] = ()
    helped: Sequence[str] = ()
    pad: Sequence[PadKey] = ()
    held: Collection[str] = ()


class Placed(NamedTuple):
    """Where on the screen what can be pointed at went.

    Attributes:
        picture: the newest frame, alone or among others; None where there is none.
        pad: each key to be touched.
        beside: the pictures beside it, in which nobody walks.
        hints: each of the hints; none where something else is said in their place.
        picks: pictures to pick from.
    """

    picture: Rect | None = None
    pad: Sequence[Rect] = ()
    beside: Sequence[Rect] = ()
    hints: Sequence[Rect] = ()
    picks: Sequence[Rect] = ()


def compose(
    screen: Screen, frame: np.ndarray | None, status: Status, around: Around, now: float
) -> Placed:
    """Draw one moment; where things went.

    Args:
        screen: where.
        frame: uint8 `[H,W,3]`, shown where there are no panes; None for nothing.
        status: the rest of what is to be seen.
        around: what is shown around it.
        now: the clock's time, for what moves while one waits.
    """
    screen.clear()
    room, message = screen.room(), banner(status, now)
    hints: list[Rect] = []
    if around.words or around.hints:
        toast = "" if status.state == CHOOSING or around.helped else message
        message = "" if toast else message
        hints = _foot(screen, around, room, toast, _colour(screen, status, toast))
        room = room.less(bottom=screen.foot)
    cells, room = lay_out_pad(around.pad, room)
    for key, cell in zip(around.pad, cells, strict=True):
        screen.button(key.label, cell, key.key in around.held)
    if around.figures and status.state != CHOOSING:
        room = _side(screen, around, room)
    if status.strip:
        room = room.less(bottom=screen.strip(status.strip, room))
    shown, others, picks = None, [], []
    if status.state == CHOOSING:
        picks = _choice(screen, status, message, room)
    else:
        shown, others, told = _picture(screen, frame, status, room)
        if status.recording and not around.words:
            screen.text([status.recording], told)
    if around.helped:
        screen.fill(screen.room())  # what shines through is hard to read over
        screen.text(list(around.helped), screen.room())
    if message and status.state != CHOOSING and not around.helped:
        low = room.less(bottom=2 * MARGIN * (status.progress is not None))
        screen.text([message], low, bottom=True, colour=_colour(screen, status, message))
    if status.progress is not None:
        screen.bar(status.progress, room)
    return Placed() if around.helped else Placed(shown, cells, others, hints, picks)


def _foot(screen: Screen, around: Around, room: Rect, toast: str, colour: Colour) -> list[Rect]:
    """Draw the foot, in which a toast takes the place of the words, and of the hints where it is
    long; where the hints went.
    """
    foot = room.less(top=room.height - screen.foot)
    screen.fill(foot)
    below = foot.less(top=foot.height // 2)
    if toast and not screen.fits(toast, foot.width):
        screen.text([toast], foot, colour=colour)
        return []
    screen.words(toast or around.words, below, colour if toast else screen.palette.text)
    if not around.hints:
        return []
    return screen.keycaps(around.hints, foot.less(bottom=foot.height // 2), around.held)


def _side(screen: Screen, around: Around, room: Rect) -> Rect:
    """Draw the side panel, as much of it as there is room for; the room that is left."""
    width = max(room.width // SIDE, min(room.width // 2, SIDE_LINES * screen.line))
    if width < SIDE_LEAST * screen.line:
        return room
    side = room.less(left=room.width - width)
    screen.fill(side)
    below = side.less(top=screen.text(screen.keep_in_view(around.figures, side, 0), side))
    high = TREND_LINES * screen.line
    for label, values in around.trends:
        if below.height < high:
            break
        screen.trend(label, values, below.less(bottom=below.height - high))
        below = below.less(top=high)
    return room.less(right=width)


def _choice(screen: Screen, status: Status, message: str, room: Rect) -> list[Rect]:
    """Pictures to pick from, and above them what to do, for it would hide what they are called;
    where each went.
    """
    if message:
        room = room.less(top=screen.text([message], room, colour=_colour(screen, status, message)))
    return screen.panes(status.panes, grid(len(status.panes), _size(status), room))


def _picture(
    screen: Screen, frame: np.ndarray | None, status: Status, room: Rect
) -> tuple[Rect | None, list[Rect], Rect]:
    """The frame, or what is compared with the curve beside it; where the frame went, where the
    pictures beside it, and the room for a few words.
    """
    shown, others, told = None, [], room
    if status.panes:
        cells, told = beside(len(status.panes), _size(status), room)
        places = screen.panes(status.panes, cells)
        for pane, place in zip(status.panes, places, strict=True):
            if pane.newest:
                shown = place
            else:
                others.append(place)
    else:
        if frame is not None and status.invented is not None:
            frame = tint(frame, status.invented)
        shown = screen.picture(frame, room)
    if status.curve:
        told, below = told.halves()
        screen.curve(status.curve, below.less(*[MARGIN] * 4))
    return shown, others, told


def _size(status: Status) -> tuple[int, int]:
    sizes = (pane.frame.shape[1::-1] for pane in status.panes if pane.frame is not None)
    return next(sizes, (1, 1))


def _colour(screen: Screen, status: Status, message: str) -> Colour:
    return screen.palette.alarm if message == status.trouble else screen.palette.text
