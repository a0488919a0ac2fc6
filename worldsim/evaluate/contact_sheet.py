"""Contact sheets: rows of frames side by side, large enough to look at, as a PNG file."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from worldsim.atomic import atomic_write

WIDE = 192  # pixels of the sheet that a small frame is enlarged to, about
GAP = 2  # pixels between frames
GROUP_GAP = 10  # pixels between groups of rows
PAPER = 255


def contact_sheet(rows: Sequence[np.ndarray], group: int = 1, zoom: int = 0) -> np.ndarray:
    """Lay frames out.

    Args:
        rows: for each row its frames, uint8 `[N,H,W,3]`; all of one size.
        group: how many rows belong together.
        zoom: pixels of the sheet a pixel; 0 for as many as make a frame large enough.

    Returns:
        uint8 `[height, width, 3]`.
    """
    lines, zoom = [], zoom or max(WIDE // rows[0].shape[2], 1)
    for number, frames in enumerate(rows):
        large = frames.repeat(zoom, axis=1).repeat(zoom, axis=2)
        line = np.concatenate([_add_border(frame) for frame in large], axis=1)
        if number and number % group == 0:
            lines.append(np.full((GROUP_GAP, line.shape[1], 3), PAPER, np.uint8))
        lines.append(line)
    return np.concatenate(lines)


def _add_border(frame: np.ndarray) -> np.ndarray:
    return np.pad(frame, ((0, GAP), (0, GAP), (0, 0)), constant_values=PAPER)


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write an RGB picture as PNG, whole or not at all.

    Raises:
        OSError: it could not be written.
    """
    # imwrite itself says nothing when a disk is full; the bytes are written by us.
    good, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not good:
        raise OSError(f"{path}: the picture of {picture.shape} could not be encoded as PNG.")
    atomic_write(path, lambda scratch: scratch.write_bytes(data.tobytes()))
