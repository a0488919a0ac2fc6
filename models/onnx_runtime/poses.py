"""Poses (x, y, heading, height) without torch: the twins of `compose_poses`, `motion_between` and
`shorten_motion` in models/memory/odometry.py, of `remember_places` in models/memory/stood.py, and
of models/memory/motion_draw.py.
"""

import numpy as np

from models.memory.sizes import CHANCE_DIGITS, LEAP, LEAST_LOSS, PLACES


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


def shorten_motion(whole: np.ndarray, stride: np.float32, full: float) -> np.ndarray:
    """The motion `[3]` of a stride in 0..1, from that of the full step, which goes `full` where it
    is free.
    """
    if stride >= 1:
        return whole
    ahead, left, up = whole
    free = max(ahead, np.float32(full))
    lost = np.array((free - ahead, -left), np.float32)
    loss = np.sqrt(lost @ lost)
    if loss <= LEAST_LOSS * free:
        return np.array((stride * ahead, stride * left, up), np.float32)
    way = lost / loss
    reach = max(whole[:2] @ way, np.float32(0))
    over = max(stride * free * way[0] - reach, np.float32(0))
    return np.array((stride * free - over * way[0], -over * way[1], up), np.float32)


def remember_places(
    stood: np.ndarray, before: np.ndarray, after: np.ndarray, number: int, apart: float, full: float
) -> None:
    """Write the place of frame `number` and that half way to it to the ring `[PLACES,3]`."""
    start, end = before[[0, 1, 3]], after[[0, 1, 3]]
    went = np.square(end - start).sum() <= np.float32((LEAP * full) ** 2)
    for which, place in enumerate(((start + end) / np.float32(2), end)):
        away = np.square(stood - place).sum(axis=1).min()
        if away > np.float32(apart * apart) and (went or which == 1):
            stood[(2 * number + which) % PLACES] = place


def draw_chance(noise: np.ndarray) -> float:
    """The uniform number in [0, 1) of a frame's noise `[C,h,w]`."""
    return float(noise.flat[0]) * CHANCE_DIGITS % 1.0


def draw_motion(logits: np.ndarray, motions: np.ndarray, chance: float, least: float) -> np.ndarray:
    """The motion `[3]`, of those offered `[P,3]` with logits `[P]`, by a chance in [0, 1)."""
    shares = np.exp((logits - logits.max()).astype(np.float64))
    shares[shares < least] = 0.0
    below = shares.cumsum()
    return motions[(below <= chance * below[-1]).sum()]
