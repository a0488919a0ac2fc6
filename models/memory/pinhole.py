"""A level pinhole camera with square pictures: pixels to points in space and back.

A pose is (x, y, heading, height): the unit of the world's poses and radians counter-clockwise;
forward is (cos heading, sin heading). Points are (x, y, height). Products and sums are written out,
one number at a time, since the last bit of a matrix product may depend on the batch it stands in.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

NEAR_PLANE = 0.05  # in the unit of poses; what is nearer is behind the camera


class Projection(NamedTuple):
    """Points as a camera sees them: u (right) and v (down) in -1..1 inside of the picture, and
    depth along the viewing axis; all of one shape.
    """

    u: Tensor
    v: Tensor
    depth: Tensor

    def visible(self) -> Tensor:
        """Which of them are inside of the picture and in front of the camera."""
        return (self.u.abs() < 1) & (self.v.abs() < 1) & (self.depth > NEAR_PLANE)

    def pixels(self, size: int) -> tuple[Tensor, Tensor]:
        """Row and column in a picture of `size` x `size` pixels, clamped into it."""
        column = ((self.u + 1) * (size / 2)).long().clamp(0, size - 1)
        row = ((self.v + 1) * (size / 2)).long().clamp(0, size - 1)
        return row, column


def half_width(field_of_view: float) -> float:
    """Half the width of the picture plane at depth 1; `field_of_view` in degrees."""
    return math.tan(math.radians(field_of_view / 2))


def pixel_grid(size: int, field_of_view: float, device: torch.device | None = None) -> Tensor:
    """Centres of `size` pixels on the picture plane at depth 1, from left to right `[size]`."""
    centres = (torch.arange(size, device=device) + 0.5) / size * 2 - 1
    return centres * half_width(field_of_view)


def unproject(depth: Tensor, poses: Tensor, field_of_view: float) -> Tensor:
    """Points `[..., n, n, 3]` of depth maps `[..., n, n]` seen from poses `[..., 4]`."""
    grid = pixel_grid(depth.shape[-1], field_of_view, depth.device)
    left, up = -grid * depth, -grid[:, None] * depth
    x, y, heading, height = (part[..., None, None] for part in poses.unbind(-1))
    cos, sin = heading.cos(), heading.sin()
    return torch.stack(
        (x + depth * cos - left * sin, y + depth * sin + left * cos, up + height), dim=-1
    )


def project(points: Tensor, poses: Tensor, field_of_view: float) -> Projection:
    """Points `[..., 3]` seen from poses `[..., 4]` of a shape that broadcasts against theirs."""
    x, y, heading, height = poses.unbind(-1)
    east, north = points[..., 0] - x, points[..., 1] - y
    cos, sin = heading.cos(), heading.sin()
    depth = east * cos + north * sin
    left = north * cos - east * sin
    scale = 1 / (depth.clamp(min=1e-3) * half_width(field_of_view))
    return Projection(-left * scale, (height - points[..., 2]) * scale, depth)


def reproject(depth: Tensor, poses: Tensor, into: Tensor, field_of_view: float) -> Projection:
    """What depth maps `[..., n, n]` seen from poses `[..., 4]` are to cameras at `into` `[..., 4]`:
    `project(unproject(...))` without the points in space, since cameras are level.

    A pixel's point moves along its ray with depth, so its place before another camera is linear in
    depth, with numbers that depend on the pixel's column alone, or for heights on its row.
    """
    grid = pixel_grid(depth.shape[-1], field_of_view, depth.device)
    x, y, heading, height = (part.unsqueeze(-1) for part in (poses - into).unbind(-1))
    turned = into[..., 2].unsqueeze(-1)
    ahead = x * turned.cos() + y * turned.sin()
    left = y * turned.cos() - x * turned.sin()
    cos, sin = heading.cos(), heading.sin()
    seen = depth * (cos + grid * sin).unsqueeze(-2) + ahead.unsqueeze(-1)
    scale = 1 / (seen.clamp(min=1e-3) * half_width(field_of_view))
    u = (depth * (grid * cos - sin).unsqueeze(-2) - left.unsqueeze(-1)) * scale
    v = (depth * grid[:, None] - height.unsqueeze(-1)) * scale
    return Projection(u, v, seen)
