"""Where frames were seen from: dead reckoning, and which old frames to remember for a place.

A pose is (x, y, heading): cells and radians, counter-clockwise, ahead is (cos, sin). A motion is
(ahead, left) in cells, before the turn of the same step.
"""

import math

import torch
from torch import Tensor

TURN_COST = 0.5 / math.radians(22.5)
SAME_PLACE = 0.15
DOUBTFUL = 0.25  # of a stride: steps that seem shorter are believed to be blocked
SIDEWAYS = 0.3  # of what a motion goes ahead; the least of the maze's slides goes 0.41 of it
NEAR = 64  # places that are looked at first


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


def choose_keyframes(targets: Tensor, places: Tensor, usable: Tensor, count: int) -> Tensor:
    """Indices `[B,count]` of remembered places `[B,M,3]` (-1: none) nearest to the targets
    `[B,n,3]` in turn, no two alike.

    The i-th keyframe is the nearest usable place to target `i mod n`, in the order of the targets;
    `usable` is `[B,M]`.
    """
    far = torch.where(
        usable.unsqueeze(1), distance(targets.unsqueeze(2), places.unsqueeze(1)), torch.inf
    )
    chosen = torch.full((len(targets), count), -1, dtype=torch.long, device=targets.device)
    rows = torch.arange(len(targets), device=targets.device)
    for i in range(count):
        row_far = far[:, i % targets.shape[1]]
        best = row_far.argmin(dim=1)
        found = row_far[rows, best] < torch.inf
        chosen[:, i] = torch.where(found, best, -1)
        alike = distance(places, places[rows, best].unsqueeze(1)) < SAME_PLACE
        far = far.masked_fill((alike & found.unsqueeze(1)).unsqueeze(1), torch.inf)
    return chosen


def nearest_keyframes(targets: Tensor, places: Tensor, usable: Tensor, count: int) -> Tensor:
    """`choose_keyframes` for one target `[B,3]` a row, in a third of the time.

    It looks at the nearest places only, and at all of them where those are not enough.
    """
    far = torch.where(usable, distance(targets.unsqueeze(1), places), torch.inf)
    far, order = (part[:, :NEAR] for part in far.sort(dim=1, stable=True))
    near = places.gather(1, order.unsqueeze(2).expand(-1, -1, 3))
    alike = distance(near.unsqueeze(1), near.unsqueeze(2)) < SAME_PLACE
    rows = torch.arange(len(targets), device=targets.device)
    free, chosen = far < torch.inf, order.new_full((len(targets), count), -1)
    for i in range(count):
        first = free.byte().argmax(dim=1)
        found = free[rows, first]
        chosen[:, i] = torch.where(found, order[rows, first], -1)
        free = free & ~(alike[rows, first] & found.unsqueeze(1))
    more = usable.sum(dim=1) > far.shape[1]
    if bool(((chosen < 0).any(dim=1) & more).any()):
        return choose_keyframes(targets.unsqueeze(1), places, usable, count)
    return chosen
