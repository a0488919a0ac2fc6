"""Of what the network predicts and what memory shows from here: how much of each, cell by cell.

Memory moved to where one stands now is crisp and may be wrong; a prediction is soft and knows when
it does not know. A small network looks at how much they differ, band by band, and weighs them. It
chooses and never paints, so it can do little harm where it has learnt little.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BANDS = (3, 8, 16)  # where bands of channels end, coarse to fine; the last one ends with the last


class Views(NamedTuple):
    """What memory shows from where a dreamer arrives: newest `[B,C,h,w]`, of the newest frame, and
    newest_seen `[B,1,h,w]`, the share of each cell that it shows; keyframes and keyframes_seen the
    same of old frames; away `[B]`, how far the nearest of those is (models/memory/pose.py).
    """

    newest: Tensor
    newest_seen: Tensor
    keyframes: Tensor
    keyframes_seen: Tensor
    away: Tensor


class Fusion(nn.Module):
    """A weighted mean of a prediction and two views, with the same weights all over a band.

    Args:
        channels: C of the latents.
        width: numbers inside.
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        ends = [end for end in BANDS if end < channels] + [channels]
        self.bands = tuple(zip([0, *ends[:-1]], ends, strict=True))
        features = 3 * len(ends) + 4
        self.inlet = nn.Linear(2 * features, width)
        self.middle = nn.Linear(width, width)
        self.outlet = nn.Linear(width, 2 * len(ends))
        for part in (self.outlet.weight, self.outlet.bias):
            nn.init.zeros_(part)

    def forward(self, made: Tensor, views: Views) -> Tensor:
        """The mean `[B,C,h,w]` of a prediction of that shape and the views."""
        newest = (views.newest - made) * views.newest_seen
        old = (views.keyframes - made) * views.keyframes_seen
        x = F.silu(
            self.inlet(self._features(made, views, newest, old).movedim(1, -1).flatten(1, 2))
        )
        x = self.outlet(x + F.silu(self.middle(x))).unflatten(1, made.shape[2:]).movedim(-1, 1)
        scores = torch.stack((torch.zeros_like(x[:, ::2]), x[:, ::2], x[:, 1::2]))
        weights = scores.softmax(dim=0)
        sizes = torch.tensor([end - begin for begin, end in self.bands], device=made.device)
        _, of_newest, of_old = weights.repeat_interleave(sizes, dim=2)
        return made + of_newest * newest + of_old * old

    def _features(self, made: Tensor, views: Views, newest: Tensor, old: Tensor) -> Tensor:
        """What the weights are chosen by, `[B,2*features,h,w]`: each number beside its mean over
        3 x 3 cells.
        """
        both = (views.newest - views.keyframes) * views.newest_seen * views.keyframes_seen
        cells = views.newest_seen
        rows = torch.linspace(-1, 1, made.shape[2], device=made.device)[:, None].expand_as(cells)
        away = views.away[:, None, None, None].expand_as(cells)
        seen = (4 * views.newest_seen, 4 * views.keyframes_seen)
        x = torch.cat((*(self._sizes(d) for d in (newest, old, both)), *seen, away, rows), 1) / 2
        return torch.cat((x, F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)), dim=1)

    def _sizes(self, difference: Tensor) -> Tensor:
        """How large differences `[B,C,h,w]` are in each band, `[B,bands,h,w]`."""
        parts = [difference[:, begin:end].square().mean(1) for begin, end in self.bands]
        return torch.stack(parts, dim=1).add(1e-4).log()
