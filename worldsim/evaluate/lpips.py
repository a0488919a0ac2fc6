"""LPIPS (arXiv 1801.03924): how different two pictures look, by VGG-16 (a loss of trainings) or by
AlexNet (published tables). The backbones are torchvision's files, given by path; the heads come
with torchmetrics. Nothing is fetched.
"""

import functools
import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldsim.reading import short_path
from worldsim.world.foreign_checkpoint import read_checkpoint

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_CHUNK = 64


class Layer(NamedTuple):
    """A convolution: its number in torchvision's `features`, width, kernel, stride, padding."""

    number: int
    width: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1


class Backbone(NamedTuple):
    """A network whose stages are compared; each stage but the first begins with max pooling.

    Attributes:
        stages: the layers of each; a stage ends where its features are taken.
        pooling: kernel of the pooling (its stride is 2) before the stages in `pooled`.
        pooled: stages that begin with it.
        published: where its weights are.
    """

    stages: tuple[tuple[Layer, ...], ...]
    pooling: int
    pooled: tuple[int, ...]
    published: str


def _vgg() -> tuple[tuple[Layer, ...], ...]:
    widths = (64, 128, 256, 512, 512)
    numbers = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
    return tuple(
        tuple(Layer(n, w) for n in stage) for stage, w in zip(numbers, widths, strict=True)
    )


BACKBONES = {
    "vgg": Backbone(
        _vgg(), 2, (1, 2, 3, 4), "https://download.pytorch.org/models/vgg16-397923af.pth"
    ),
    "alex": Backbone(
        (
            (Layer(0, 64, 11, 4, 2),),
            (Layer(3, 192, 5, 1, 2),),
            (Layer(6, 384),),
            (Layer(8, 256),),
            (Layer(10, 256),),
        ),
        3,
        (1, 2),
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    ),
}


class Perceptual(nn.Module):
    """The distance; its weights never learn."""

    def __init__(self, name: str = "vgg"):
        super().__init__()
        self.name, self.backbone = name, BACKBONES[name]
        self.stages, before = nn.ModuleList(), 3
        for stage in self.backbone.stages:
            layers = nn.ModuleList()
            for layer in stage:
                shape = (layer.kernel, layer.stride, layer.padding)
                layers.append(nn.Conv2d(before, layer.width, *shape))
                before = layer.width
            self.stages.append(layers)
        widths = [stage[-1].width for stage in self.backbone.stages]
        self.weights = nn.ParameterList(torch.ones(1, width, 1, 1) for width in widths)
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def features(self, pictures: Tensor) -> list[Tensor]:
        """What every stage sees, of unit length at each place, of pictures `[B,3,H,W]` in -1..1."""
        x, found = (pictures - self.shift) / self.scale, []
        for number, stage in enumerate(self.stages):
            if number in self.backbone.pooled:
                x = F.max_pool2d(x, self.backbone.pooling, 2)
            for layer in stage:
                x = F.relu(layer(x))
            found.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return found

    def maps(self, pictures: Tensor, others: Tensor) -> list[Tensor]:
        """The distance at every place of every stage, each `[B,h,w]`."""
        both = zip(self.features(pictures), self.features(others), self.weights, strict=True)
        return [(w * (a - b).square()).sum(1) for a, b, w in both]

    def forward(self, pictures: Tensor, others: Tensor) -> Tensor:
        """Mean distance of pictures `[B,3,H,W]` in -1..1, a number."""
        return sum(part.mean() for part in self.maps(pictures, others))

    def each(self, pictures: Tensor, others: Tensor) -> Tensor:
        """The distance of each picture, `[B]`."""
        return torch.stack([part.mean((1, 2)) for part in self.maps(pictures, others)]).sum(0)

    def spatial(self, pictures: Tensor, others: Tensor) -> Tensor:
        """The distance at every pixel, `[B,H,W]`: the stages' maps enlarged, and added."""
        size = pictures.shape[2:]
        enlarged = [
            F.interpolate(part.unsqueeze(1), size=size, mode="bilinear", align_corners=False)
            for part in self.maps(pictures, others)
        ]
        return torch.cat(enlarged, 1).sum(1)


