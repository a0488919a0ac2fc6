"""Pictures that are shown together, and where on a screen each goes. Draws nothing."""

from typing import NamedTuple

import numpy as np


class Pane(NamedTuple):
    """A picture among others.

    Attributes:
        frame: uint8 `[H,W,3]`; None for an empty place.
        label: a few words under it.
        heat: 0 to 1, how much it was looked at; None where nobody asked.
        marked: whether it is the one that matters.
        newest: whether it is the newest frame of what is played, in which a click may walk.
        dimmed: whether it is of another moment than what stands beside it.
    """

    frame: np.ndarray | None
    label: str
    heat: float | None = None
    marked: bool = False
    newest: bool = False
    dimmed: bool = False


class Strip(NamedTuple):
    """Thumbnails along the lower edge, in groups."""

    panes: tuple[Pane, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.panes)


NO_STRIP = Strip()
HEATED = 0.5  # the longest bar of heat, as a part of a thumbnail's side


class Rect(NamedTuple):
    """A rectangle on the screen, in pixels."""

    x: int
    y: int
    width: int
    height: int

    def less(self, left: int = 0, top: int = 0, right: int = 0, bottom: int = 0) -> "Rect":
        """The rectangle without so many pixels at its edges; never less than one."""
        width, height = max(1, self.width - left - right), max(1, self.height - top - bottom)
        return Rect(self.x + left, self.y + top, width, height)

    def halves(self) -> "tuple[Rect, Rect]":
        """Two parts, across the longer side."""
        if self.width > self.height:
            half = max(1, self.width // 2)
            return self.less(right=half), self.less(left=self.width - half)
        half = max(1, self.height // 2)
        return self.less(bottom=half), self.less(top=self.height - half)


NOWHERE = Rect(0, 0, 0, 0)


def grid(count: int, size: tuple[int, int], room: Rect) -> list[Rect]:
    """Cells for `count` pictures of one size, side by side, so that they come out largest.

    Args:
        count: at least 1.
        size: width and height of a picture.
        room: where there is room.
    """
    # Where two are as large, the one with fewer rows reads from left to right.
    columns = max(range(1, count + 1), key=lambda n: (round(_zoom(n, count, size, room), 6), n))
    return _cells(columns, count, room)


def beside(count: int, size: tuple[int, int], room: Rect) -> tuple[list[Rect], Rect]:
    """Cells as `grid` makes them, and room for the figures: a corner that is left, or a band below.

    Args:
        count: at least 2.
        size: width and height of a picture.
        room: where there is room.
    """
    band = Rect(room.x, room.y + room.height - room.height // 4, room.width, room.height // 4)
    above = Rect(room.x, room.y, room.width, room.height - band.height)

    def zoom(columns: int) -> float:
        return _zoom(columns, count, size, above if count % columns == 0 else room)

    columns = max(range(1, count + 1), key=lambda n: (round(zoom(n), 6), n))
    if count % columns == 0:
        return _cells(columns, count, above), band
    cells = _cells(columns, count, room)
    last = cells[-1]
    left = room.x + room.width - last.x - last.width
    return cells, Rect(last.x + last.width, last.y, left, last.height)


def _zoom(columns: int, count: int, size: tuple[int, int], room: Rect) -> float:
    rows = -(-count // columns)
    return min(room.width / (columns * size[0]), room.height / (rows * size[1]))


def _cells(columns: int, count: int, room: Rect) -> list[Rect]:
    rows = -(-count // columns)
    width, height = room.width // columns, room.height // rows
    return [
        Rect(room.x + n % columns * width, room.y + n // columns * height, width, height)
        for n in range(count)
    ]


def along(count: int, room: Rect, line: int = 0, heated: bool = False) -> list[Rect]:
    """Square cells for thumbnails along the lower edge of the room, in one row or in two.

    Args:
        count: at least 1.
        room: where there is room.
        line: pixels that the names above a row take.
        heated: whether bars go between the names and the thumbnails.
    """
    share = HEATED if heated else 0.0

    def side(rows: int) -> int:
        high = (room.height // 3 // rows - line) / (1 + share)
        return max(1, min(room.width // -(-count // rows), int(high)))

    rows = max((1, 2), key=side)
    columns, edge = -(-count // rows), side(rows)
    step = edge + line + int(share * edge)
    left = room.x + (room.width - edge * columns) // 2
    bottom = room.y + room.height - edge
    return [
        Rect(left + n % columns * edge, bottom - (rows - 1 - n // columns) * step, edge, edge)
        for n in range(count)
    ]
