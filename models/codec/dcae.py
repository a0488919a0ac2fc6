"""The published autoencoder (DC-AE, arXiv 2410.10733) as a Codec. The network is diffusers' own
class, into which the published weights load key for key; this is the only file that imports it.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def autoencoder_from(config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> nn.Module:
    """diffusers' AutoencoderDC of a published config and weights.

    Raises:
        ImportError: diffusers is not installed.
        ValueError: the weights don't fit the config.
    """
    model = empty_autoencoder(config)
    try:
        model.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise ValueError(
            f"the autoencoder's weights don't fit its config: {str(error).splitlines()[-1].strip()}"
        ) from error
    return model.requires_grad_(False).eval()


def empty_autoencoder(config: Mapping[str, Any]) -> nn.Module:
    """diffusers' AutoencoderDC, untrained."""
    try:
        from diffusers import AutoencoderDC
    except ImportError as error:
        raise ImportError(
            "the published autoencoder needs diffusers: pip install 'worldsim[dcae]'",
            name="diffusers",
        ) from error
    return AutoencoderDC(**config)


class DCAECodec(nn.Module):
    """A Codec: frames uint8 `[...,H,W,3]` <-> latents float32 `[...,C,h,w]`, scaled as FAR was
    trained on them.
    """

    def __init__(self, model: nn.Module, latent_size: int):
        super().__init__()
        self.model = model
        self.latent_shape = (model.config.latent_channels, latent_size, latent_size)
        self.frame_size = latent_size * model.spatial_compression_ratio
        self.scaling = float(model.config.scaling_factor)
        self.truncates = False  # to 8 bits, as the published evaluation does, instead of rounding

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Latents float32 `[...,C,h,w]` of frames uint8 `[...,H,W,3]`."""
        flat = frames.flatten(0, -4).movedim(-1, 1).float() / 127.5 - 1
        return (self.model.encode(flat).latent * self.scaling).unflatten(0, frames.shape[:-3])

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Frames uint8 `[B,H,W,3]` of latents `[B,C,h,w]`."""
        pictures = self.model.decode(latents.float() / self.scaling).sample.clamp(-1, 1)
        values = (pictures + 1) * 127.5
        values = values.floor() if self.truncates else values.round()
        return values.to(torch.uint8).movedim(1, -1).contiguous()
