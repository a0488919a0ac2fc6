"""Which of the motions that odometry offers a dreaming body makes: one that is drawn by their
probabilities.

Where a body stands to a tenth of a block decides when it is stopped, jumps or falls, and memory
does not know its surroundings so well. The most likely motion of every single step is then to go
on level: a body that always made it would climb nothing, fall from nothing, and end inside a slope
or high above the ground. The draw takes a frame's own noise, so a dream that is played again, in
whatever runs it, moves the same way.
"""

import torch
from torch import Tensor

from models.memory.sizes import CHANCE_DIGITS


def draw_chances(noise: Tensor) -> Tensor:
    """Uniform numbers in [0, 1), float64 `[B]`, of frames' noise `[B,C,h,w]`: the later digits of
    its first number, which say nothing of how large that is.
    """
    return (noise[:, 0, 0, 0].double() * CHANCE_DIGITS).remainder(1.0)


def draw_motion(logits: Tensor, motions: Tensor, chances: Tensor, least: float) -> Tensor:
    """Motions `[B,3]`, of those offered `[B,P,3]` with logits `[B,P]`, by chances `[B]` in
    [0, 1); one whose probability is less than `least` of the likeliest's is never drawn.
    """
    shares = (logits - logits.amax(dim=1, keepdim=True)).double().exp()
    shares = torch.where(shares < least, 0.0, shares)
    below = shares.cumsum(dim=1)
    drawn = (below <= chances.unsqueeze(1) * below[:, -1:]).sum(dim=1)
    return motions[torch.arange(len(motions), device=motions.device), drawn]
