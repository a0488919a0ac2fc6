"""Keyframe selection by pose: which remembered frames lie nearest to a pose, no two alike."""

import torch
from torch import Tensor

from models.memory.pose import distance

SAME_PLACE = 0.15
NEAR = 64  # places that are looked at first


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
