"""What VideoAR's network is told of a memory view, cell by cell: the numbers that FAR's cells are
given (models/spatial/condition.py), as channels beside the sum of codes; the same in training and
in play.
"""

import torch
from torch import Tensor

from models.memory.renderer import MemoryView
from models.spatial.condition import PictureCodec, encode_view
from models.spatial.network import DEPTH_CELL, MASK_CELL


def count_view_channels(channels: int) -> int:
    """V, with so many channels of a latent."""
    return channels + MASK_CELL**2 + DEPTH_CELL**2 + 1


def describe_view(codec: PictureCodec, view: MemoryView) -> Tensor:
    """`[B,V,h,w]`: latents of what memory shows, visibility mask, inverse depth and share seen of
    every cell.
    """
    latents, mask, inverse_depth = encode_view(codec, view)
    seen = mask.mean(dim=1, keepdim=True)
    return torch.cat((latents, mask - 0.5, inverse_depth, seen - 0.5), dim=1)
