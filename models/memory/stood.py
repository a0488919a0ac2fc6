"""Places where a body has stood: nothing else can be there, whatever generated depth says.

A ring of the newest places, written once: a place next to one that is held adds nothing, so that
what is held is ways, not moments, and a way back costs nothing. Between two frames a body goes
through the middle of them.
"""

import torch
from torch import Tensor

from models.memory.sizes import LEAP, NEXT_PLACES, NOWHERE, PLACES


def no_places(batch: int, device: torch.device) -> Tensor:
    """The ring `[B,PLACES,3]` of bodies that have stood nowhere."""
    return torch.full((batch, PLACES, 3), NOWHERE, device=device)


def places_of(poses: Tensor) -> Tensor:
    """x, y and height `[...,3]` of poses `[...,4]`."""
    return torch.cat((poses[..., :2], poses[..., 3:]), dim=-1)


def remember_places(
    stood: Tensor, before: Tensor, after: Tensor, number: Tensor, apart: float, longest: Tensor
) -> Tensor:
    """The ring with the place of the newest frames, and with that half way to it.

    Args:
        stood: `[B,PLACES,3]`, left as it is.
        before: poses `[B,4]` of the frame before.
        after: poses `[B,4]` of the newest one.
        number: of the newest frames, int64 `[B]`.
        apart: distance below which a place is one that is held.
        longest: length of a step; a body that was put farther away did not go there.
    """
    stood, rows = stood.clone(), torch.arange(len(stood), device=stood.device)
    start, end = places_of(before), places_of(after)
    went = (end - start).square().sum(dim=1) <= (LEAP * longest).square()
    for which, place in enumerate(((start + end) / 2, end)):
        away = (stood - place.unsqueeze(1)).square().sum(dim=2).amin(dim=1)
        new = away > apart * apart
        new = new & went if which == 0 else new
        slot = (2 * number + which) % PLACES
        stood[rows, slot] = torch.where(new.unsqueeze(1), place, stood[rows, slot])
    return stood


def nearest_places(stood: Tensor, poses: Tensor) -> Tensor:
    """Those of the places `[B,PLACES,3]` that are next to poses `[B,4]`, `[B,NEXT_PLACES,3]`."""
    away = (stood[..., :2] - poses[:, None, :2]).square().sum(dim=2)
    nearest = away.topk(NEXT_PLACES, dim=1, largest=False).indices
    return stood.gather(1, nearest.unsqueeze(2).expand(-1, -1, 3))
