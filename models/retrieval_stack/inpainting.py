"""What no view shows is filled in from a truly seen frame.

A network that predicts means fills it with fog. Of the true frames that a dream remembers, and of
those in its world's album (models/retrieval_stack/album.py), one goes on best with what is seen
around the gap and with what is expected in it; all of the gap is taken from that one, so that
walls, floors and skies fit together. An old dream expects fog, and the frame most like fog is the
dullest of all: without an album, which has no dull ones, its expectations hardly count. Inpainting
by exemplars (Criminisi et al., 2004), with one exemplar a frame.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.far.carry import FARCarry
from models.retrieval_stack.album import Album

COLOURS = 3  # the coarsest channels, by which frames are compared
VARIED = 0.6  # by how much luck changes the likeness of a frame, where all of it is a gap
LEAST = 0.05  # what is expected in a gap counts at least so much; all of a frame may be one


def find_continuation(
    carry: FARCarry,
    row: int,
    made: Tensor,
    unseen: Tensor,
    old: float,
    album: Album | None = None,
    luck: Tensor | None = None,
) -> Tensor:
    """The true frame `[1,C,h,w]` that goes on best where nothing is seen; `[0,C,h,w]` where there
    is none, or no gap is to be filled.

    Args:
        carry: what the dreams remember.
        row: which dream.
        made: the frame as predicted, `[C,h,w]`.
        unseen: `[1,h,w]`, share of each cell that no view shows.
        old: the dream's age, 0 to 1 (models/retrieval_stack/contrast.py).
        album: more true frames.
        luck: noise of any shape. The larger the gap, the more another frame of so many may fill
            it than the most alike, so that not all ways lead to one place.
    """
    if not unseen.any():
        return made.new_zeros(0, *made.shape)
    frames = carry.bank.latents[row, carry.bank.true_frames(row)]
    colours = frames[:, :COLOURS]
    if album is not None:
        frames = frames[album.lively(frames)]
        colours = torch.cat((frames[:, :COLOURS], album.frames[:, :COLOURS]))
    if not len(colours):
        return made.new_zeros(0, *made.shape)
    around = F.max_pool2d(unseen.unsqueeze(0), 3, 1, 1)[0] * (1 - unseen)
    doubt = old * (1 - LEAST) if album is None else 0.0
    weight = unseen * (1 - doubt) + around
    unlike = (colours.float() - made[:COLOURS]).square()
    unlike = (unlike * weight).sum(dim=(1, 2, 3))
    if album is not None and luck is not None:
        drawn = luck.flatten()[torch.arange(len(unlike), device=luck.device) % luck.numel()]
        unlike = unlike * (VARIED * unseen.mean().square() * drawn).exp()
    best = int(unlike.argmin())
    found = frames[best] if best < len(frames) else album.frames[best - len(frames)]
    return found.to(made.dtype).unsqueeze(0)
