"""Pictures in: read by us and decoded from memory, since OpenCV takes the process down over a path
that is not UTF-8. Knows no world.
"""

from pathlib import Path

import cv2
import numpy as np

from worldsim.data.picture_size import picture_size
from worldsim.reading import ReadError, read_bytes, short_path

MOST_PIXELS = 64 << 20
MOST_BYTES = 256 << 20


def read_picture(path: Path) -> np.ndarray | None:
    """The RGB picture uint8 `[H,W,3]` in a file; None where it holds none.

    Raises:
        OSError: it cannot be read.
        ReadError: it has more than MOST_PIXELS.
    """
    raw = read_bytes(path, MOST_BYTES)
    size = picture_size(raw)
    if size is None:  # OpenCV knows more kinds, whose size is not bounded
        return None
    _check_pixels(path, size)
    data = np.frombuffer(raw, np.uint8)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:  # e.g. more pixels than it takes
        return None
    return None if image is None else image[..., ::-1]


def _check_pixels(path: Path, size: tuple[int, int]) -> None:
    """Refuse a picture by the size that its header tells, before a pixel of it is unpacked."""
    if size[0] * size[1] > MOST_PIXELS:
        raise ReadError(
            f"{short_path(path)} has {size[0]}x{size[1]} pixels: at most {MOST_PIXELS >> 20} "
            f"megapixels are read, make it smaller"
        )
