"""A camera: distances of a picture to points in space, and points back to a picture.

A camera stands upright at a pose (models/memory/pose.py), looks level and sees as far left as
right; its pictures are square. Points are x, y as poses are, and height above the camera. Places in
a picture are -1..1 from its left and upper edges, as `grid_sample` counts them. Batched over N
pictures unless said.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

BEHIND = 0.05  # what is nearer than this, in the unit of poses, is not seen


def unproject(distances: Tensor, poses: Tensor, fov: float) -> Tensor:
    """Where everything lies, `[N,n,n,3]`, that pictures from poses `[N,3]` show at distances
    `[N,1,n,n]`, counted along the view; fov in degrees.
    """
    n, ahead = distances.shape[-1], distances[:, 0]
    edge = math.tan(math.radians(fov / 2))
    place = ((torch.arange(n, device=distances.device) + 0.5) / n * 2 - 1) * edge
    left, up = -place * ahead, -place[:, None] * ahead
    x, y, heading = (part[:, None, None] for part in poses.unbind(1))
    cos, sin = heading.cos(), heading.sin()
    return torch.stack((x + ahead * cos - left * sin, y + ahead * sin + left * cos, up), dim=-1)


def project(there: Tensor, poses: Tensor, fov: float) -> tuple[Tensor, Tensor]:
    """Where pictures from poses `[N,3]` show points `[N,a,b,3]`: places `[N,a,b,2]`, and how far
    ahead `[N,a,b]`.
    """
    x, y, heading = (part[:, None, None] for part in poses.unbind(1))
    east, north = there[..., 0] - x, there[..., 1] - y
    ahead = east * heading.cos() + north * heading.sin()
    left = north * heading.cos() - east * heading.sin()
    depth = ahead.clamp(min=1e-3) * math.tan(math.radians(fov / 2))
    return torch.stack((-left / depth, -there[..., 2] / depth), dim=-1), ahead


def in_frustum(places: Tensor, ahead: Tensor) -> Tensor:
    """Which of the points are inside the picture, bool `[N,a,b]`."""
    return (places.abs() < 1).all(dim=-1) & (ahead > BEHIND)


def sample_image(pictures: Tensor, places: Tensor, mode: str = "bilinear") -> Tensor:
    """What pictures `[N,C,H,W]` show at places `[N,a,b,2]`, `[N,C,a,b]`."""
    return F.grid_sample(pictures, places, mode, "border", align_corners=False)
