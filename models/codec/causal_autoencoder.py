"""A convolutional autoencoder of frames that looks at the past only (MAGVIT-v2's, as VideoAR's
paper describes it): 1 + T frames become 1 + T / time_stride latents, in chunks of any length as in
one go.

With `time_kernel` 1 it is the image autoencoder of the same shape: every frame alone, no past.
`inflate` makes one that looks back of it.
"""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from models.codec.causal_conv import (
    CausalConv,
    ConvPast,
    FrameNorm,
    ResBlock,
    Stream,
    Upsample,
    name_layers,
)


@dataclass(frozen=True, kw_only=True)
class CausalAutoencoderConfig:
    """Shape of the autoencoder.

    Attributes:
        frame_size: pixels a side.
        channels: d of a latent.
        base: width of the finest level; `multipliers` of each level, the resolution halves between
            two.
        blocks: of an encoder's level; a decoder's has one more.
        time_kernel: frames that a convolution sees, 1 or 3.
        time_stride: frames of a latent, 1, 2 or 4; halved at the coarsest changes of resolution.
        time_pad: what stands before the first frame: copies of it, or zeros (as the paper's
            lineage, which pulls the first frame to grey).
    """

    frame_size: int = 128
    channels: int = 48
    base: int = 128
    multipliers: tuple[int, ...] = (1, 2, 4, 4, 4)
    blocks: int = 2
    time_kernel: Literal[1, 3] = 3
    time_stride: Literal[1, 2, 4] = 4
    time_pad: Literal["replicate", "zeros"] = "replicate"

    def __post_init__(self):
        if self.time_stride > 1 and self.time_kernel == 1:
            raise ValueError(f"time_kernel must be 3 where time_stride is {self.time_stride}")
        if self.time_stride > 2 ** (len(self.multipliers) - 1):
            raise ValueError(
                f"time_stride must be <= {2 ** (len(self.multipliers) - 1)}, got {self.time_stride}"
            )
        if self.frame_size % self.patch:
            raise ValueError(
                f"frame_size must be a multiple of {self.patch}, got {self.frame_size}"
            )

    @property
    def patch(self) -> int:
        """Pixels of a latent cell, each way."""
        return 2 ** (len(self.multipliers) - 1)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of every level, fine to coarse."""
        return tuple(self.base * factor for factor in self.multipliers)

    def halves_time(self, level: int) -> bool:
        """Whether frames are halved as well after a level."""
        changes = len(self.multipliers) - 1
        return changes - self.time_stride.bit_length() + 1 <= level < changes


class Layers(nn.Module):
    """Layers one after the other, each told of the stream if it takes it."""

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, stream: Stream) -> Tensor:
        """Of `[B,T,C,H,W]`, ending in normalisation, swish and a convolution."""
        for layer in self.layers[:-2]:
            x = layer(x, stream)
        norm, last = self.layers[-2:]
        return last(F.silu(norm(x)), stream)


def make_encoder(cfg: CausalAutoencoderConfig) -> Layers:
    """Pictures `[B,1+T,3,H,W]` -> features `[B,1+T/time_stride,d,h,w]`."""
    time, widths = cfg.time_kernel, cfg.widths
    layers: list[nn.Module] = [CausalConv(3, widths[0], time=time)]
    width = widths[0]
    for level, wide in enumerate(widths):
        sizes = [width] + [wide] * cfg.blocks
        layers += [ResBlock(a, wide, time) for a in sizes[:-1]]
        width = wide
        if level < len(widths) - 1:
            stride = (2 if cfg.halves_time(level) else 1, 2)
            layers.append(CausalConv(wide, wide, time=time, stride=stride))
    layers += [ResBlock(width, width, time), ResBlock(width, width, time)]
    return Layers(*layers, FrameNorm(width), CausalConv(width, cfg.channels, time=time))


def make_decoder(cfg: CausalAutoencoderConfig) -> Layers:
    """Inverse of the encoder."""
    time, width = cfg.time_kernel, cfg.widths[-1]
    layers: list[nn.Module] = [CausalConv(cfg.channels, width, time=time)]
    layers += [ResBlock(width, width, time), ResBlock(width, width, time)]
    for level in reversed(range(len(cfg.widths))):
        wide = cfg.widths[level]
        layers += [ResBlock(a, wide, time) for a in [width] + [wide] * cfg.blocks]
        width = wide
        if level:
            layers.append(Upsample(wide, time, cfg.halves_time(level - 1)))
    return Layers(*layers, FrameNorm(width), CausalConv(width, 3, time=time))


class CausalAutoencoder(nn.Module):
    """Pictures in -1..1 <-> features, both over time."""

    def __init__(self, cfg: CausalAutoencoderConfig):
        super().__init__()
        self.cfg = cfg
        self.encoder, self.decoder = make_encoder(cfg), make_decoder(cfg)
        name_layers(self)

    @property
    def frame_size(self) -> int:
        """Height and width of a frame in pixels."""
        return self.cfg.frame_size

    @property
    def last_weight(self) -> Tensor:
        """Of the decoder, at which losses are balanced."""
        return self.decoder.layers[-1].weight

    def encode_clip(self, past: ConvPast, pictures: Tensor) -> tuple[ConvPast, Tensor]:
        """Features `[B,T',d,h,w]` of the next pictures `[B,T,3,H,W]`.

        Args:
            past: of the pictures before; an empty one at the start.
            pictures: at the start 1 + a multiple of time_stride of them, then a multiple.

        Raises:
            ValueError: another number of them.
        """
        self._check_frames(past, pictures.shape[1])
        stream = Stream(past, self.cfg.time_pad)
        return stream.kept, self.encoder(pictures, stream)

    def decode_clip(self, past: ConvPast, features: Tensor) -> tuple[ConvPast, Tensor]:
        """Pictures `[B,T,3,H,W]` of the next features `[B,T',d,h,w]`; see encode_clip."""
        stream = Stream(past, self.cfg.time_pad)
        return stream.kept, self.decoder(features, stream)

    def _check_frames(self, past: ConvPast, count: int) -> None:
        start = 0 if past.frames or self.cfg.time_kernel == 1 else 1
        if (count - start) % self.cfg.time_stride or count < 1:
            raise ValueError(
                f"frames must be {'1 + ' * start}a multiple of time_stride "
                f"{self.cfg.time_stride}, got {count}"
            )

    def encode_pictures(self, pictures: Tensor) -> Tensor:
        """Features `[B,d,h,w]` of pictures `[B,3,H,W]`, each the first of a clip."""
        return self.encode_clip(ConvPast(), pictures.unsqueeze(1))[1].squeeze(1)

    def paint(self, features: Tensor) -> Tensor:
        """Pictures `[B,3,H,W]` of features `[B,d,h,w]`, each the first of a clip."""
        return self.decode_clip(ConvPast(), features.unsqueeze(1))[1].squeeze(1)
