"""Finished frames are put together from what was truly seen.

A network that predicts means dreams fog, and fog it has dreamt makes the next frame foggier. So
each cell of a finished frame gives way to the one most like it among the cells of frames that are
remembered from nearby: coarse features decide, fine texture comes along. What is remembered then
are true cells again, and fog cannot grow. Patches from memory are an old idea of texture synthesis
(Efros and Leung, 1999); here the picture to be matched is a dream.

And a place that was seen before looks the same again: these worlds have no time of their own.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from models.memory.pose import distance


def retrieve_cells(latents: Tensor, keyframes: Tensor, known: Tensor, channels: int) -> Tensor:
    """Frames whose every cell is one of the remembered ones'.

    Args:
        latents: `[B,F,C,h,w]`.
        keyframes: `[B,M,C,h,w]`.
        known: bool `[B,M]`, which of them are frames. A row without any stays as it is.
        channels: how many of the first, coarsest channels decide which cell is most like another.
    """
    wanted, there = cells_of(latents), cells_of(keyframes).to(latents.dtype)
    cells = known.repeat_interleave(there.shape[1] // known.shape[1], dim=1)
    found = most_alike(wanted, there, cells, channels)
    found = found.unflatten(1, (latents.shape[1], *latents.shape[-2:])).movedim(-1, 2)
    return torch.where(known.any(dim=1)[:, None, None, None, None], found, latents)


def most_alike(wanted: Tensor, there: Tensor, known: Tensor, channels: int) -> Tensor:
    """For cells `[B,N,C]` the most alike ones `[B,N,C]` of `there` `[B,M,C]` that are `known`
    `[B,M]`.
    """
    # Each pair of cells by itself, not by a matrix product: its last bits depend on the batch.
    apart = torch.cdist(
        wanted[..., :channels],
        there[..., :channels],
        compute_mode="donot_use_mm_for_euclid_dist",
    )
    best = apart.masked_fill(~known.unsqueeze(1), torch.inf).argmin(dim=2, keepdim=True)
    return there.gather(1, best.expand(-1, -1, there.shape[2]))


def retrieve_anywhere(
    latents: Tensor,
    remembered: Tensor,
    channels: int,
    anywhere: Callable[[Tensor], Tensor],
    shifted: int = 2,
    more: Tensor | None = None,
) -> Tensor:
    """As retrieve_cells, for one frame, which may take what lies between the cells as well.

    What moves by less than a cell is found again only so, but looking between the cells of all
    remembered frames would take too long: of the first ones, the newest frame and the nearest
    keyframe, it is done.

    Args:
        latents: `[1,C,h,w]`.
        remembered: `[M,C,h,w]`, the newest frame first.
        channels: as above.
        anywhere: latents `[N,P,C]` of P patches all over the pictures of latents `[N,C,h,w]`; a
            codec knows them.
        shifted: of how many of the remembered frames what lies between the cells is looked at.
        more: further cells `[N,C]`. Without any cells the frame stays as it is.
    """
    parts = [cells_of(remembered[shifted:].unsqueeze(0))[0].to(latents.dtype)]
    if shifted and len(remembered):
        parts.append(anywhere(remembered[:shifted].to(latents.dtype)).flatten(0, 1))
    there = torch.cat(parts if more is None else [*parts, more])
    if not len(there):
        return latents
    known = torch.ones((1, len(there)), dtype=torch.bool, device=there.device)
    found = most_alike(cells_of(latents.unsqueeze(1)), there.unsqueeze(0), known, channels)
    return found.unflatten(1, latents.shape[-2:]).movedim(-1, 1)


def cells_of(latents: Tensor) -> Tensor:
    """`[B,F,C,h,w]` -> `[B,F*h*w,C]`."""
    return latents.movedim(2, -1).flatten(1, 3)


def find_same_pose(
    poses: Tensor, places: Tensor, usable: Tensor, within: float
) -> tuple[Tensor, Tensor]:
    """Of poses `[B,3]`: bool `[B]` whether a usable one of places `[B,M,3]` is at most `within`
    cells away (models/memory/pose.py has the measure), and the index `[B]` of the nearest.
    """
    away = distance(poses.unsqueeze(1), places).masked_fill(~usable, torch.inf)
    nearest, index = away.min(dim=1)
    return nearest <= within, index
