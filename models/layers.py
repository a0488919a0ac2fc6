"""The blocks FAR-Long is made of. Shapes: B rows, F frames, S tokens of a frame, N = F*S tokens, D
width, H heads, d head size.

Modulation is computed per frame and broadcast over its tokens: the same numbers as per token for a
fraction of the arithmetic.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.rope import rotate


class QKV(NamedTuple):
    """Queries, keys and values, each `[B, H, N, d]`; queries and keys are normalised and
    rotated.
    """

    q: Tensor
    k: Tensor
    v: Tensor


class Modulation(NamedTuple):
    """AdaLN numbers of one half block, each `[B, F, 1, D]`."""

    shift: Tensor
    scale: Tensor
    gate: Tensor


def timestep_embedding(t: Tensor, size: int = 256) -> Tensor:
    """Sinusoids `[..., size]` of timesteps on 0..1000, cosines first (DiT, arXiv 2212.09748)."""
    half = size // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, device=t.device) / (half - 1))
    angles = t.float().unsqueeze(-1) * frequencies
    return torch.cat((angles.cos(), angles.sin()), dim=-1)


class Projections(nn.Module):
    """Query, key, value and output projections of one kind of token (fine or coarse)."""

    def __init__(self, width: int, head_size: int, with_out: bool = True):
        super().__init__()
        self.head_size = head_size
        self.qkv = nn.Linear(width, 3 * width)
        self.norm_q = nn.RMSNorm(head_size, eps=1e-6)
        self.norm_k = nn.RMSNorm(head_size, eps=1e-6)
        self.out = nn.Linear(width, width) if with_out else None

    def forward(self, x: Tensor, rotations: Tensor) -> QKV:
        """x `[B, N, D]`, rotations `[B, N, 1, d/2]`."""
        q, k, v = self.qkv(x).unflatten(-1, (3, -1, self.head_size)).unbind(2)
        q = rotate(self.norm_q(q), rotations)
        k = rotate(self.norm_k(k), rotations)
        return QKV(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))


class FeedForward(nn.Module):
    """Two-layer MLP with squared ReLU (Primer, arXiv 2109.08668): on a CPU a fifth of GELU's
    time.
    """

    def __init__(self, width: int, ratio: float):
        super().__init__()
        hidden = int(width * ratio)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Of `[..., D]`."""
        return self.down(F.relu(self.up(x)).square())


class AdaLN(nn.Module):
    """Shift, scale and gate of both halves of a block from a frame's condition `[B, F, D]`."""

    def __init__(self, width: int):
        super().__init__()
        self.linear = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, condition: Tensor) -> tuple[Modulation, Modulation]:
        """The attention's and the MLP's."""
        six = self.linear(condition).unsqueeze(2).chunk(6, dim=-1)
        return Modulation(*six[:3]), Modulation(*six[3:])


def modulate(x: Tensor, by: Modulation) -> Tensor:
    """Layer-normalise x `[B, F, S, D]` and apply shift and scale."""
    normed = F.layer_norm(x, x.shape[-1:], eps=1e-6)
    return torch.addcmul(by.shift, normed, 1 + by.scale)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of q `[B, H, N, d]` over k, v `[B, H, M, d]` -> `[B, N, D]`; mask is additive or
    None.
    """
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
