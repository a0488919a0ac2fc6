"""Where a true frame was seen from, without torch: the twin of `align_motion` in
models/memory/alignment.py, which says how and why. Views are rendered and compared by a graph.
"""

from collections.abc import Callable

import numpy as np

from models.memory.sizes import CANDIDATES, CERTAIN, PRIOR, SOURCES
from models.onnx_runtime.poses import compose_pose

Select = Callable[[np.ndarray], np.ndarray]
"""Slots `[S]` that show most of the view from a pose `[4]`, best first."""
Compare = Callable[[np.ndarray, np.ndarray], list[np.ndarray]]
"""How unlike the frame `[CANDIDATES]` views of slots `[SOURCES]` from as many poses are."""


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
    if chance[likely[0]] > CERTAIN:
        return motions[likely[0]]
    offered = motions[likely]
    poses = compose_pose(pose, offered, turn)
    places = poses[np.arange(CANDIDATES) % len(offered)]
    (error,) = compare(select(poses[0])[:SOURCES], places)
    return offered[(error[: len(offered)] - PRIOR * np.log(chance[likely])).argmin()]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities `[P]`."""
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()
