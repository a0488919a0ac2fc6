"""Where thumbnails of worlds and their starts go on a screen, and which is next to which. Draws
nothing.
"""

from typing import NamedTuple

from worldsim.runtime.core.pane_layout import Rect

GAP = 8
BELOW = 6  # pixels below a thumbnail that its name does not take
SMALLEST = 8  # pixels of a thumbnail's side
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


class StartLayout(NamedTuple):
    """Rooms for the headings of worlds, and for the thumbnails of their starts, all in a row."""

    headings: list[Rect]
    cells: list[Rect]


def lay_out_starts(counts: list[int], room: Rect, line: int) -> StartLayout:
    """The largest square thumbnails at which all worlds fit.

    Args:
        counts: starts of each world, at least 1.
        room: where there is room.
        line: pixels of a line of text: a heading a world, a name below each thumbnail.
    """
    columns = max(range(1, max(counts) + 1), key=lambda n: _side(n, counts, room, line))
    side = max(SMALLEST, _side(columns, counts, room, line))
    left = room.x + max(0, (room.width - columns * (side + GAP) + GAP) // 2)
    headings, cells, top = [], [], room.y
    step = side + line + BELOW
    for count in counts:
        headings.append(Rect(left - GAP, top, max(1, room.width - (left - room.x)), line))
        top += line + GAP // 2
        cells += [
            Rect(left + n % columns * (side + GAP), top + n // columns * step, side, side)
            for n in range(count)
        ]
        top += -(-count // columns) * step + GAP
    return StartLayout(headings, cells)


def _side(columns: int, counts: list[int], room: Rect, line: int) -> int:
    rows = sum(-(-count // columns) for count in counts)
    written = len(counts) * (line + GAP // 2 + GAP) + rows * (line + BELOW)
    return min((room.width + GAP) // columns - GAP, (room.height - written) // rows)


def step_to(cells: list[Rect], at: int, direction: str) -> int:
    """The nearest cell in a direction: in the same row, or the nearest column of the next row;
    `at` where there is none.
    """
    across, down = DIRECTIONS[direction]
    here = cells[at]

    def distance(n: int) -> tuple[int, int]:
        along = (cells[n].x - here.x) * across + (cells[n].y - here.y) * down
        aside = abs(cells[n].y - here.y) if across else abs(cells[n].x - here.x)
        return (aside, along) if across else (along, aside)

    ahead = [
        n
        for n, cell in enumerate(cells)
        if (cell.x - here.x) * across + (cell.y - here.y) * down > 0
        and (not across or cell.y == here.y)
    ]
    return min(ahead, key=distance, default=at)


def cell_at(cells: list[Rect], x: int, y: int) -> int | None:
    """The number of the cell at a point, or None."""
    inside = (
        n for n, c in enumerate(cells) if c.x <= x < c.x + c.width and c.y <= y < c.y + c.height
    )
    return next(inside, None)
