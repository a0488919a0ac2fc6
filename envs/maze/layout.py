"""A maze as data: which cells are walls, what covers them, and how a round body moves among them.

Knows no renderer. Cells are `[row, column]`, row 0 at the top; positions are in cells, x to the
right and y up, so cell `(r, c)` of an N x N grid spans `x` in `[c, c+1]`, `y` in `[N-1-r, N-r]`.
The pictures are DeepMind Lab's (textures/README.md).
"""

import math
from collections import deque
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

GRID = 9
"""Cells a side, the outer walls included: 7 x 7 inside."""
WALLS_REMOVED = 0.15
TEXTURES = Path(__file__).parent / "textures"
BODY_RADIUS = 0.22
_SUBSTEPS = 4  # 0.38 / 4 < BODY_RADIUS: the body's centre can never jump into a wall

Cell = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Layout:
    """One maze.

    Attributes:
        walls: bool `[GRID, GRID]`.
        wall_texture: int `[GRID, GRID]`, index into `list_wall_textures()`, given for every cell.
        floor_texture: int `[GRID, GRID]`, index into `list_floor_textures()`.
    """

    walls: np.ndarray
    wall_texture: np.ndarray
    floor_texture: np.ndarray

    def free_cells(self) -> list[Cell]:
        """The cells one can stand in, in reading order."""
        return [(int(r), int(c)) for r, c in np.argwhere(~self.walls)]


@cache
def list_wall_textures() -> tuple[str, ...]:
    """Paths of the wall pictures, in a fixed order."""
    return _list_textures("wall")


@cache
def list_floor_textures() -> tuple[str, ...]:
    """Paths of the floor pictures, in a fixed order."""
    return _list_textures("floor")


def _list_textures(kind: str) -> tuple[str, ...]:
    return tuple(map(str, sorted(TEXTURES.glob(f"{kind}-*.png"))))


def make_layout(rng: np.random.Generator) -> Layout:
    """Draw a maze: corridors, some walls taken out, and a wall and a floor for each quadrant."""
    walls = _carve_corridors(rng)
    inner = np.zeros_like(walls)
    inner[1:-1, 1:-1] = True
    walls &= ~(inner & (rng.random(walls.shape) < WALLS_REMOVED))
    walls |= ~_find_reachable(walls)
    low = np.arange(GRID) > GRID // 2
    quadrant = 2 * low[:, None] + low[None, :]
    wall = rng.choice(len(list_wall_textures()), size=4, replace=False)
    floor = rng.choice(len(list_floor_textures()), size=4, replace=False)
    return Layout(walls=walls, wall_texture=wall[quadrant], floor_texture=floor[quadrant])


def _carve_corridors(rng: np.random.Generator) -> np.ndarray:
    """A depth-first maze: rooms at the odd cells, one way between any two of them."""
    walls = np.ones((GRID, GRID), dtype=bool)
    path = [(1, 1)]
    walls[1, 1] = False
    while path:
        row, column = path[-1]
        ways = [
            (r, c) for r, c in _list_neighbours(row, column, 2) if _is_inside(r, c) and walls[r, c]
        ]
        if not ways:
            path.pop()
            continue
        way = ways[rng.integers(len(ways))]
        walls[(row + way[0]) // 2, (column + way[1]) // 2] = False
        walls[way] = False
        path.append(way)
    return walls


def _list_neighbours(row: int, column: int, step: int) -> tuple[Cell, ...]:
    return (row - step, column), (row + step, column), (row, column - step), (row, column + step)


def _is_inside(row: int, column: int) -> bool:
    return 0 < row < GRID - 1 and 0 < column < GRID - 1


def _find_reachable(walls: np.ndarray) -> np.ndarray:
    """The free cells connected to the first room: no start is ever walled in."""
    reached = np.zeros_like(walls)
    for cell in measure_distances(walls, (1, 1)):
        reached[cell] = True
    return reached


def measure_distances(walls: np.ndarray, start: Cell) -> dict[Cell, int]:
    """Steps from `start` to every cell that can be walked to, nearest first."""
    steps = {start: 0}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        for cell in _list_neighbours(*here, 1):
            if cell not in steps and not walls[cell]:
                steps[cell] = steps[here] + 1
                queue.append(cell)
    return steps


def find_cell(x: float, y: float) -> Cell:
    """The cell that holds a position."""
    return GRID - 1 - math.floor(y), math.floor(x)


def find_centre(cell: Cell) -> tuple[float, float]:
    """The middle of a cell, as x and y."""
    return cell[1] + 0.5, GRID - 1 - cell[0] + 0.5


def slide(walls: np.ndarray, x: float, y: float, dx: float, dy: float) -> tuple[float, float]:
    """Move the body by (dx, dy), sliding along whatever is in the way.

    Returns:
        The new x and y; the body's circle overlaps no wall.
    """
    for _ in range(_SUBSTEPS):
        x, y = _push_out(walls, x + dx / _SUBSTEPS, y + dy / _SUBSTEPS)
    return x, y


def _push_out(walls: np.ndarray, x: float, y: float) -> tuple[float, float]:
    row, column = find_cell(x, y)
    around = [(r, c) for r in range(row - 1, row + 2) for c in range(column - 1, column + 2)]
    # faces before corners: else a corner hidden in a flat wall would stop the slide
    around.sort(key=lambda cell: abs(cell[0] - row) + abs(cell[1] - column))
    for r, c in around:
        if not walls[r, c]:
            continue
        low = GRID - 1 - r
        near_x, near_y = min(max(x, c), c + 1), min(max(y, low), low + 1)
        away = math.hypot(x - near_x, y - near_y)
        if 0 < away < BODY_RADIUS:
            x = near_x + (x - near_x) * BODY_RADIUS / away
            y = near_y + (y - near_y) * BODY_RADIUS / away
    return x, y
