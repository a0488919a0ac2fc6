"""Where a true frame was seen from, without torch: the twin of `align_motion` in
models/memory/alignment.py, which says how and why. Views are rendered and compared by a graph.
"""

from collections.abc import Callable

import numpy as np

from models.memory.sizes import (
    CANDIDATES,
    CERTAIN,
    HYPOTHESES,
    LEAST_SEEN,
    PRIOR,
    SHIFT,
    SOURCES,
    WORTH,
)
from models.onnx_runtime.poses import compose_pose

Select = Callable[[np.ndarray], np.ndarray]
"""Slots `[S]` that show most of the view from a pose `[4]`, best first."""
Compare = Callable[[np.ndarray, np.ndarray], list[np.ndarray]]
"""Errors `[HYPOTHESES]` and seen shares of views of slots `[SOURCES]` from as many poses."""


def align_motion(
    pose: np.ndarray,
    turn: np.ndarray,
    logits: np.ndarray,
    motions: np.ndarray,
    select: Select,
    compare: Compare,
) -> np.ndarray:
    """The motion `[3]` that explains a frame best.

    Args:
        pose: `[4]` before the motion.
        turn: radians.
        logits: `[P]` of the motions `[P,3]` that odometry offers.
        motions: see logits.
        select: what memory has of a view.
        compare: how unlike the frame its views are.
    """
    chance = softmax(logits)
    likely = np.argsort(-chance, kind="stable")[:CANDIDATES]
    best = motions[likely[0]]
    if chance[likely[0]] > CERTAIN:
        return best
    offered = motions[likely]
    error, seen = _errors(pose, turn, offered, select, compare)
    if seen < LEAST_SEEN:
        return best
    best = offered[(error - PRIOR * np.log(chance[likely])).argmin()]
    step = SHIFT * np.sqrt((motions * motions).sum(axis=1)).max()
    near = best + step * AROUND
    error, _ = _errors(pose, turn, near, select, compare)
    return near[error.argmin()] if error.min() < (1 - WORTH) * error[0] else best


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities `[P]`."""
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


# No correction, and one in each of eight directions, `[9,3]`, in the order of torch's twin.
AROUND = np.array([(a, b, 0) for a in (0, -1, 1) for b in (0, -1, 1)], np.float32)


def _errors(
    pose: np.ndarray, turn: np.ndarray, motions: np.ndarray, select: Select, compare: Compare
) -> tuple[np.ndarray, float]:
    """Errors `[M]` of what memory shows after motions `[M,3]`, and the least share it shows."""
    count = len(motions)
    poses = compose_pose(pose, motions, turn)
    error, seen = compare(select(poses[0])[:SOURCES], poses[np.arange(HYPOTHESES) % count])
    return error[:count], float(seen[:count].min())
