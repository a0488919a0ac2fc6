"""What the network is told of a memory view, cell by cell; the same in training and in play."""

from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from models.codec.view_decoder import Shown
from models.memory.renderer import MemoryView
from models.spatial.network import DEPTH_CELL, MASK_CELL


class PictureCodec(Protocol):
    """A codec that reads pictures as numbers."""

    latent_shape: tuple[int, int, int]

    def encode_pictures(self, pictures: Tensor) -> Tensor:
        """Latents `[B,C,h,w]` of pictures float `[B,3,H,W]` in -1..1."""


class ViewFeatures(NamedTuple):
    """latents `[B,C,h,w]`, mask `[B,64,h,w]`, inverse_depth `[B,16,h,w]` of a view."""

    latents: Tensor
    mask: Tensor
    inverse_depth: Tensor


def encode_view(codec: PictureCodec, view: MemoryView) -> ViewFeatures:
    """A view as the network sees it.

    Pixels that memory does not show get the colour that they may have, else the mean of the seen
    ones of their cell, before the codec encodes them; cells of which nothing is known are zero.
    """
    cells = codec.latent_shape[1]
    seen = view.mask.float().unsqueeze(1)
    side = seen.shape[-1] // cells
    share = F.avg_pool2d(seen, side)
    mean = F.avg_pool2d(view.rgb * seen, side) / share.clamp(min=1e-3)
    spread = mean.repeat_interleave(side, 2).repeat_interleave(side, 3)
    known = view.known.unsqueeze(1)
    pictures = torch.where(known, view.rgb, spread)
    latents = codec.encode_pictures(pictures)
    latents = latents * (F.avg_pool2d(known.float(), side) > 0)
    mask = F.pixel_unshuffle(shrink(seen, MASK_CELL * cells), MASK_CELL)
    depth = shrink(torch.log1p(view.inverse_depth).unsqueeze(1), DEPTH_CELL * cells)
    return ViewFeatures(latents, mask, F.pixel_unshuffle(depth, DEPTH_CELL))


def shrink(maps: Tensor, size: int) -> Tensor:
    """Maps `[B,1,n,n]` averaged to `size` places each way, where they have more."""
    side = maps.shape[-1] // size
    return maps if side == 1 else F.avg_pool2d(maps, side)


def shown_of(view: MemoryView) -> Shown:
    """A view as the decoder sees it."""
    return Shown(view.rgb, view.mask, view.known & ~view.mask)
