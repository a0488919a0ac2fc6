"""What a multi-scale tokenizer learns from (VideoAR, Eq. 4): reconstruction, perceptual distance, a
patch discriminator, commitment and entropy, all on each frame, and LeCAM's regulariser of the
discriminator (arXiv 2104.03310).

The paper gives no weight. Those here are Open-MAGVIT2's for the same data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.codec.multiscale_quantizer import Quantised
from models.codec.patch_discriminator import hinge_loss


@dataclass(frozen=True, kw_only=True)
class TokenizerLossConfig:
    """Weights of the losses; `lecam_decay` of its running means."""

    reconstruction: float = 1.0
    perceptual: float = 1.0
    adversarial: float = 0.3
    commitment: float = 0.25
    entropy: float = 0.1
    lecam: float = 0.05
    lecam_decay: float = 0.999


class TokenizerLosses(NamedTuple):
    """Every part of a tokenizer's loss, unweighted scalars."""

    reconstruction: Tensor
    perceptual: Tensor
    adversarial: Tensor
    commitment: Tensor
    entropy: Tensor

    def total(self, cfg: TokenizerLossConfig) -> Tensor:
        """The weighted sum."""
        return torch.stack([getattr(cfg, n) * part for n, part in self._asdict().items()]).sum()


def tokenizer_losses(
    pictures: Tensor,
    painted: Tensor,
    quantised: Quantised,
    perceptual: Callable[[Tensor, Tensor], Tensor] | None = None,
    discriminator: nn.Module | None = None,
) -> TokenizerLosses:
    """Of pictures `[B,T,3,H,W]` and what was painted of them.

    Args:
        pictures: true ones, in -1..1.
        painted: theirs after quantisation.
        quantised: of the same.
        perceptual: distance of pictures `[N,3,H,W]`; None leaves it out.
        discriminator: pictures `[N,3,H,W]` -> logits; None leaves it out.
    """
    true, made = pictures.flatten(0, 1), painted.flatten(0, 1)
    none = pictures.new_zeros(())
    return TokenizerLosses(
        reconstruction=(made - true).abs().mean(),
        perceptual=none if perceptual is None else perceptual(made, true).mean(),
        adversarial=none if discriminator is None else -discriminator(made).mean(),
        commitment=quantised.commitment,
        entropy=quantised.entropy,
    )


class LeCAM(nn.Module):
    """Keeps a discriminator from being sure: its logits of true pictures are held to the running
    mean of those of painted ones, and the other way round.
    """

    def __init__(self, decay: float):
        super().__init__()
        self.decay = decay
        self.register_buffer("real", torch.zeros(()))
        self.register_buffer("made", torch.zeros(()))

    def forward(self, real: Tensor, made: Tensor) -> Tensor:
        """The penalty of logits; moves the running means first."""
        real, made = real.float(), made.float()  # autocast may have halved them
        with torch.no_grad():
            self.real.lerp_(real.mean(), 1 - self.decay)
            self.made.lerp_(made.mean(), 1 - self.decay)
        above, below = F.relu(real - self.made), F.relu(self.real - made)
        return above.square().mean() + below.square().mean()


def discriminator_loss(
    discriminator: nn.Module,
    pictures: Tensor,
    painted: Tensor,
    lecam: LeCAM,
    cfg: TokenizerLossConfig,
) -> Tensor:
    """Of pictures `[B,T,3,H,W]` and painted ones: hinge loss with LeCAM."""
    real = discriminator(pictures.flatten(0, 1))
    made = discriminator(painted.detach().flatten(0, 1))
    return hinge_loss(real, made) + cfg.lecam * lecam(real, made)
