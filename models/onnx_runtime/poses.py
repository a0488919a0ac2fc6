"""Poses (x, y, heading, height) without torch: the twin of `compose_poses` in
models/memory/odometry.py.
"""

import numpy as np


def compose_pose(pose: np.ndarray, motion: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Poses `[...,4]` after motions `[...,3]` and a turn, from one pose `[4]`."""
    x, y, heading, height = pose
    ahead, left, up = np.moveaxis(motion, -1, 0)
    cos, sin = np.cos(heading), np.sin(heading)
    moved = x + ahead * cos - left * sin, y + ahead * sin + left * cos
    turned = np.broadcast_to(heading + turn, ahead.shape)
    return np.stack((*moved, turned, height + up), axis=-1).astype(np.float32)
