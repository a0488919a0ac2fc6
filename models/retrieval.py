"""Finished frames are put together from what was truly seen.

A network that predicts means dreams fog, and fog it has dreamt makes the next frame foggier. So
each cell of a finished frame gives way to the one most like it among the cells of frames that are
remembered from nearby: coarse features decide, fine texture comes along. What is remembered then
are true cells again, and fog cannot grow. Patches from memory are an old idea of texture synthesis
(Efros and Leung, 1999); here the picture to be matched is a dream.

And a place that was seen before looks the same again: these worlds have no time of their own.
"""

import torch
from torch import Tensor

from models.places import distance


def retrieved(latents: Tensor, landmarks: Tensor, known: Tensor, channels: int) -> Tensor:
    """Frames whose every cell is one of the remembered ones'.

    Args:
        latents: `[B,F,C,h,w]`.
        landmarks: `[B,M,C,h,w]`.
        known: bool `[B,M]`, which of them are frames. A row without any stays as it is.
        channels: how many of the first, coarsest channels decide which cell is most like another.
    """
    wanted, there = _cells(latents), _cells(landmarks).to(latents.dtype)
    # Each pair of cells by itself, not by a matrix product: its last bits depend on the batch.
    apart = torch.cdist(
        wanted[..., :channels],
        there[..., :channels],
        compute_mode="donot_use_mm_for_euclid_dist",
    )
    cells = known.repeat_interleave(there.shape[1] // known.shape[1], dim=1)
    apart = apart.masked_fill(~cells.unsqueeze(1), torch.inf)
    best = apart.argmin(dim=2, keepdim=True).expand_as(wanted)
    found = there.gather(1, best).unflatten(1, (latents.shape[1], *latents.shape[-2:]))
    return torch.where(known.any(dim=1)[:, None, None, None, None], found.movedim(-1, 2), latents)


def _cells(latents: Tensor) -> Tensor:
    """`[B,F,C,h,w]` -> `[B,F*h*w,C]`."""
    return latents.movedim(2, -1).flatten(1, 3)


def seen_from_here(
    poses: Tensor, places: Tensor, usable: Tensor, within: float
) -> tuple[Tensor, Tensor]:
    """Of poses `[B,3]`: bool `[B]` whether a usable one of places `[B,M,3]` is at most `within`
    cells away (models/places.py has the measure), and the index `[B]` of the nearest.
    """
    away = distance(poses.unsqueeze(1), places).masked_fill(~usable, torch.inf)
    nearest, index = away.min(dim=1)
    return nearest <= within, index
