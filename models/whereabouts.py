"""Where what a token attends to lies, seen from the token.

Rotated queries and keys let attention find "the same wall, seen last minute", but what it brings
back does not say from where that was seen: how much nearer, how far to the left. So every value
carries its token's place, attention averages it along with the rest, and the query reads the
average in its own frame of reference. The idea is that of geometry-aware attention (GTA,
arXiv 2310.10375), by an average instead of rotated values, which costs a tenth.

Shape letters as in models/far.py.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.layers import QKV

HARMONICS = (1, 2, 3)
NUMBERS = 4 + 2 * len(HARMONICS)
PADDED = 16


def whereabouts(poses: Tensor, grid: Tensor) -> Tensor:
    """Places `[B, F*S, PADDED]` of the tokens of frames seen from poses `[B,F,3]`.

    In order: x, y (cells), row, column (latent cells), then cosine and sine of each harmonic of
    the bearing; `grid` `[S, 3]` has a token's row, column and bearing. Padded with zeros.
    """
    shape = (*poses.shape[:2], len(grid))
    bearing = poses[..., 2:] + grid[:, 2]
    angles = bearing.unsqueeze(-1) * torch.tensor(HARMONICS, device=poses.device)
    parts = (
        poses[:, :, None, :2].expand(*shape, 2),
        grid[:, :2].to(poses.dtype).expand(*shape, 2),
        angles.cos(),
        angles.sin(),
    )
    where = torch.cat([part.float() for part in parts], dim=-1)
    return F.pad(where, (0, PADDED - NUMBERS)).flatten(1, 2)


def carried(qkv: QKV, where: Tensor) -> QKV:
    """Values that carry their tokens' places `[B,N,PADDED]`; queries and keys padded alike, since
    fused attention wants one size.
    """
    q, k, v = qkv
    place = where.to(v.dtype).unsqueeze(1).expand(-1, v.shape[1], -1, -1)
    return QKV(F.pad(q, (0, PADDED)), F.pad(k, (0, PADDED)), torch.cat((v, place), dim=-1))


def attend_from(where: Tensor, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of carried queries at places `where` `[B,N,PADDED]` -> `[B, N, D + H*NUMBERS]`:
    what was found, and where it lies.
    """
    size = q.shape[-1] - PADDED
    found = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=size**-0.5)
    found = found.transpose(1, 2)
    content, mean = found[..., :size], found[..., size : size + NUMBERS]
    return torch.cat((content.flatten(2), seen_from(mean, where).flatten(2)), dim=-1)


def seen_from(mean: Tensor, where: Tensor) -> Tensor:
    """Mean places `[B,N,H,NUMBERS]` in the frames of reference of tokens at `where`.

    Ahead and left along the token's own bearing, rows, columns, and the harmonics of the bearings'
    difference. Distances are squashed to -1..1, most sensitive at the token itself.
    """
    own = where[..., :NUMBERS].unsqueeze(2).to(mean.dtype)
    n = len(HARMONICS)
    x, y, row, column = (mean - own)[..., :4].unbind(-1)
    cos, sin = own[..., 4 : 4 + n], own[..., 4 + n :]
    mean_cos, mean_sin = mean[..., 4 : 4 + n], mean[..., 4 + n :]
    ahead = x * cos[..., 0] + y * sin[..., 0]
    left = y * cos[..., 0] - x * sin[..., 0]
    near = 1 + torch.sqrt(ahead.square() + left.square() + 1e-6)
    straight = torch.stack((ahead / near, left / near, row / 8, column / 8), dim=-1)
    turned = mean_cos * cos + mean_sin * sin, mean_sin * cos - mean_cos * sin
    return torch.cat((straight, *turned), dim=-1)
