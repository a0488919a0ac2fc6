"""Weights of metrics, of the published names and shapes and with random numbers: LPIPS' backbones,
and a detector that is called as StyleGAN-V's I3D is.
"""

import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldsim.evaluate.lpips import BACKBONES


def write_backbone(path: Path, name: str) -> Path:
    """A checkpoint like torchvision's."""
    generator, weights, before = torch.Generator().manual_seed(0), {}, 3
    for layer in (layer for stage in BACKBONES[name].stages for layer in stage):
        shape = (layer.width, before, layer.kernel, layer.kernel)
        scale = (2 / (layer.kernel**2 * before)) ** 0.5
        weights[f"features.{layer.number}.weight"] = scale * torch.randn(shape, generator=generator)
        weights[f"features.{layer.number}.bias"] = torch.zeros(layer.width)
        before = layer.width
    torch.save(weights | {"classifier.0.bias": torch.zeros(1)}, path)
    return path


class Detector(nn.Module):
    """Features of clips `[N,3,T,H,W]`: those of coarse pictures and of their changes."""

    def __init__(self, features: int = 400):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("weights", torch.randn(96, features, generator=generator))

    def forward(
        self, x: Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False
    ) -> Tensor:
        if rescale:
            x = 2 * x / 255 - 1
        small = F.adaptive_avg_pool3d(x, [2, 4, 4]).flatten(1)
        return (small @ self.weights).tanh()


def write_detector(path: Path, features: int = 400) -> Path:
    """A TorchScript file like StyleGAN-V's `i3d_torchscript.pt`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch is giving TorchScript up, the file is of its time
        torch.jit.script(Detector(features)).save(str(path))
    return path
