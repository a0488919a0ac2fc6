"""What a true frame costs, in bits: minus its log-likelihood under the actions that led to it.

A world that samples labels (VideoAR) has such a number; one that regresses a frame has none. From
held-out starts, frame by frame: the world says how likely the frame that follows is, then sees it.
"""

from typing import Any

import numpy as np

from worldsim.evaluate.bootstrap import interval
from worldsim.evaluate.open_loop import Start
from worldsim.evaluate.protocol import Protocol
from worldsim.world.batching import observe
from worldsim.world.model import WorldModel

NO_LIKELIHOOD = "this world regresses its frames, so they have no likelihood"


def measure(world: WorldModel, made: list[Start], protocol: Protocol) -> dict[str, Any]:
    """Bits a frame, with the interval over episodes, and of each scale; and the share of labels
    that were the likeliest.
    """
    if not hasattr(world.dynamics, "measure_bits"):
        return {"skipped": NO_LIKELIHOOD}
    parts = [_follow_truth(world, start, protocol.told) for start in made]
    bits, likeliest = (np.concatenate(part) for part in zip(*parts, strict=True))  # [B,T,K]
    whole = interval(bits.sum(axis=2).mean(axis=1))
    scales = {
        f"scale {number}": {"bits": float(cost), "likeliest": float(share)}
        for number, (cost, share) in enumerate(zip(_mean(bits), _mean(likeliest), strict=True), 1)
    }
    told = {"bits": whole.mean, "low": whole.low, "high": whole.high}
    return {"frames": bits.shape[0] * bits.shape[1], "a frame": told, "scales": scales}


def _mean(figures: np.ndarray) -> np.ndarray:
    return figures.mean(axis=(0, 1))


def _follow_truth(world: WorldModel, start: Start, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Bits and shares `[B,T,K]` of the frames after the context."""
    state, told = start.state(), []
    for t in range(start.context, start.context + count):
        frames = np.stack([episode.frames[t] for episode in start.episodes])
        actions = np.array([episode.actions[t - 1] for episode in start.episodes])
        told.append(world.measure_bits(state, frames, actions))
        state = observe(world, state, frames, actions)
    bits, likeliest = (np.stack(part, axis=1) for part in zip(*told, strict=True))
    return bits, likeliest
