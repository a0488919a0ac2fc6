"""When the X server dies, the X library ends the process in the middle of everything. Here what is
played gets its moment to finish before that. Knows no pygame; where there is no X, it does nothing.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path

_MAPS = Path("/proc/self/maps")
_HANDLER = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_kept: list = []  # the library calls it at any time, so it must never be collected
SAID = "The display is gone. What was recorded is kept."


def on_display_loss(finish: Callable[[], None]) -> bool:
    """Have something finished when the display is lost; then the process ends with status 1.

    Args:
        finish: called on the thread that draws; must not draw.

    Returns:
        Whether there is an X library to ask.
    """
    path = _x_library()
    if path is None:
        return False

    def lost(_: int | None) -> int:
        try:
            print(SAID, file=sys.stderr, flush=True)
            finish()
        finally:
            os._exit(1)  # the library would, with threads still running in torch

    _kept[:] = [_HANDLER(lost)]
    ctypes.CDLL(path).XSetIOErrorHandler(_kept[0])
    return True


def _x_library() -> str | None:
    """The X library that this process has loaded: there may be several on the disk."""
    if not _MAPS.exists():
        return None
    words = (line.split() for line in _MAPS.read_text().splitlines())
    found = (line[-1] for line in words if line and "/libX11" in line[-1])
    return next((path for path in found if "-xcb" not in path), None)
