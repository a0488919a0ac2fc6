"""True frames of what a world learnt from, for what a dream has never seen.

A dream remembers the minute of truth that it began with, which may have been a minute before a
wall; what lies behind is filled in from an album (models/retrieval_stack/inpainting.py). Frames
with little contrast are not in it, and those that a dream remembers don't fill gaps where there is
one: of all true frames they are the most like what a network expects that knows nothing, so dreams
ended in them. And a picture of a dream's own that has as little is fog, or a wall before the eyes
that never gives way: all of it is a gap, of walls where truth is far, of fog in an old dream.
"""

import numpy as np
import torch
from torch import Tensor, nn

COARSE = 12  # channels whose contrast is looked at, at most
DULL = 0.1  # share of true frames that are too dull for an album
FOG = (0.75, 0.6)  # of the usual contrast: a picture begins to be fog, is nothing else
WALL = (0.5, 0.4)  # the same of a wall
FAR = (
    4.0,
    6.0,
)  # how far off truth begins to be far, is far (models/memory/pose.py has the measure)
DRAWN = 4  # times as many frames as an album holds say what is usual


class Album(nn.Module):
    """Args: how many frames; their channels; cells a side.

    `frames` float16 `[N,C,h,w]`; contrasts `usual`, of true frames, and `least`, of lively ones.
    """

    frames: Tensor
    usual: Tensor
    least: Tensor

    def __init__(self, count: int, channels: int, size: int):
        super().__init__()
        self.register_buffer("frames", torch.zeros(count, channels, size, size).half())
        self.register_buffer("usual", torch.zeros(()))
        self.register_buffer("least", torch.zeros(()))

    def fill(self, latents: np.ndarray, seed: int) -> None:
        """Choose frames at random among latents `[M,C,h,w]` of true ones; some twice where there
        are too few.
        """
        order = np.random.default_rng([seed, 6]).permutation(len(latents))
        drawn = torch.from_numpy(latents[order[: DRAWN * len(self.frames)]])
        of = contrast(drawn)
        self.usual.copy_(of.median())
        self.least.copy_(of.quantile(DULL))
        lively = drawn[of >= self.least]
        self.frames.copy_(lively[torch.arange(len(self.frames)) % len(lively)])

    def lively(self, frames: Tensor) -> Tensor:
        """Which of frames `[N,C,h,w]` could be in an album, bool `[N]`."""
        return contrast(frames) >= self.least

    def emptiness(self, frame: Tensor, old: float, away: Tensor) -> Tensor:
        """How much of a whole frame `[C,h,w]` counts as a gap, `[]`, 0 to 1, in a dream of an age
        (models/retrieval_stack/contrast.py) that is `away` `[]` from all truth.
        """
        share = contrast(frame.unsqueeze(0))[0] / self.usual
        far = _between(away, *FAR)
        return torch.maximum(old * _between(share, *FOG), far * _between(share, *WALL))


def _between(x: Tensor, nothing: float, all_of_it: float) -> Tensor:
    """0 to 1, from one bound to the other."""
    return ((x - nothing) / (all_of_it - nothing)).clamp(0, 1)


def contrast(frames: Tensor) -> Tensor:
    """Of latents `[N,C,h,w]`, `[N]`: standard deviation over the cells, mean of the coarse
    channels.
    """
    cells = frames[:, :COARSE].float().flatten(2)
    apart = cells - cells.mean(dim=2, keepdim=True)
    return apart.square().mean(dim=2).sqrt().mean(dim=1)
