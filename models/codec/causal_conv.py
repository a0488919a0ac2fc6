"""Convolutions over space and past time that can be run in chunks: what a layer needs of the frames
before a chunk goes in and out explicitly.

Shapes: B clips, T frames, C channels; activations are `[B,T,C,H,W]`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS, EPS = 32, 1e-6


@dataclass
class ConvPast:
    """The newest inputs `[B,n,C,H,W]` of every layer that looks back, by the layer's name; empty
    before the first frame. A Carry (worldsim/world/protocols.py).
    """

    frames: dict[str, Tensor] = field(default_factory=dict)

    def map(self, function: Callable[[Tensor, int], Tensor]) -> "ConvPast":
        """A new past of `function(tensor, batch dimension)` of every tensor."""
        return ConvPast({name: function(tensor, 0) for name, tensor in self.frames.items()})

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name."""
        return dict(self.frames)


class Stream:
    """One run through the layers: reads the past of each, and gathers what the next run needs in
    `kept`.
    """

    def __init__(self, past: ConvPast, time_pad: str):
        self.past, self.time_pad, self.kept = past, time_pad, ConvPast()

    def extend(self, name: str, x: Tensor, first: int, keep: int) -> Tensor:
        """x `[B,T,C,H,W]` behind the layer's past; before the first frame, `first` paddings."""
        past = self.past.frames.get(name)
        if past is None:
            past = x[:, :1].expand(-1, first, -1, -1, -1)
            past = past if self.time_pad == "replicate" else torch.zeros_like(past)
        x = torch.cat((past, x), dim=1)
        self.kept.frames[name] = x[:, x.shape[1] - keep :].clone()
        return x


class CausalConv(nn.Module):
    """A convolution that sees `time` frames: its own and those before it.

    Args:
        inside, outside: channels.
        kernel: pixels each way; time: frames.
        stride: `(time, space)`. A stride in space comes with one pixel of padding, right and below;
            a stride of 2 in time makes n + 1 frames of 2n + 1.
        lead: how many paddings the first frame has less than `time - 1`.
    """

    name: str  # set by name_layers

    def __init__(
        self,
        inside: int,
        outside: int,
        kernel: int = 3,
        time: int = 1,
        stride: tuple[int, int] = (1, 1),
        lead: int = 0,
    ):
        super().__init__()
        self.time, self.stride, self.lead = time, stride, lead
        self.padding = kernel // 2 if stride[1] == 1 else 0
        self.weight = nn.Parameter(torch.empty(outside, inside, time, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outside))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, x: Tensor, stream: Stream) -> Tensor:
        """Of `[B,T,C,H,W]`."""
        x = F.pad(x, (0, 1, 0, 1)) if self.stride[1] > 1 else x
        if self.time == 1:
            weight, stride = self.weight.squeeze(2), self.stride[1]
            y = F.conv2d(x.flatten(0, 1), weight, self.bias, stride, self.padding)
            return y.unflatten(0, x.shape[:2])
        x = stream.extend(self.name, x, self.time - 1 - self.lead, self.time - self.stride[0])
        stride = (self.stride[0], self.stride[1], self.stride[1])
        padding = (0, self.padding, self.padding)
        return F.conv3d(x.transpose(1, 2), self.weight, self.bias, stride, padding).transpose(1, 2)


class FrameNorm(nn.GroupNorm):
    """Group normalisation of each frame alone: over time it would not be causal."""

    def __init__(self, channels: int):
        super().__init__(math.gcd(GROUPS, channels), channels, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Of `[B,T,C,H,W]`."""
        return super().forward(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class ResBlock(nn.Module):
    """Twice normalisation, swish and convolution, added to the input."""

    def __init__(self, inside: int, outside: int, time: int):
        super().__init__()
        self.first_norm, self.second_norm = FrameNorm(inside), FrameNorm(outside)
        self.first = CausalConv(inside, outside, time=time)
        self.second = CausalConv(outside, outside, time=time)
        self.shortcut = CausalConv(inside, outside, kernel=1) if inside != outside else None

    def forward(self, x: Tensor, stream: Stream) -> Tensor:
        """Of `[B,T,C,H,W]`."""
        y = self.first(F.silu(self.first_norm(x)), stream)
        y = self.second(F.silu(self.second_norm(y)), stream)
        return y + (x if self.shortcut is None else self.shortcut(x, stream))


class Upsample(nn.Module):
    """Nearest neighbours, twice as many each way (`frames`: 1 + n frames become 1 + 2n), then a
    convolution.
    """

    def __init__(self, width: int, time: int, frames: bool):
        super().__init__()
        self.frames = frames
        self.conv = CausalConv(width, width, time=time, lead=int(frames))

    def forward(self, x: Tensor, stream: Stream) -> Tensor:
        """Of `[B,T,C,H,W]`."""
        x = x.repeat_interleave(2, 3).repeat_interleave(2, 4)
        x = x.repeat_interleave(2, 1) if self.frames else x
        return self.conv(x, stream)


def name_layers(module: nn.Module) -> None:
    """Tell every convolution its name, under which a ConvPast has what it needs."""
    for name, part in module.named_modules():
        if isinstance(part, CausalConv):
            part.name = name
