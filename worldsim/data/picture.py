"""Pictures in: read by us and decoded from memory, since OpenCV takes the process down over a path
that is no UTF-8. Knows no world.
"""

from pathlib import Path

import cv2
import numpy as np


def read_picture(path: Path) -> np.ndarray | None:
    """The RGB picture uint8 `[H,W,3]` in a file; None where it holds none.

    Raises:
        OSError: it cannot be read.
    """
    data = np.frombuffer(path.read_bytes(), np.uint8)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except cv2.error:  # e.g. more pixels than it takes
        return None
    return None if image is None else image[..., ::-1]