@torch.inference_mode()
def lpips(
    distance: Perceptual, pictures: np.ndarray, truth: np.ndarray, as_published: bool = False
) -> np.ndarray:
    """LPIPS `[...]` of each of pictures uint8 `[...,H,W,3]`.

    Args:
        distance: with its weights.
        pictures: what is measured.
        truth: beside them.
        as_published: give them in 0..1, as FAR's evaluation does, where the network expects -1..1.
    """
    low, high = (0.0, 1.0) if as_published else (-1.0, 1.0)
    parts = [
        distance.each(*(low + (high - low) * part for part in pair)).cpu().numpy()
        for pair in _pairs(distance, pictures, truth)
    ]
    return np.concatenate(parts).reshape(pictures.shape[:-3])


@torch.inference_mode()
def lpips_maps(distance: Perceptual, pictures: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """LPIPS at every pixel, float32 `[...,H,W]`."""
    parts = [
        distance.spatial(*(2 * part - 1 for part in pair)).cpu().numpy()
        for pair in _pairs(distance, pictures, truth)
    ]
    return np.concatenate(parts).reshape(pictures.shape[:-1])


def _pairs(distance: Perceptual, pictures: np.ndarray, truth: np.ndarray):
    """Chunks of both in 0..1, `[N,3,H,W]`."""
    flat = [part.reshape(-1, *part.shape[-3:]) for part in (pictures, truth)]
    for at in range(0, len(flat[0]), _CHUNK):
        yield [
            torch.from_numpy(np.ascontiguousarray(part[at : at + _CHUNK]))
            .to(distance.shift.device)
            .movedim(-1, 1)
            .float()
            / 255
            for part in flat
        ]


def read_perceptual(backbone: Path, heads: Path, name: str = "vgg") -> Perceptual:
    """The distance of two weight files.

    Args:
        backbone: torchvision's network: `features.<number>.weight` and `.bias`.
        heads: LPIPS' own for it: `lin<stage>.model.1.weight`.
        name: of the network, "vgg" or "alex".

    Raises:
        ValueError: a file that is missing, or that lacks a tensor or has it in another shape.
    """
    model, state = Perceptual(name), {}
    for path in (backbone, heads):
        if not path.is_file():
            raise ValueError(
                f"there are no weights {path} for LPIPS: give a file ({model.backbone.published})"
            )
    features, weights = read_checkpoint(backbone, plain=True), read_checkpoint(heads, plain=True)
    for stage, layers in enumerate(model.backbone.stages):
        for place, layer in enumerate(layers):
            for end in ("weight", "bias"):
                state[f"stages.{stage}.{place}.{end}"] = features.get(
                    f"features.{layer.number}.{end}"
                )
        state[f"weights.{stage}"] = weights.get(f"lin{stage}.model.1.weight")
    for key, wanted in model.state_dict().items():
        got = state.get(key, wanted)
        if got is None or got.shape != wanted.shape:
            path = heads if key.startswith("weights") else backbone
            raise ValueError(
                f"{short_path(path)} is not a weight file of LPIPS on {name}: {key} must be "
                f"{list(wanted.shape)}, got {None if got is None else list(got.shape)}; it is at "
                f"{model.backbone.published}"
            )
    model.load_state_dict(state, strict=False)
    return model.eval()


def read_lpips(backbone: Path) -> Perceptual:
    """The distance on torchvision's AlexNet or VGG-16, whichever the file is.

    Raises:
        ValueError: it is neither, or torchmetrics, which brings the heads, is not installed.
    """
    if not backbone.is_file():
        raise ValueError(
            f"there is no file {short_path(backbone)} for LPIPS: give torchvision's AlexNet "
            f"({BACKBONES['alex'].published})"
        )
    first = read_checkpoint(backbone, plain=True).get("features.0.weight")
    name = "vgg" if first is not None and tuple(first.shape) == (64, 3, 3, 3) else "alex"
    return read_perceptual(backbone, heads_path(name), name)


@functools.lru_cache(maxsize=1)
def load_lpips(path: str) -> Perceptual:
    """The same, read once."""
    return read_lpips(Path(path))


def heads_path(name: str) -> Path:
    """Where torchmetrics keeps LPIPS' own weights for a backbone.

    Raises:
        ValueError: it is not installed.
    """
    spec = importlib.util.find_spec("torchmetrics")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("LPIPS needs torchmetrics: pip install 'worldsim[metrics]'")
    return Path(spec.submodule_search_locations[0], "functional/image/lpips_models", f"{name}.pth")
