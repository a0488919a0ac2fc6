"""Noise schedules: the noise levels t (1 is pure noise, 0 the clean frame) that a frame passes
through while it is sampled, and what each level weighs in training.
"""

from itertools import pairwise

import torch
from torch import Tensor


def sigmas(steps: int) -> list[tuple[float, float]]:
    """(t, d) of each of `steps` equal jumps from noise to picture."""
    if steps not in (1, 2, 4, 8):
        raise ValueError(f"steps must be 1, 2, 4 or 8 sampler steps a frame, got {steps}")
    return [(1 - i / steps, 1 / steps) for i in range(steps)]


def published_sigmas(steps: int) -> list[tuple[float, float]]:
    """(t, to) of each of published FAR's `steps` Euler steps: timesteps fall linearly from 1000 to
    1 in thousandths, and only the last step goes to 0.
    """
    if steps < 1:
        raise ValueError(f"steps must be >= 1 sampler step a frame, got {steps}")
    spaced = torch.linspace(1000, 1, steps, dtype=torch.float64) / 1000
    return list(pairwise([*spaced.tolist(), 0.0]))


def loss_weight(t: Tensor) -> Tensor:
    """Loss weight: 1 for clean inputs falling to 0.4 for pure noise (Dreamer 4 falls to 0.1; with
    one or two steps to play, pure noise matters more).
    """
    return 1 - 0.6 * t
