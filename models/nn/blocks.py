"""The blocks both layouts of FAR are made of. Shapes: B rows, F frames, S tokens of a frame, N =
F*S tokens, D width, H heads, d head size.

Modulation is computed per frame and broadcast over its tokens: the same numbers as per token for a
fraction of the arithmetic.
"""

import math
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.nn.rope import rotate


class QKV(NamedTuple):
    """Queries, keys and values, each `[B, H, N, d]`; queries and keys are normalised and
    rotated.
    """

    q: Tensor
    k: Tensor
    v: Tensor


class Modulation(NamedTuple):
    """AdaLN numbers of one half block, each `[B, F, 1, D]`; the scale has its 1 added."""

    shift: Tensor
    scale: Tensor
    gate: Tensor


def patchify(latents: Tensor, tall: int, wide: int) -> Tensor:
    """`[B,F,C,h,w]` -> tokens `[B,F,S,C*tall*wide]`."""
    x = latents.unflatten(-1, (-1, wide)).unflatten(-3, (-1, tall))
    return x.permute(0, 1, 3, 5, 2, 4, 6).flatten(4).flatten(2, 3)


def unpatchify(tokens: Tensor, patch: int, rows: int) -> Tensor:
    """Inverse of patchify for square patches, `rows` of them."""
    x = tokens.unflatten(-1, (-1, patch, patch)).unflatten(2, (rows, -1))
    return x.permute(0, 1, 4, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4)


def timestep_embedding(t: Tensor, size: int = 256) -> Tensor:
    """Sinusoids `[..., size]` of timesteps on 0..1000, cosines first (DiT, arXiv 2212.09748)."""
    half = size // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, device=t.device) / (half - 1))
    angles = t.float().unsqueeze(-1) * frequencies
    return torch.cat((angles.cos(), angles.sin()), dim=-1)


class Projections(nn.Module):
    """Query, key, value and output projections of one kind of token (fine or coarse)."""

    def __init__(self, width: int, head_size: int, *, numbers: int = 0, with_out: bool = True):
        super().__init__()
        self.head_size = head_size
        self.qkv = nn.Linear(width, 3 * width)
        self.norm_q = nn.RMSNorm(head_size, eps=1e-6)
        self.norm_k = nn.RMSNorm(head_size, eps=1e-6)
        found = width + numbers * (width // head_size)
        self.out = nn.Linear(found, width) if with_out else None

    def forward(self, x: Tensor, rotations: Tensor) -> QKV:
        """x `[B, N, D]`, rotations `[B, N, 1, d/2]`. Queries and keys go through it as one."""
        qkv = self.qkv(x).unflatten(-1, (3, -1, self.head_size))
        gain = torch.stack((self.norm_q.weight, self.norm_k.weight)).unsqueeze(1)
        qk = F.rms_norm(qkv[:, :, :2], (self.head_size,), eps=self.norm_q.eps) * gain
        q, k = rotate(qk, rotations.unsqueeze(2)).transpose(1, 3).unbind(2)
        return QKV(q, k, qkv[:, :, 2].transpose(1, 2))


def squared_relu(x: Tensor) -> Tensor:
    """Primer's activation (arXiv 2109.08668): on a CPU a fifth of GELU's time."""
    return F.relu(x).square()


ACTIVATIONS = {"squared-relu": squared_relu, "gelu-tanh": partial(F.gelu, approximate="tanh")}


class FeedForward(nn.Module):
    """Two-layer MLP; `activation` is a key of ACTIVATIONS."""

    def __init__(self, width: int, ratio: float, activation: str = "squared-relu"):
        super().__init__()
        hidden = int(width * ratio)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """Of `[..., D]`."""
        return self.down(self.activation(self.up(x)))


class AdaLN(nn.Module):
    """Shift, scale and gate of both halves of a block from a frame's condition `[B, F, D]`."""

    def __init__(self, width: int):
        super().__init__()
        self.linear = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        ones = torch.tensor([0.0, 1.0, 0.0] * 2)[:, None, None]
        self.register_buffer("ones", ones, persistent=False)

    def forward(self, condition: Tensor) -> tuple[Modulation, Modulation]:
        """The attention's and the MLP's."""
        six = self.numbers(condition).unbind(2)
        return Modulation(*six[:3]), Modulation(*six[3:])

    def numbers(self, condition: Tensor) -> Tensor:
        """All six as one, `[B, F, 6, 1, D]`."""
        six = self.linear(condition).unflatten(-1, (6, 1, -1))
        return six + self.ones.to(six.dtype)


def modulate(x: Tensor, by: Modulation) -> Tensor:
    """Layer-normalise x `[B, F, S, D]` and apply shift and scale."""
    normed = F.layer_norm(x, x.shape[-1:], eps=1e-6)
    return torch.addcmul(by.shift, normed, by.scale)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of q `[B, H, N, d]` over k, v `[B, H, M, d]` -> `[B, N, D]`; mask is additive or
    None.
    """
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


class Block(nn.Module):
    """One transformer block: fine and coarse tokens have their own attention projections and share
    AdaLN and MLP.

    Args:
        width: D.
        head_size: d.
        mlp_ratio: the MLP's hidden width in D.
        coarse: whether there are coarse tokens.
        coarse_out: whether coarse tokens go on after the block's attention.
        activation: the MLP's, a key of ACTIVATIONS.
        numbers: how many numbers a head brings back beside the values (models/nn/relative_pose.py).
    """

    def __init__(
        self,
        width: int,
        head_size: int,
        mlp_ratio: float,
        *,
        numbers: int = 0,
        coarse: bool = True,
        coarse_out: bool = True,
        activation: str = "squared-relu",
    ):
        super().__init__()
        self.adaln = AdaLN(width)
        self.fine = Projections(width, head_size, numbers=numbers)
        if coarse:
            self.coarse = Projections(width, head_size, numbers=numbers, with_out=coarse_out)
        self.mlp = FeedForward(width, mlp_ratio, activation)

    def finish(
        self, x: Tensor, attended: Tensor, out: nn.Linear, modulation: tuple[Modulation, Modulation]
    ) -> Tensor:
        """Add the gated attention `[B,N,D]`, with its numbers, and the gated MLP to x
        `[B,F,S,D]`.
        """
        first, second = modulation
        x = torch.addcmul(x, first.gate, out(attended).view_as(x))
        return torch.addcmul(x, second.gate, self.mlp(modulate(x, second)))
