"""Poses (x, y, heading, height) without torch: the twins of `compose_poses` and `motion_between` in
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


def motion_between(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The motion `[3]` from a pose `[4]` to another, the inverse of `compose_pose`."""
    east, north = after[0] - before[0], after[1] - before[1]
    cos, sin = np.cos(before[2]), np.sin(before[2])
    moved = east * cos + north * sin, north * cos - east * sin, after[3] - before[3]
    return np.array(moved, np.float32)
