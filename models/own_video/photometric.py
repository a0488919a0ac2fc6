"""Depth and motion that explain the next frame: the loss that needs no engine (Zhou et al., 2017,
SfMLearner; Godard et al., 2019, monodepth2).

A frame's depth says where its pixels are in space, a motion from where the frame before or after it
was seen; so the other frame, looked up where those points are, must show this one. Of the two
neighbours the better one counts, pixel by pixel, since what is hidden from one of them the other
may show. The camera is level (models/memory/pinhole.py).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.memory.odometry import compose_poses
from models.memory.pinhole import reproject

STRUCTURE = 0.85  # weight of SSIM, beside mean absolute differences
SMOOTH = 0.02  # weight of depth that bends where the picture does not
SCALES = 2  # resolutions at which pictures are compared, each half of the one before


class Neighbours(NamedTuple):
    """Pictures `[B,3,n,n]` in -1..1 before, at and after a moment; how each step moved `[B,2,3]`
    (ahead, left, up, in the frame of reference it began in) and turned `[B,2]`.
    """

    before: Tensor
    middle: Tensor
    after: Tensor
    motions: Tensor
    turns: Tensor


def look_up(
    other: Tensor, depth: Tensor, here: Tensor, there: Tensor, field_of_view: float
) -> tuple[Tensor, Tensor]:
    """What another picture shows of a frame's points.

    Args:
        other: `[B,3,n,n]`, seen from poses `there` `[B,4]`.
        depth: `[B,n,n]` of the frame, seen from poses `here` `[B,4]`.
        here: see depth.
        there: see other.
        field_of_view: degrees.

    Returns:
        Pictures `[B,3,n,n]`, and which pixels the other one shows, bool `[B,n,n]`.
    """
    seen = reproject(depth, here, there, field_of_view)
    places = torch.stack((seen.u, seen.v), dim=-1).clamp(-2, 2)
    shown = F.grid_sample(other, places, padding_mode="border", align_corners=False)
    return shown, seen.visible()


def unlikeness(a: Tensor, b: Tensor) -> Tensor:
    """How unlike pictures `[B,3,n,n]` are, pixel by pixel `[B,n,n]`: SSIM of 3 x 3 pixels and mean
    absolute difference.
    """
    difference = (a - b).abs().mean(dim=1) / 2
    x, y = (F.pad(part / 2, (1, 1, 1, 1), mode="reflect") for part in (a, b))
    mean_x, mean_y = F.avg_pool2d(x, 3, 1), F.avg_pool2d(y, 3, 1)
    spread_x = F.avg_pool2d(x * x, 3, 1) - mean_x**2
    spread_y = F.avg_pool2d(y * y, 3, 1) - mean_y**2
    shared = F.avg_pool2d(x * y, 3, 1) - mean_x * mean_y
    alike = (2 * mean_x * mean_y + 1e-4) * (2 * shared + 9e-4)
    alike = alike / ((mean_x**2 + mean_y**2 + 1e-4) * (spread_x + spread_y + 9e-4))
    unlike = ((1 - alike) / 2).clamp(0, 1).mean(dim=1)
    return STRUCTURE * unlike + (1 - STRUCTURE) * difference


def photometric_loss(neighbours: Neighbours, logarithm: Tensor, field_of_view: float) -> Tensor:
    """The loss of logarithmic inverse depth `[B,n,n]` of the middle frames and of motions."""
    loss = SMOOTH * roughness(logarithm, neighbours.middle)
    for scale in range(SCALES):
        pictures = [F.avg_pool2d(part, 2**scale) for part in neighbours[:3]]
        depth = (-F.avg_pool2d(logarithm.unsqueeze(1), 2**scale).squeeze(1)).exp()
        loss = loss + _compare(pictures, depth, neighbours, field_of_view) / SCALES
    return loss


def _compare(pictures: list[Tensor], depth: Tensor, steps: Neighbours, fov: float) -> Tensor:
    before, middle, after = pictures
    origin = depth.new_zeros(len(depth), 4)
    # of each step: from where it began to where it ended
    first, second = (
        compose_poses(origin, steps.motions[:, i], steps.turns[:, i]) for i in range(2)
    )
    errors = []
    for other, here, there in ((before, first, origin), (after, origin, second)):
        shown, visible = look_up(other, depth, here, there, fov)
        # what the other frame does not show is as wrong as if nothing had moved: it teaches
        # nothing, and nothing is gained by sending points out of sight
        errors.append(torch.where(visible, unlikeness(shown, middle), unlikeness(other, middle)))
    return torch.stack(errors).amin(dim=0).mean()


def roughness(logarithm: Tensor, pictures: Tensor) -> Tensor:
    """How much maps `[B,n,n]` bend where pictures `[B,3,n,n]` do not change."""
    total = logarithm.new_zeros(())
    for dim in (1, 2):
        edges = pictures.diff(dim=dim + 1).abs().mean(dim=1).narrow(dim, 0, pictures.shape[2] - 2)
        bend = logarithm.diff(n=2, dim=dim).abs()
        total = total + (bend * (-4 * edges).exp()).mean()
    return total
