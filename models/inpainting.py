"""What no view shows is filled in from a truly seen frame.

A network that predicts means fills it with fog. Of the true frames that a dream remembers, one goes
on best with what is seen around the gap and, in a young dream, with what is expected in it; all of
the gap is taken from that one, so that walls, floors and skies fit together. An old dream expects
fog, and the frame most like fog is the dullest of all. And where its frames have become darker or
greener than the true ones were, it looks for so much lighter a frame. Inpainting by exemplars
(Criminisi et al., 2004), with one exemplar a frame.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.far_carry import FARCarry

COLOURS = 3  # the coarsest channels, by which frames are compared
LEAST = 0.05  # what is expected in a gap counts at least so much; all of a frame may be one


def going_on(
    carry: FARCarry, row: int, made: Tensor, unseen: Tensor, old: float, balance: float
) -> Tensor:
    """The truly seen frame `[1,C,h,w]` that goes on best where nothing is seen; `[0,C,h,w]` where a
    dream remembers none, or no gap is to be filled.

    Args:
        carry: what the dreams remember.
        row: which dream.
        made: the frame as predicted, `[C,h,w]`.
        unseen: `[1,h,w]`, share of each cell that no view shows.
        old: the dream's age, 0 to 1 (models/contrast.py).
        balance: how many times the colour that an old dream has lost is looked for.
    """
    true = carry.truly_seen(row)
    at = torch.nonzero(true).flatten()
    if not len(at) or not unseen.any():
        return made.new_zeros(0, *made.shape)
    around = F.max_pool2d(unseen.unsqueeze(0), 3, 1, 1)[0] * (1 - unseen)
    colours = carry.bank_latents[row, :, :COLOURS].float()
    like = made[:COLOURS] + balance * old * _lost(colours, true, carry.dreamt(row))
    unlike = (colours[at] - like).square()
    weight = unseen * (1 - (1 - LEAST) * old) + around
    best = at[(unlike * weight).sum(dim=(1, 2, 3)).argmin()]
    return carry.bank_latents[row, best].to(made.dtype).unsqueeze(0)


def _lost(colours: Tensor, true: Tensor, dreamt: Tensor) -> Tensor:
    """By how much the mean colours `[N,1,1]` of dreamt frames are off from those of true ones, of
    frames `[M,N,h,w]`, each of them true `[M]`, dreamt `[M]` or none.
    """
    if not dreamt.any():
        return colours.new_zeros(())
    mean = colours.mean(dim=(2, 3), keepdim=True)
    return mean[true].mean(dim=0) - mean[dreamt].mean(dim=0)
