"""Cross-Frame Error Correction (VideoAR, Eq. 8): in training a share of the labels is flipped, and
what comes after learns to put it right.

The share grows with the frame, and a frame begins at least at the share that the frame before
ended with, since its first level is shown that frame.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

MOST = 0.5  # at which a bit says nothing


@dataclass(frozen=True, kw_only=True)
class CorrectionConfig:
    """Shares of flipped labels. The paper's numbers.

    Attributes:
        least, most: the share is uniform between them in frame 0.
        growth: how much more it is with every frame.
        inherits: whether a frame's first scale begins at the share of the last scale before it.
    """

    least: float = 0.0
    most: float = 0.25
    growth: float = 0.01
    inherits: bool = True

    def __post_init__(self):
        if not 0 <= self.least <= self.most <= MOST or self.growth < 0:
            raise ValueError(
                f"shares must be 0 <= least <= most <= {MOST} and growth >= 0, "
                f"got {self.least}, {self.most}, {self.growth}"
            )


def flip_rates(cfg: CorrectionConfig, draws: Tensor) -> Tensor:
    """The share `[B,T,K]` of flipped labels of every frame and scale, from uniform draws of that
    shape.
    """
    grown = cfg.growth * torch.arange(draws.shape[1], device=draws.device)
    low, high = (bound + grown for bound in (cfg.least, cfg.most))
    rates = low[:, None] + (high - low)[:, None] * draws
    if not cfg.inherits:
        return rates.clamp(max=MOST)
    # The last scale's share of the frame before is where the first scale's interval begins.
    if draws.shape[2] > 1:
        before = rates[:, :-1, -1]
        rates[:, 1:, 0] = before + (high[1:] - before) * draws[:, 1:, 0]
    else:
        for t in range(1, draws.shape[1]):
            before = rates[:, t - 1, 0].clone()
            rates[:, t, 0] = before + (high[t] - before) * draws[:, t, 0]
    return rates.clamp(max=MOST)
