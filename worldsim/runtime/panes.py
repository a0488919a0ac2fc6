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
    """

    frame: np.ndarray | None
    label: str
    heat: float | None = None
    marked: bool = False


class Strip(NamedTuple):
    """Thumbnails along the lower edge, in groups."""

    panes: tuple[Pane, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.panes)


NO_STRIP = Strip()


class Rect(NamedTuple):
    """A rectangle on the screen, in pixels."""

    x: int
    y: int
    width: int
    height: int


def grid(count: int, size: tuple[int, int], room: Rect) -> list[Rect]:
    """Cells for `count` pictures of one size, side by side, so that they come out largest.

    Args:
        count: at least 1.
        size: width and height of a picture.
        room: where there is room.
    """

    def zoom(columns: int) -> float:
        rows = -(-count // columns)
        return min(room.width / (columns * size[0]), room.height / (rows * size[1]))

    # Where two are as large, the one with fewer rows reads from left to right.
    columns = max(range(1, count + 1), key=lambda n: (round(zoom(n), 6), n))
    rows = -(-count // columns)
    width, height = room.width // columns, room.height // rows
    return [
        Rect(room.x + n % columns * width, room.y + n // columns * height, width, height)
        for n in range(count)
    ]


def along(count: int, room: Rect) -> list[Rect]:
    """Square cells for thumbnails in one row along the lower edge of the room."""
    side = max(1, min(room.width // max(count, 1), room.height // 6))
    left = room.x + (room.width - side * count) // 2
    return [Rect(left + n * side, room.y + room.height - side, side, side) for n in range(count)]
