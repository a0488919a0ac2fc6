"""Camera poses: dead reckoning, motions between poses, and how unlike the views from two are.

A pose is (x, y, heading): cells and radians, counter-clockwise, ahead is (cos, sin). A motion is
(ahead, left) in cells, before the turn of the same step.
"""

import math

import torch
from torch import Tensor

TURN_COST = 0.5 / math.radians(22.5)
DOUBTFUL = 0.25  # of a stride: steps that seem shorter are believed to be blocked
SIDEWAYS = 0.3  # of what a motion goes ahead; the least of the maze's slides goes 0.41 of it


def compose_pose(poses: Tensor, motions: Tensor, turns: Tensor) -> Tensor:
    """Poses `[..., 3]` after motions `[..., 2]` and turns `[...]`."""
    cos, sin = poses[..., 2].cos(), poses[..., 2].sin()
    ahead, left = motions.unbind(-1)
    return torch.stack(
        (
            poses[..., 0] + ahead * cos - left * sin,
            poses[..., 1] + ahead * sin + left * cos,
            poses[..., 2] + turns,
        ),
        dim=-1,
    )


def motions_between(poses: Tensor) -> Tensor:
    """Motions `[B,T,2]` that led to each frame of poses `[B,T,3]`; zero for the first."""
    delta = poses[:, 1:, :2] - poses[:, :-1, :2]
    cos, sin = poses[:, :-1, 2].cos(), poses[:, :-1, 2].sin()
    moved = torch.stack(
        (delta[..., 0] * cos + delta[..., 1] * sin, delta[..., 1] * cos - delta[..., 0] * sin),
        dim=-1,
    )
    return torch.cat((torch.zeros_like(moved[:, :1]), moved), dim=1)


def snap_to_stride(motions: Tensor, stride: float) -> Tensor:
    """Motions `[...,2]` of which those straight ahead, of more than DOUBTFUL of a `stride`, are
    whole strides. Where it is not clear whether something is in the way, the motion that errs least
    is a mean of a stride and of none, which never happens. Slides along walls go sideways, and
    stay.
    """
    ahead, left = motions.unbind(-1)
    straight = left.abs() < SIDEWAYS * ahead.clamp(min=stride / 2)
    whole = torch.stack((torch.full_like(ahead, stride), torch.zeros_like(left)), dim=-1)
    return torch.where((straight & (ahead > DOUBTFUL * stride)).unsqueeze(-1), whole, motions)


def relative_to_first(poses: Tensor) -> Tensor:
    """Poses `[B,T,3]` in the frame of reference of each row's first one."""
    origin = poses[:, :1]
    delta = poses[..., :2] - origin[..., :2]
    cos, sin = origin[..., 2].cos(), origin[..., 2].sin()
    x = delta[..., 0] * cos + delta[..., 1] * sin
    y = delta[..., 1] * cos - delta[..., 0] * sin
    return torch.stack((x, y, poses[..., 2] - origin[..., 2]), dim=-1)


def distance(a: Tensor, b: Tensor) -> Tensor:
    """How unlike the views from two poses `[..., 3]` are: cells apart plus half a cell for every
    22.5 degrees of turn.
    """
    turn = torch.remainder(a[..., 2] - b[..., 2] + math.pi, 2 * math.pi) - math.pi
    return (a[..., :2] - b[..., :2]).norm(dim=-1) + TURN_COST * turn.abs()
