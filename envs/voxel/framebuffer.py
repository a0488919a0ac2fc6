"""Reads the engine's pictures out of the memory that Xvfb draws in; knows no engine.

Above and below the picture, two strips show the compass of textures.py: its middle column is 180
degrees less the heading that was drawn.
"""

import struct
from pathlib import Path

import numpy as np

from envs.voxel.server_dir import STRIP
from envs.voxel.textures import find_compass_degree

_HEADER = struct.Struct(">25I")  # of an X window dump
_TOLERANCE = 2  # degrees; the engine cuts off parts of a degree


class Screen:
    """The only screen of an Xvfb that was started with `arguments`."""

    def __init__(self, folder: Path, size: int) -> None:
        """Nothing is opened yet.

        Args:
            folder: where Xvfb may keep its memory.
            size: pixels a side of the picture.
        """
        self._size, self._path = size, folder / "Xvfb_screen0"
        self._pixels: np.ndarray | None = None
        shape = f"{size}x{size + 2 * STRIP}x24"
        self.arguments = ["-screen", "0", shape, "-fbdir", str(folder)]
        self.arguments += ["-nolisten", "tcp", "-noreset", "-nocursor"]

    def picture(self, heading: float) -> np.ndarray | None:
        """A fresh uint8 `[size, size, 3]` if the screen shows a heading, whole; else None.

        Args:
            heading: degrees, counter-clockwise from north.
        """
        if self._pixels is None:
            self._pixels = self._map()
        # A picture comes in row by row from the top, so it is there once its bottom strip is. That
        # strip is read before the copy begins: a copy that overtakes the incoming rows and is then
        # interrupted would hold old rows between a top and a bottom that are both new.
        if not self._shows(self._pixels, -2, heading):
            return None
        bgrx = self._pixels.copy()
        # A newer picture may have begun to come in meanwhile.
        if not (self._shows(bgrx, 1, heading) and self._shows(bgrx, -2, heading)):
            return None
        return np.ascontiguousarray(bgrx[STRIP:-STRIP, :, 2::-1])

    def _shows(self, bgrx: np.ndarray, row: int, heading: float) -> bool:
        shown = 180 - find_compass_degree(bgrx[row, self._size // 2, 2::-1])
        return abs((shown - heading + 180) % 360 - 180) <= _TOLERANCE  # nan is no heading

    def _map(self) -> np.ndarray:
        with open(self._path, "rb") as file:
            fields = _HEADER.unpack(file.read(_HEADER.size))
        start, width, height, stride, colours = fields[0], *fields[4:6], fields[12], fields[19]
        assert fields[11] == 32, "the screen should have 32 bits a pixel"
        offset = start + 12 * colours
        memory = np.memmap(self._path, np.uint8, "r", offset, (height, stride))
        return memory[:, : width * 4].reshape(height, width, 4)
