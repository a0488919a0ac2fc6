"""A decoder that sees the view of memory: pictures of latents, in which what memory shows keeps its
pixels.

The codec's own decoder knows a frame's latents alone. This one starts from the view's pixels where
memory knows some and from the linear decoding of the latents elsewhere, and a small U-Net corrects
both: it mends where a view is wrong, joins what is invented to what is known, and adds the texture
that latents do not hold: a critic judges the pictures while the decoder learns
(models/training/view_decoder_loss.py). Latents of what the network is not sure of are smooth: where
memory shows nothing, the noise that they were sampled from tells such a decoder which of the
textures that fit it should make.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.codec.patch_autoencoder import PatchAutoencoder, to_frames
from models.nn.residual import ResidualBlock

QUARTER, EIGHTH = 4, 8  # pixels of a place, each way, of the two coarser resolutions
PLANES = 8  # of the full resolution: base, difference, seen, hint


@dataclass(frozen=True, kw_only=True)
class ViewDecoderConfig:
    """Channels at an eighth, a quarter and half of a frame's resolution; `noise`: whether it reads
    the noise that latents were sampled from.
    """

    eighth: int = 128
    quarter: int = 64
    half: int = 32
    noise: bool = False


class Shown(NamedTuple):
    """What memory shows of a frame.

    Attributes:
        rgb: the view's pixels `[B,3,H,W]`.
        seen: which of them are as they were, bool `[B,H,W]`.
        hint: which of the others have a doubtful colour, bool `[B,H,W]`.
    """

    rgb: Tensor
    seen: Tensor
    hint: Tensor


class ViewDecoder(nn.Module):
    """Latents and a view to pictures. Starts as the view's pixels over the linear decoding.

    Args:
        cfg: widths.
        frame_size: pixels each way.
        latent_shape: C, h, w.

    Raises:
        ValueError: latents that the frame, or their noise, cannot be divided into.
    """

    def __init__(self, cfg: ViewDecoderConfig, frame_size: int, latent_shape: tuple[int, int, int]):
        super().__init__()
        channels, cells, _ = latent_shape
        if frame_size % (EIGHTH * cells):
            raise ValueError(
                f"frame_size must be a multiple of {EIGHTH * cells}, {EIGHTH} pixels of each cell, "
                f"got {frame_size}"
            )
        self.cfg, side = cfg, frame_size // EIGHTH // cells
        self.inlet = nn.Conv2d(PLANES * QUARTER**2, cfg.quarter, 3, padding=1)
        self.down = nn.Conv2d(cfg.quarter, cfg.eighth, 4, stride=2, padding=1)
        self.grain = _make_grain(cfg, channels, 2 * side) if cfg.noise else None
        self.latents = nn.Sequential(
            nn.Conv2d(channels, cfg.eighth * side**2, 1), nn.PixelShuffle(side)
        )
        self.at_eighth = nn.Sequential(ResidualBlock(cfg.eighth), ResidualBlock(cfg.eighth))
        self.to_quarter = nn.Conv2d(cfg.eighth, 4 * cfg.quarter, 1)
        self.at_quarter = nn.Sequential(ResidualBlock(cfg.quarter), ResidualBlock(cfg.quarter))
        self.to_half = nn.Conv2d(cfg.quarter, 4 * cfg.half, 1)
        self.planes = nn.Conv2d(PLANES * 4, cfg.half, 3, padding=1)
        self.at_half = ResidualBlock(cfg.half)
        self.out = nn.Conv2d(cfg.half, 12, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, latents: Tensor, linear: Tensor, shown: Shown, noise: Tensor) -> Tensor:
        """Pictures `[B,3,H,W]` about -1..1.

        Args:
            latents: `[B,C,h,w]`.
            linear: their linear decoding `[B,3,H,W]`.
            shown: of memory.
            noise: `[B,C,h,w]` that the latents were sampled from; read where `cfg.noise` says so.
        """
        mask, doubt = (part.to(linear.dtype).unsqueeze(1) for part in shown[1:])
        difference = (shown.rgb - linear) * (mask + doubt)
        base = linear + difference
        planes = torch.cat((base, difference, mask - 0.5, doubt - 0.5), dim=1)
        quarter = self.inlet(F.pixel_unshuffle(planes, QUARTER))
        if self.grain is not None:
            quarter = quarter + self.grain(noise) * F.avg_pool2d(1 - mask, QUARTER)
        eighth = self.at_eighth(self.down(F.silu(quarter)) + self.latents(latents))
        quarter = self.at_quarter(quarter + F.pixel_shuffle(self.to_quarter(F.silu(eighth)), 2))
        half = F.pixel_shuffle(self.to_half(F.silu(quarter)), 2)
        half = self.at_half(half + self.planes(F.pixel_unshuffle(planes, 2)))
        return base + F.pixel_shuffle(self.out(F.silu(half)), 2)


def _make_grain(cfg: ViewDecoderConfig, channels: int, side: int) -> nn.Module:
    """Noise `[B,C,h,w]` to features, `side` times as fine: none as long as it has not learnt."""
    if channels % side**2:
        raise ValueError(
            f"channels must be a multiple of {side**2}, so that their noise can be spread over "
            f"{side} x {side} places of each cell, got {channels}"
        )
    spread = nn.Conv2d(channels // side**2, cfg.quarter, 3, padding=1)
    nn.init.zeros_(spread.weight)
    nn.init.zeros_(spread.bias)
    return nn.Sequential(nn.PixelShuffle(side), spread)


def paint_view(
    codec: PatchAutoencoder,
    decoder: ViewDecoder,
    latents: Tensor,
    shown: Shown,
    noise: Tensor,
) -> Tensor:
    """Pictures `[B,3,H,W]` in -1..1 of latents `[B,C,h,w]`, of what memory shows and of the noise
    `[B,C,h,w]` that the latents were sampled from.
    """
    return decoder(latents, codec.linear_decode(latents), shown, noise).clamp(-1, 1)


class ViewCodec:
    """A world's codec: the encoder, and what the decoder makes of latents where memory shows
    nothing.
    """

    def __init__(self, codec: PatchAutoencoder, decoder: ViewDecoder):
        self.codec, self.decoder = codec, decoder

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """C, h, w."""
        return self.codec.latent_shape

    @property
    def frame_size(self) -> int:
        """Height and width of a frame in pixels."""
        return self.codec.frame_size

    def encode(self, frames: Tensor) -> Tensor:
        """Latents float32 `[...,C,h,w]` of frames uint8 `[...,H,W,3]`."""
        return self.codec.encode(frames)

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Frames uint8 `[B,H,W,3]` of latents `[B,C,h,w]`."""
        latents = latents.float()
        size = self.frame_size
        rgb = latents.new_zeros(len(latents), 3, size, size)
        nothing = torch.zeros_like(rgb[:, 0], dtype=torch.bool)
        shown = Shown(rgb, nothing, nothing)
        noise = torch.zeros_like(latents)
        return to_frames(paint_view(self.codec, self.decoder, latents, shown, noise))
