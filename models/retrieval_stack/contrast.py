"""Gives dreams back the contrast that they lose.

A mean of what may come has less contrast than any of it, and the true cells most like a mean are
the dullest (models/retrieval_stack/retrieval.py). Remembered, they make the next frame duller. So a
dream's frames are measured beside the true ones that it has seen, and what is looked up gets as
much more contrast (or less) as they have lost, as the dream grows old and no truth is near that it
could miss. About the mean of each frame: what shifts every frame a little shifts long dreams far.
"""

import torch
from torch import Tensor

from models.far.carry import FARCarry
from models.far.config import FARConfig

STRENGTH = 2.0  # power of what was lost; what is given back is lost again in part
MOST = 2.0  # times more or less
LEAST = 1e-3  # contrast that there always is, in standard deviations of a channel


def age(cfg: FARConfig, carry: FARCarry, row: int) -> float:
    """How old a dream is, 0 to 1: half of it `ripens` frames after the newest true one that is
    remembered. A dream that remembers none is as young as can be, for lack of a measure.
    """
    true = carry.bank.ids[row, carry.bank.true_frames(row)]
    if not len(true):
        return 0.0
    since = max(int(carry.frame[row]) - int(true.max()), 0) ** cfg.sampler.steepness
    return since / (since + cfg.sampler.ripens**cfg.sampler.steepness)


def with_contrast(cfg: FARConfig, carry: FARCarry, row: int, made: Tensor, share: float) -> Tensor:
    """Frame `[C,h,w]` of a dream with a share of the contrast that its true ones have.

    Args:
        cfg: the channels that are looked at.
        carry: what the dream remembers.
        row: which dream.
        made: the frame as predicted.
        share: how much of what was lost is given back, 0 to 1.
    """
    true, dreamt = carry.bank.true_frames(row), carry.bank.generated_frames(row)
    if int(dreamt.sum()) < 2 or int(true.sum()) < 2:
        return made
    channels = max(cfg.sampler.retrieval, cfg.sampler.kept)
    cells = carry.bank.latents[row, :, :channels].float().flatten(2)
    spread = (cells.square().mean(dim=2) - cells.mean(dim=2).square()).clamp(min=0)
    has, had = (spread[some].mean(dim=0).sqrt() + LEAST for some in (dreamt, true))
    gain = ((had / has) ** STRENGTH).clamp(1 / MOST, MOST).to(made.dtype) - 1
    coarse = made[:channels]
    apart = coarse - coarse.mean(dim=(1, 2), keepdim=True)
    return torch.cat((coarse + apart * gain[:, None, None] * share, made[channels:]))
