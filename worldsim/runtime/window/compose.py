"""What goes where in a window: pictures first, then what is written; nothing hides a label, the
strip, or what is compared. Draws through a Screen.
"""

import numpy as np

from worldsim.runtime.core.pane_layout import beside, grid
from worldsim.runtime.core.status import Status, banner
from worldsim.runtime.session.state import State
from worldsim.runtime.window.screen import ALARM, MARGIN, TEXT, Screen

CHOOSING = State.CHOOSING.value


def compose(
    screen: Screen,
    frame: np.ndarray | None,
    status: Status,
    figures: list[str],
    helped: list[str],
    now: float,
) -> None:
    """Draw one moment.

    Args:
        screen: where.
        frame: uint8 `[H,W,3]`, shown where there are no panes; None for nothing.
        status: the rest of what is to be seen.
        figures: lines in a corner; none while something is chosen.
        helped: lines over everything; none for no help.
        now: the clock's time, for what moves while one waits.
    """
    screen.clear()
    room, is_choice = screen.room(), status.state == CHOOSING
    if status.strip:
        room = room.less(bottom=screen.strip(status.strip))
    told = room
    message = banner(status, now)
    if is_choice and message:  # above the pictures, for it would hide what they are called
        room = room.less(top=screen.text([message], room, colour=_colour(status, message)))
    sizes = (pane.frame.shape[1::-1] for pane in status.panes if pane.frame is not None)
    size = next(sizes, (1, 1))
    if is_choice:
        screen.panes(status.panes, grid(len(status.panes), size, room))
    elif status.panes:
        cells, told = beside(len(status.panes), size, room)
        screen.panes(status.panes, cells)
    else:
        screen.picture(frame, room)
    if status.curve:
        told, below = told.halves()
        screen.curve(status.curve, below.less(*[MARGIN] * 4))
    if helped:
        screen.text(helped, screen.room())
    elif figures and not is_choice:
        screen.text(figures, told)
    if message and not is_choice:
        low = room.less(bottom=2 * MARGIN * (status.progress is not None))
        screen.text([message], low, bottom=True, colour=_colour(status, message))
    if status.progress is not None:
        screen.bar(status.progress)


def _colour(status: Status, message: str) -> tuple[int, int, int]:
    return ALARM if message == status.trouble else TEXT
