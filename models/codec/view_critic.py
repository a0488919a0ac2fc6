"""A critic of pictures at three scales, which knows what of them memory shows (a patch
discriminator, pix2pix, arXiv 1611.07004), and its losses: relativistic, with zero-centred penalties
on true and on made pictures (R3GAN, arXiv 2501.05441).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Judgement(NamedTuple):
    """Logits `[B,1,n,n]` of places at three scales, and the features that they were read from."""

    logits: tuple[Tensor, ...]
    features: tuple[Tensor, ...]


class ViewCritic(nn.Module):
    """Pictures and masks to logits, higher where a place looks true."""

    def __init__(self, width: int = 48):
        super().__init__()
        self.inlet = nn.Conv2d(16, width, 3, padding=1)
        self.down = nn.ModuleList(
            nn.Conv2d(a * width, b * width, 4, stride=2, padding=1)
            for a, b in ((1, 2), (2, 2), (2, 4))
        )
        self.last = nn.Conv2d(4 * width, 4 * width, 3, padding=1)
        self.out = nn.ModuleList(nn.Conv2d(a * width, 1, 1) for a in (2, 2, 4))

    def forward(self, pictures: Tensor, mask: Tensor) -> Judgement:
        """Of pictures `[B,3,H,W]` in -1..1 and of what memory shows of them `[B,1,H,W]`."""
        x = F.pixel_unshuffle(torch.cat((pictures, mask), dim=1), 2)
        features = [F.leaky_relu(self.inlet(x), 0.2)]
        for layer in self.down:
            features.append(F.leaky_relu(layer(features[-1]), 0.2))
        features[-1] = F.leaky_relu(self.last(features[-1]), 0.2)
        logits = (layer(part) for layer, part in zip(self.out, features[1:], strict=True))
        return Judgement(tuple(logits), tuple(features))


def relativistic_loss(better: Judgement, worse: Judgement, weights: tuple[Tensor, ...]) -> Tensor:
    """How far `better` is from being judged above `worse`, pair by pair; each place counts by its
    weight `[B,1,n,n]`, of each scale.
    """
    parts = zip(better.logits, worse.logits, weights, strict=True)
    errors = [(F.softplus(b - a) * w).sum() / w.sum() for a, b, w in parts]
    return torch.stack(errors).mean()


def place_weights(judgement: Judgement, weight: Tensor) -> tuple[Tensor, ...]:
    """A weight of pixels `[B,1,H,W]` averaged to the places of every scale."""
    size = weight.shape[-1]
    return tuple(F.avg_pool2d(weight, size // part.shape[-1]) for part in judgement.logits)


def gradient_penalty(judgement: Judgement, pictures: Tensor, weights: tuple[Tensor, ...]) -> Tensor:
    """Mean over samples of the squared gradient of a judgement with respect to its pictures."""
    parts = zip(judgement.logits, weights, strict=True)
    total = sum((part * w).mean() for part, w in parts) * len(pictures)
    (gradient,) = torch.autograd.grad(total, pictures, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()
