"""How far away everything lies that a picture of the land of blocks shows: rays through its nodes.

A ray leaps as far as no node stands in its way, which a map of free space tells. Cubes are opaque.
A plant is what the engine draws: two upright squares that cross in the middle of its node, seen
where their picture is opaque. ::

    land = Land(nodes, corner, names)
    depth = land.depth(eye, heading=0, count=64)      # float32 [64, 64], in blocks
"""

import math
from collections.abc import Sequence

import numpy as np

from envs.voxel.server_dir import FIELD_OF_VIEW, VIEW
from envs.voxel.textures import SIDE, read_plant_shapes

AIR, CUBE = "air", "cube"
_MOST_FREE = 15
_SQUARES = (46, -44)  # degrees from east to north that the two squares of a plant stand at
_UNKNOWN = 255


class Land:
    """Nodes around an eye.

    Args:
        nodes: uint8 `[Z, Y, X]`: numbers of their names, to the north, up and east.
        corner: x, y, z of the middle of the node [0, 0, 0], whole numbers.
        names: of the kinds of node: AIR, CUBE, or a plant's.
    """

    def __init__(self, nodes: np.ndarray, corner: Sequence[float], names: Sequence[str]) -> None:
        padded = np.pad(nodes, 1, constant_values=_UNKNOWN)
        self._kinds, self._shape = padded.ravel(), padded.shape
        self._free = measure_free_space(padded != names.index(AIR)).ravel()
        self._corner = np.array(corner) - 1  # the first of the padded nodes
        self._cube = names.index(CUBE)
        self._is_plant, self._is_open = np.zeros((2, 256), bool)
        self._is_plant[[i for i, name in enumerate(names) if name not in (AIR, CUBE)]] = True
        self._is_open[: len(names)] = [name != CUBE for name in names]
        shapes = read_plant_shapes()
        self._shapes = np.stack([shapes.get(name, np.zeros((SIDE, SIDE), bool)) for name in names])

    def depth(self, eye: Sequence[float], heading: float, count: int) -> np.ndarray:
        """Blocks along the viewing axis to what is seen in the middle of each part of a picture.

        Args:
            eye: x, y, z.
            heading: degrees counter-clockwise from north.
            count: parts a side, an even number: then no ray runs along an axis.

        Returns:
            float32 `[count, count]`; VIEW where nothing is seen: what lies VIEW away, measured
            along its ray, is lost in fog, and from beyond the known nodes nothing is seen.
        """
        place = np.array(eye) + 0.5
        here = np.floor(place)  # all is told from this cell's corner on: the same bits in any Land
        first = here - self._corner
        if (first < 0).any() or (first >= self._shape[::-1]).any():
            return np.full((count, count), VIEW, np.float32)
        origin, ways = (place - here)[:, None], cast_directions(heading, count)
        limits = VIEW / np.linalg.norm(ways, axis=0)
        found, (rays, cells, kinds) = self._march(first, origin, ways, limits)
        times = self._plants(kinds, origin - cells, ways[:, rays])
        np.minimum.at(found, rays, times)
        found[found >= limits] = VIEW
        return found.reshape(count, count).astype(np.float32)

    def _march(
        self, first: np.ndarray, origin: np.ndarray, ways: np.ndarray, limits: np.ndarray
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """When rays `[3,n]` meet a cube, `[n]`, infinite where not before their limits `[n]`; and
        what they pass on their way: numbers of rays `[p]`, cells `[3,p]`, kinds of plants `[p]`.
        Places and cells are told from the first cell's corner on.
        """
        count = len(limits)
        found, passed = np.full(count, np.inf), []
        rays, times = np.arange(count), np.zeros(count)
        cells, start = np.zeros((3, count)), self._index(first)
        while rays.size:
            at = start + self._index(cells)
            kinds = self._kinds[at]
            hit = kinds == self._cube
            found[rays[hit]] = times[hit]
            plants = np.flatnonzero(self._is_plant[kinds])
            passed.append((rays[plants], cells[:, plants], kinds[plants]))
            cells, times = leap_free_space(origin, ways, cells, np.maximum(self._free[at], 1))
            on = np.flatnonzero(self._is_open[kinds] & (times < limits))
            rays, times, limits = rays[on], times[on], limits[on]
            ways, cells = ways.take(on, axis=1), cells.take(on, axis=1)
        return found, [np.concatenate(part, axis=-1) for part in zip(*passed, strict=True)]

    def _index(self, cells: np.ndarray) -> np.ndarray:
        _, rows, columns = self._shape
        x, y, z = cells
        return ((z * rows + y) * columns + x).astype(np.intp)

    def _plants(self, kinds: np.ndarray, start: np.ndarray, ways: np.ndarray) -> np.ndarray:
        """When rays `[3,n]` that start at a place in their node's own frame meet its plant."""
        times = np.full(kinds.shape, np.inf)
        for degrees in _SQUARES:
            east, north = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            (x, y, z), (u, v, w) = start, ways
            meets = ((x - 0.5) * north - (z - 0.5) * east) / (w * east - u * north)
            along = (x - 0.5 + meets * u) * east + (z - 0.5 + meets * w) * north + 0.5
            column, row = np.floor(along * SIDE), np.floor((1 - y - meets * v) * SIDE)
            inside = (column >= 0) & (column < SIDE) & (row >= 0) & (row < SIDE) & (meets > 0)
            column, row = (np.where(inside, place, 0).astype(int) for place in (column, row))
            inside &= self._shapes[kinds, row, column]
            times = np.where(inside, np.minimum(times, meets), times)
        return times


def cast_directions(heading: float, count: int) -> np.ndarray:
    """Ways `[3, count * count]` east, up and north of rays, for one block along the viewing axis.

    They go through the middles of the parts of a square picture, from its top left on.
    """
    middles = (2 * np.arange(count) + 1 - count) / count
    across = np.tile(middles * math.tan(math.radians(FIELD_OF_VIEW) / 2), count)
    up = -across.reshape(count, count).T.ravel()
    cos, sin = math.cos(math.radians(heading)), math.sin(math.radians(heading))
    return np.stack((across * cos - sin, up, across * sin + cos))


def leap_free_space(
    origin: np.ndarray, ways: np.ndarray, cells: np.ndarray, free: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The cells `[3,n]` where rays leave the cubes of free space around theirs, and when `[n]`.

    Args:
        origin: `[3,1]` where all rays start.
        ways: `[3,n]` what they go in a unit of time.
        cells: `[3,n]` where they are.
        free: `[n]` how many cells each way, their own included, are free.
    """
    ahead = ways > 0
    borders = cells + np.where(ahead, free, 1.0 - free)
    times = (borders - origin) / ways
    first = np.minimum(np.minimum(times[0], times[1]), times[2])
    inside = np.floor(origin + first * ways)
    # Rounding at a corner must not lead back: two axes would undo each other's steps for ever.
    inside = np.where(ahead, np.maximum(inside, cells), np.minimum(inside, cells))
    return np.where(times <= first, borders - ~ahead, inside), first


def measure_free_space(taken: np.ndarray, most: int = _MOST_FREE) -> np.ndarray:
    """How many cells each way, its own included, are free around a cell, as uint8.

    Args:
        taken: bool, three axes.
        most: the largest number told.
    """
    near = taken.astype(np.uint8)
    free = 1 - near
    for _ in range(most - 1):
        for axis in range(near.ndim):
            near = _widen(near, axis)
        free += 1 - near
    return free


def _widen(taken: np.ndarray, axis: int) -> np.ndarray:
    """Cells that are taken, or whose neighbour along an axis is."""
    wide = taken.copy()
    low, high = np.moveaxis(wide, axis, 0)[:-1], np.moveaxis(wide, axis, 0)[1:]
    before, after = np.moveaxis(taken, axis, 0)[:-1], np.moveaxis(taken, axis, 0)[1:]
    np.maximum(low, after, out=low)
    np.maximum(high, before, out=high)
    return wide
