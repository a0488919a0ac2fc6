"""Lets what tokens predict apart agree where they meet.

A token is a patch of several latent cells, and each predicts its own: at its border a picture shows
a seam. Two 3x3 convolutions over the cells, of all tokens' predictions beside the noisy latents
they came from, close it for a fifth of a jump's arithmetic.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.nn.blocks import squared_relu

SIDE = 3


class Refiner(nn.Module):
    """A correction of predicted latents, zero at first.

    Args:
        channels: C.
        width: channels between the two convolutions.
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.first = nn.Linear(2 * channels * SIDE**2, width)
        self.second = nn.Linear(width * SIDE**2, channels)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, clean: Tensor, noisy: Tensor) -> Tensor:
        """Corrected latents, of predicted and noisy ones `[B,F,C,h,w]`."""
        cells = torch.cat((clean, noisy.to(clean.dtype)), dim=2).flatten(0, 1)
        hidden = squared_relu(self.first(_around(cells)))
        hidden = hidden.transpose(1, 2).unflatten(2, cells.shape[2:])
        change = self.second(_around(hidden)).transpose(1, 2)
        return clean + change.reshape(clean.shape)


def _around(cells: Tensor) -> Tensor:
    """The 3x3 cells around each: `[N,C,h,w]` -> `[N,h*w,9*C]`. Linear layers over them are
    convolutions that give each row of a batch what it would get alone
    (worldsim/world/batch_invariant.py).
    """
    return F.unfold(cells, SIDE, padding=SIDE // 2).transpose(1, 2)
