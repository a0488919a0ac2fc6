"""Frames of any size become square ones: the shorter side is scaled, the longer one cut."""

import numpy as np


def square(frames: np.ndarray, size: int, across: float = 0.5, down: float = 0.5) -> np.ndarray:
    """Frames uint8 `[T,H,W,3]` as `[T,size,size,3]`.

    Args:
        frames: of any size.
        size: side in pixels.
        across: where the cut lies, from 0 (left) to 1 (right).
        down: the same, from 0 (top) to 1 (bottom).
    """
    tall, wide = frames.shape[1:3]
    if (tall, wide) == (size, size):
        return frames
    import cv2

    scale = size / min(tall, wide)
    shape = max(round(wide * scale), size), max(round(tall * scale), size)
    # Area averaging is what keeps a smaller picture free of moiré.
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    left, top = round(across * (shape[0] - size)), round(down * (shape[1] - size))
    scaled = (cv2.resize(frame, shape, interpolation=how) for frame in frames)
    return np.stack([one[top : top + size, left : left + size] for one in scaled])
