"""Pictures warped to another pose: where the camera of one picture sees what another shows."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.memory.pinhole import reproject


class Warped(NamedTuple):
    """pictures `[N,3,n,n]` as the source shows them; inside bool `[N,n,n]`, which of their places
    lie in the source; grid `[N,n,n,2]`, where they do; depth `[N,n,n]` from the source's camera.
    """

    pictures: Tensor
    inside: Tensor
    grid: Tensor
    depth: Tensor


def warp_picture(
    source: Tensor, depth: Tensor, pose: Tensor, of_source: Tensor, field_of_view: float
) -> Warped:
    """What a view with known depth shows, as another picture shows it.

    Args:
        source: pictures `[N,3,n,n]`.
        depth: of the view, `[N,n,n]`.
        pose: of the view, `[N,4]`.
        of_source: the pose of the source, `[N,4]`.
        field_of_view: degrees.
    """
    seen = reproject(depth, pose, of_source, field_of_view)
    grid = torch.stack((seen.u, seen.v), dim=-1).clamp(-4, 4)
    pictures = F.grid_sample(source, grid, padding_mode="border", align_corners=False)
    return Warped(pictures, seen.visible(), grid, seen.depth)


def resize_pictures(pictures: Tensor, side: int) -> Tensor:
    """Pictures uint8 `[N,3,H,H]` in 0..1, of `side` pixels: means of what each of them covers."""
    return F.adaptive_avg_pool2d(pictures.float() / 255, side)


def resize_maps(maps: Tensor, side: int) -> Tensor:
    """Maps `[N,n,n]` of `side` places, smaller ones by means and larger ones between places."""
    maps = maps.unsqueeze(1)
    if side <= maps.shape[-1]:
        return F.adaptive_avg_pool2d(maps, side).squeeze(1)
    return F.interpolate(maps, size=side, mode="bilinear", align_corners=False).squeeze(1)
