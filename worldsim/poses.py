"""Poses as episodes and states tell them: x, y, heading, and height where it is known."""

import numpy as np


def with_heights(poses: np.ndarray, heights: np.ndarray | None) -> np.ndarray:
    """Poses float32 `[T,3]` and heights `[T]` as `[T,4]`; heights are 0 where none are told."""
    heights = np.zeros(len(poses), np.float32) if heights is None else heights
    return np.concatenate((poses, np.asarray(heights)[:, None]), axis=1)


def relative_poses(poses: np.ndarray) -> np.ndarray:
    """Poses float32 `[T,4]` in the frame of reference of the first one."""
    east, north = (poses[:, :2] - poses[0, :2]).astype(np.float64).T
    cos, sin = np.cos(float(poses[0, 2])), np.sin(float(poses[0, 2]))
    columns = (
        east * cos + north * sin,
        north * cos - east * sin,
        poses[:, 2] - poses[0, 2],
        poses[:, 3] - poses[0, 3],
    )
    return np.stack(columns, axis=1).astype(np.float32)


def place_poses(poses: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Poses float32 `[T,4]` in the frame of reference of `origin` `[4]`, where that is told in;
    the inverse of `relative_poses`.
    """
    x, y, heading, height = origin.astype(np.float64)
    cos, sin = np.cos(heading), np.sin(heading)
    ahead, left = poses[:, :2].astype(np.float64).T
    columns = (
        x + ahead * cos - left * sin,
        y + ahead * sin + left * cos,
        heading + poses[:, 2],
        height + poses[:, 3],
    )
    return np.stack(columns, axis=1).astype(np.float32)
