"""Where tokens are, for geometric attention: position, row and column, bearing, and the frame of
reference that each token reads others in.

Shape letters as in models/far/network.py.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

HARMONICS = (1, 2, 3)
PAIRS = 2 + len(HARMONICS)
NUMBERS = 2 * PAIRS
PADDED = 16


class TokenPose(NamedTuple):
    """Where tokens are, and their frames of reference.

    place `[B,N,PADDED]` is what values carry: x, y (cells), row, column (latent cells), cosine and
    sine of each harmonic of the bearing, padded with zeros. Read as pairs, a mean place less
    `origin`, turned by the angles whose cosine and sine are `turn` (both `[B,N,1,PAIRS,2]`), is as
    the token sees it.
    """

    place: Tensor
    origin: Tensor
    turn: Tensor

    def each(self, change: Callable[[Tensor], Tensor]) -> "TokenPose":
        """The same of every part."""
        return TokenPose(*(change(part) for part in self))


def token_poses(poses: Tensor, grid: Tensor) -> TokenPose:
    """Where the tokens of frames at poses `[B,F,3]` are; `grid` `[S,3]` has a token's row, column
    and bearing.
    """
    # In float64, since the last bit of a float32 cosine may depend on where in a batch it stands.
    bearing = poses[..., 2:].double() + grid[:, 2].double()
    # no tensor is made of numbers here: a GPU would wait for each
    angles = torch.stack([bearing * harmonic for harmonic in HARMONICS], dim=-1)
    return carry_poses(poses, grid, torch.stack((angles.cos(), angles.sin()), dim=-1).float())


def carry_poses(poses: Tensor, grid: Tensor, bearings: Tensor) -> TokenPose:
    """Where tokens are of whose bearings cosine and sine of each harmonic are known, `bearings`
    `[B,F,S,harmonics,2]`.
    """
    shape = (*poses.shape[:2], len(grid))
    there = torch.stack(
        (
            poses[:, :, None, :2].float().expand(*shape, 2),
            grid[:, :2].float().expand(*shape, 2),
        ),
        dim=-2,
    )
    place = F.pad(torch.cat((there, bearings), dim=-2).flatten(-2), (0, PADDED - NUMBERS))
    origin = F.pad(there, (0, 0, 0, len(HARMONICS)))
    back = torch.cat((bearings[..., :1], -bearings[..., 1:]), dim=-1)
    scale = F.pad(torch.full_like(back[..., :1, :1], 1 / 8), (0, 1))
    turn = torch.cat((back[..., :1, :], scale, back), dim=-2)
    return TokenPose(
        *(part.flatten(1, 2) for part in (place, origin.unsqueeze(3), turn.unsqueeze(3)))
    )
