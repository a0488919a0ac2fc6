"""Frames <-> latents that carry their labels: an autoencoder with a multi-scale quantiser between
its halves. As a Codec it takes every frame alone; an autoencoder that looks back is run by clips.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from models.codec.causal_conv import ConvPast
from models.codec.label_channels import latent_shape, pack_labels
from models.codec.multiscale_quantizer import MultiscaleQuantizer, QuantizerConfig
from models.codec.patch_autoencoder import to_frames


class FrameAutoencoder(Protocol):
    """An autoencoder of single frames (PatchAutoencoder, CausalAutoencoder)."""

    frame_size: int

    def encode_pictures(self, pictures: Tensor) -> Tensor:
        """Features `[B,d,h,w]` of pictures `[B,3,H,W]` in -1..1."""

    def paint(self, features: Tensor) -> Tensor:
        """Pictures `[B,3,H,W]` of features `[B,d,h,w]`."""


class MultiscaleTokenizer(nn.Module):
    """A Codec: frames uint8 `[...,H,W,3]` <-> latents float32 `[...,C,h,w]`, of which the first d
    channels are the sum of the codes and the others its labels (label_channels.py).
    """

    def __init__(self, autoencoder: nn.Module, quantizer: MultiscaleQuantizer):
        super().__init__()
        self.autoencoder, self.quantizer = autoencoder, quantizer

    @property
    def cfg(self) -> QuantizerConfig:
        """Of the quantiser."""
        return self.quantizer.cfg

    @property
    def frame_size(self) -> int:
        """Height and width of a frame in pixels."""
        return self.autoencoder.frame_size

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """C, h, w."""
        return latent_shape(self.cfg)

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Latents float32 `[...,C,h,w]` of frames uint8 `[...,H,W,3]`."""
        pictures = to_pictures(frames).flatten(0, -4)
        latents = self.quantise(self.autoencoder.encode_pictures(pictures))
        return latents.unflatten(0, frames.shape[:-3])

    def quantise(self, features: Tensor) -> Tensor:
        """Latents `[B,C,h,w]` of features `[B,d,h,w]`."""
        pyramid = self.quantizer.build_pyramid(features)
        return torch.cat((pyramid.sums[-1], pack_labels(pyramid.targets, self.cfg)), dim=1)

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Frames uint8 `[B,H,W,3]` of latents `[B,C,h,w]`; only the sum is read."""
        return to_frames(self.autoencoder.paint(latents[:, : self.cfg.channels].float()))

    # ---- over time ----

    def initial(self) -> ConvPast:
        """The past of a clip that has not begun, for encode_clip or decode_clip."""
        return ConvPast()

    @torch.no_grad()
    def encode_clip(self, past: ConvPast, frames: Tensor) -> tuple[ConvPast, Tensor]:
        """Latents `[B,T',C,h,w]` of the next frames uint8 `[B,T,H,W,3]`; see CausalAutoencoder."""
        past, features = self.autoencoder.encode_clip(past, to_pictures(frames))
        return past, self.quantise(features.flatten(0, 1)).unflatten(0, features.shape[:2])

    @torch.inference_mode()
    def decode_clip(self, past: ConvPast, latents: Tensor) -> tuple[ConvPast, Tensor]:
        """Frames uint8 `[B,T,H,W,3]` of the next latents `[B,T',C,h,w]`."""
        features = latents[:, :, : self.cfg.channels].float()
        past, pictures = self.autoencoder.decode_clip(past, features)
        return past, to_frames(pictures)


def to_pictures(frames: Tensor) -> Tensor:
    """Pictures float `[...,3,H,W]` in -1..1 of frames uint8 `[...,H,W,3]`."""
    return frames.movedim(-1, -3).float() / 127.5 - 1
