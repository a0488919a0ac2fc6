"""LPIPS (arXiv 1801.03924) on VGG-16: how different two pictures look. Its weights are files of the
user's; nothing is fetched.
"""

from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldsim.world.foreign_checkpoint import read_checkpoint

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
# torchvision's numbers of VGG-16's convolutions in `features`, stage by stage.
NUMBERS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class Perceptual(nn.Module):
    """The distance; its weights never learn."""

    def __init__(self):
        super().__init__()
        widths = [3, *(width for stage in STAGES for width in stage)]
        layers = [nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths)]
        self.stages = nn.ModuleList()
        for stage in STAGES:
            self.stages.append(nn.ModuleList(layers[: len(stage)]))
            layers = layers[len(stage) :]
        self.weights = nn.ParameterList(torch.ones(1, stage[-1], 1, 1) for stage in STAGES)
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def features(self, pictures: Tensor) -> list[Tensor]:
        """What every stage sees, of unit length at each place, of pictures `[B,3,H,W]` in -1..1."""
        x, found = (pictures - self.shift) / self.scale, []
        for number, stage in enumerate(self.stages):
            x = F.max_pool2d(x, 2) if number else x
            for layer in stage:
                x = F.relu(layer(x))
            found.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return found

    def forward(self, pictures: Tensor, others: Tensor) -> Tensor:
        """Mean distance of pictures `[B,3,H,W]` in -1..1, a number."""
        both = zip(self.features(pictures), self.features(others), self.weights, strict=True)
        # A sum over channels, the mean over places and pictures.
        return sum((w * (a - b).square()).sum(1).mean() for a, b, w in both)


def read_perceptual(vgg: Path, linear: Path) -> Perceptual:
    """The distance of two weight files.

    Args:
        vgg: torchvision's VGG-16: `features.<number>.weight` and `.bias`.
        linear: LPIPS' own for VGG: `lin<stage>.model.1.weight`.

    Raises:
        ValueError: a file that is missing, or that lacks a tensor or has it in another shape.
    """
    model, state = Perceptual(), {}
    for path in (vgg, linear):
        if not path.is_file():
            raise ValueError(f"there are no weights {path} for the perceptual loss: give a file")
    features, weights = read_checkpoint(vgg, plain=True), read_checkpoint(linear, plain=True)
    for stage, numbers in enumerate(NUMBERS):
        for layer, number in enumerate(numbers):
            for end in ("weight", "bias"):
                state[f"stages.{stage}.{layer}.{end}"] = features.get(f"features.{number}.{end}")
        state[f"weights.{stage}"] = weights.get(f"lin{stage}.model.1.weight")
    for name, wanted in model.state_dict().items():
        got = state.get(name, wanted)
        if got is None or got.shape != wanted.shape:
            path = linear if name.startswith("weights") else vgg
            raise ValueError(
                f"{path} is no weight file of LPIPS on VGG-16: {name} should be "
                f"{list(wanted.shape)}, got {None if got is None else list(got.shape)}"
            )
    model.load_state_dict(state, strict=False)
    return model
