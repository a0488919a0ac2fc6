"""Where what a token attends to lies, seen from the token.

Rotated queries and keys let attention find "the same wall, seen last minute", but what it brings
back does not say from where that was seen: how much nearer, how far to the left. So every value
carries its token's place, attention averages it along with the rest, and the query reads the
average in its own frame of reference. The idea is that of geometry-aware attention (GTA,
arXiv 2310.10375), by an average instead of rotated values, which costs a tenth.

Shape letters as in models/far/network.py.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.nn.blocks import QKV

HARMONICS = (1, 2, 3)
PAIRS = 2 + len(HARMONICS)
NUMBERS = 2 * PAIRS
PADDED = 16


class Where(NamedTuple):
    """Where tokens are, and their frames of reference.

    place `[B,N,PADDED]` is what values carry: x, y (cells), row, column (latent cells), cosine and
    sine of each harmonic of the bearing, padded with zeros. Read as pairs, a mean place less
    `origin`, turned by the angles whose cosine and sine are `turn` (both `[B,N,1,PAIRS,2]`), is as
    the token sees it.
    """

    place: Tensor
    origin: Tensor
    turn: Tensor

    def each(self, change: Callable[[Tensor], Tensor]) -> "Where":
        """The same of every part."""
        return Where(*(change(part) for part in self))


def whereabouts(poses: Tensor, grid: Tensor) -> Where:
    """Where the tokens of frames at poses `[B,F,3]` are; `grid` `[S,3]` has a token's row, column
    and bearing.
    """
    shape = (*poses.shape[:2], len(grid))
    # In float64, since the last bit of a float32 cosine may depend on where in a batch it stands.
    bearing = poses[..., 2:].double() + grid[:, 2].double()
    angles = bearing.unsqueeze(-1) * torch.tensor(HARMONICS, device=poses.device)
    bearings = torch.stack((angles.cos(), angles.sin()), dim=-1).float()
    there = torch.stack(
        (
            poses[:, :, None, :2].float().expand(*shape, 2),
            grid[:, :2].float().expand(*shape, 2),
        ),
        dim=-2,
    )
    place = F.pad(torch.cat((there, bearings), dim=-2).flatten(-2), (0, PADDED - NUMBERS))
    origin = F.pad(there, (0, 0, 0, len(HARMONICS)))
    back = bearings * bearings.new_tensor([1.0, -1.0])
    scale = torch.tensor([1 / 8, 0.0], device=poses.device).expand_as(back[..., :1, :])
    turn = torch.cat((back[..., :1, :], scale, back), dim=-2)
    return Where(*(part.flatten(1, 2) for part in (place, origin.unsqueeze(3), turn.unsqueeze(3))))


def carried(qkv: QKV, where: Where) -> QKV:
    """Values that carry their tokens' places; queries and keys padded alike, since fused attention
    wants one size.
    """
    q, k, v = qkv
    place = where.place.to(v.dtype).unsqueeze(1).expand(-1, v.shape[1], -1, -1)
    return QKV(F.pad(q, (0, PADDED)), F.pad(k, (0, PADDED)), torch.cat((v, place), dim=-1))


def attend_from(
    where: Where,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    attend: Callable[..., Tensor] = F.scaled_dot_product_attention,
) -> Tensor:
    """Attention of carried queries that are at `where` -> `[B, N, D + H*NUMBERS]`: what was found,
    and where it lies. `attend` computes it.
    """
    size = q.shape[-1] - PADDED
    found = attend(q, k, v, attn_mask=mask, scale=size**-0.5).transpose(1, 2)
    seen = seen_from(found[..., size : size + NUMBERS], where).to(found.dtype)
    return torch.cat((found[..., :size].flatten(2), seen.flatten(2)), dim=-1)


def seen_from(mean: Tensor, where: Where) -> Tensor:
    """Mean places `[B,N,H,NUMBERS]` in the tokens' frames of reference.

    In order: ahead and left along the token's own bearing, rows and columns, and the harmonics of
    the bearings' difference. Distances are squashed to -1..1, most sensitive at the token itself.
    """
    # Products and sums one by one, not of complex numbers: their last bits depend on the batch.
    a, b = (mean.float().unflatten(-1, (-1, 2)) - where.origin).unbind(-1)
    cos, sin = where.turn.unbind(-1)
    seen = torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1)
    away = seen[..., :1, :]
    near = 1 + ((away * away).sum(-1, keepdim=True) + 1e-9).sqrt()  # slope at 0: none
    return torch.cat((away / near, seen[..., 1:, :]), dim=-2).flatten(-2)
