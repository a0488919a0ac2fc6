"""Geometric attention: values carry the poses of their tokens, so that what attention brings back
says from where it was seen.

Rotated queries and keys let attention find "the same wall, seen last minute", but not how much
nearer or how far to the left it was seen. So every value carries its token's pose, attention
averages it along with the rest, and the query reads the average in its own frame of reference. The
idea is that of geometry-aware attention (GTA, arXiv 2310.10375), by an average instead of rotated
values, which costs a tenth.

Shape letters as in models/far/network.py.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from models.nn.blocks import QKV
from models.nn.relative_pose import NUMBERS, PADDED, TokenPose


def attach_poses(qkv: QKV, where: TokenPose) -> QKV:
    """Values that carry their tokens' places; queries and keys padded alike, since fused attention
    wants one size.
    """
    q, k, v = qkv
    place = where.place.to(v.dtype).unsqueeze(1).expand(-1, v.shape[1], -1, -1)
    return QKV(F.pad(q, (0, PADDED)), F.pad(k, (0, PADDED)), torch.cat((v, place), dim=-1))


def geometric_attention(
    where: TokenPose,
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
    seen = to_query_frame(found[..., size : size + NUMBERS], where).to(found.dtype)
    return torch.cat((found[..., :size].flatten(2), seen.flatten(2)), dim=-1)


def to_query_frame(mean: Tensor, where: TokenPose) -> Tensor:
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
