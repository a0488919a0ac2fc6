"""Depth warp: what pictures from some poses show of the view from another."""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.memory.camera import BEHIND, in_frustum, project, sample_image, unproject

AGREES = 0.2  # distances of one thing, told by two pictures, differ by less than this share
BLANK = 1e6
FILLED = 2  # rounds in which holes one place wide are closed


def warp(
    pictures: Tensor, distances: Tensor, poses: Tensor, target: Tensor, fov: float
) -> tuple[Tensor, Tensor]:
    """What pictures from some poses show of the view from another.

    The distances of the view are gathered from those of the pictures; then every place of the view
    looks itself up in the first picture that shows it.

    Args:
        pictures: `[N,3,H,H]`, the most trusted first.
        distances: `[N,1,n,n]` of what they show.
        poses: `[N,3]`.
        target: `[3]`, of the view.
        fov: degrees.

    Returns:
        The view `[3,H,H]`, and which of it was seen, bool `[H,H]`; what was not seen is made up.
    """
    size, target = pictures.shape[-1], target.unsqueeze(0)
    ahead = splat_depth(unproject(distances, poses, fov), target, distances.shape[-1], fov)
    hidden = F.interpolate((ahead >= BLANK).float(), size=size)[0, 0] > 0
    near = F.interpolate(1 / ahead, size=size, mode="bilinear", align_corners=False)
    there = unproject(1 / near.clamp(min=1 / BLANK), target, fov)
    places, ahead = project(there.expand(len(poses), -1, -1, -1), poses, fov)
    told = sample_image(distances, places)[:, 0]
    shown = in_frustum(places, ahead) & ((ahead / told - 1).abs() < AGREES) & ~hidden
    first = shown.byte().argmax(dim=0)
    # The nearest pixel: what lies between two is their mean, and a mean of means is a blur.
    found = sample_image(pictures, places, "nearest")
    return found.gather(0, first.expand(1, pictures.shape[1], -1, -1))[0], shown.any(dim=0)


def splat_depth(there: Tensor, target: Tensor, n: int, fov: float) -> Tensor:
    """Distances `[1,1,n,n]` of the nearest of the points `[N,m,m,3]` in each place of the view from
    `target` `[1,3]`; BLANK where there are none.
    """
    places, ahead = (part[0, 0] for part in project(there.reshape(1, 1, -1, 3), target, fov))
    column, row = ((places + 1) * n / 2 - 0.5).floor().clamp(-2, n).long().unbind(dim=-1)
    kept = torch.full((n * n,), BLANK, device=there.device)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):  # a point is as large as a place
        y, x = row + down, column + right
        inside = (x >= 0) & (x < n) & (y >= 0) & (y < n) & (ahead > BEHIND)
        kept.scatter_reduce_(0, (y * n + x)[inside], ahead[inside], "amin")
    kept = kept.view(1, 1, n, n)
    for _ in range(FILLED):
        known = (kept < BLANK).float()
        about = F.avg_pool2d(known, 3, 1, 1)
        mean = F.avg_pool2d(kept * known, 3, 1, 1) / about.clamp(min=1e-6)
        kept = torch.where((known == 0) & (about > 0), mean, kept)
    return kept
