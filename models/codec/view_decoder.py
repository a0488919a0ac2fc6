"""A decoder that sees the view of memory: pictures of latents, in which what memory shows keeps its
pixels.

The codec's own decoder knows a frame's latents alone. This one starts from the view's pixels where
memory shows some and from the linear decoding elsewhere, and a small U-Net corrects both: it mends
where a view is wrong, joins what is invented to what is known, and adds the texture that latents do
not hold. Texture is drawn, not averaged: the noise of the flow is an input, and a discriminator
judges the pictures while it learns (models/training/view_decoder_loss.py).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

QUARTER, EIGHTH = 4, 8  # pixels of a place, each way, of the two coarser resolutions


@dataclass(frozen=True, kw_only=True)
class ViewDecoderConfig:
    """frame_size: pixels; latent_channels, latent_size: C and h = w of the latents; eighth,
    quarter, half: channels at these parts of the frame's resolution.
    """

    frame_size: int = 64
    latent_channels: int = 48
    latent_size: int = 8
    eighth: int = 128
    quarter: int = 64
    half: int = 32

    def __post_init__(self):
        if self.frame_size % (EIGHTH * self.latent_size):
            raise ValueError(
                f"frame_size must be a multiple of {EIGHTH * self.latent_size}, {EIGHTH} pixels of "
                f"each cell, got {self.frame_size}"
            )
        if self.latent_channels % self.spread**2:
            raise ValueError(
                f"latent_channels must be a multiple of {self.spread**2}, got "
                f"{self.latent_channels}"
            )

    @property
    def spread(self) -> int:
        """Places of a quarter of the resolution that a cell covers, each way."""
        return self.frame_size // QUARTER // self.latent_size


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions of activations, added to their input; starts as nothing."""

    def __init__(self, width: int):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Of `[B,width,h,w]`."""
        return x + self.second(F.silu(self.first(F.silu(x))))


class ViewDecoder(nn.Module):
    """Latents and a view to pictures. Starts as the view's pixels over the linear decoding."""

    def __init__(self, cfg: ViewDecoderConfig):
        super().__init__()
        self.cfg = cfg
        noise, planes = cfg.latent_channels // cfg.spread**2, 8
        self.inlet = nn.Conv2d(planes * QUARTER**2 + noise, cfg.quarter, 3, padding=1)
        self.down = nn.Conv2d(cfg.quarter, cfg.eighth, 4, stride=2, padding=1)
        side = cfg.frame_size // EIGHTH // cfg.latent_size
        self.latents = nn.Sequential(
            nn.Conv2d(cfg.latent_channels, cfg.eighth * side**2, 1), nn.PixelShuffle(side)
        )
        self.at_eighth = nn.Sequential(ResidualBlock(cfg.eighth), ResidualBlock(cfg.eighth))
        self.to_quarter = nn.Conv2d(cfg.eighth, 4 * cfg.quarter, 1)
        self.at_quarter = nn.Sequential(ResidualBlock(cfg.quarter), ResidualBlock(cfg.quarter))
        self.to_half = nn.Conv2d(cfg.quarter, 4 * cfg.half, 1)
        self.planes = nn.Conv2d(planes * 4, cfg.half, 3, padding=1)
        self.at_half = ResidualBlock(cfg.half)
        self.out = nn.Conv2d(cfg.half, 12, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, latents: Tensor, linear: Tensor, rgb: Tensor, seen: Tensor, noise: Tensor
    ) -> Tensor:
        """Pictures `[B,3,H,W]` about -1..1.

        Args:
            latents: `[B,C,h,w]`.
            linear: their linear decoding `[B,3,H,W]`.
            rgb: of the view `[B,3,H,W]`, 0 where nothing is known.
            seen: which of its pixels memory shows, bool `[B,H,W]`; the others are hints.
            noise: `[B,C,h,w]` that the latents were sampled from.
        """
        mask = seen.to(linear.dtype).unsqueeze(1)
        hint = (rgb != 0).any(dim=1, keepdim=True).to(linear.dtype) * (1 - mask)
        base = torch.lerp(linear, rgb, mask)
        planes = torch.cat((base, (linear - rgb) * (mask + hint), mask - 0.5, hint - 0.5), dim=1)
        grain = F.pixel_shuffle(noise, self.cfg.spread)
        quarter = self.inlet(torch.cat((F.pixel_unshuffle(planes, QUARTER), grain), dim=1))
        eighth = self.at_eighth(self.down(F.silu(quarter)) + self.latents(latents))
        quarter = self.at_quarter(quarter + F.pixel_shuffle(self.to_quarter(F.silu(eighth)), 2))
        half = F.pixel_shuffle(self.to_half(F.silu(quarter)), 2)
        half = self.at_half(half + self.planes(F.pixel_unshuffle(planes, 2)))
        return base + F.pixel_shuffle(self.out(F.silu(half)), 2)
