"""What the newest frame of a dream looked at. Knows no network.

    watch = Watch()
    with watch:                               # while a frame is made
        state, frames = world.step(state, [2])
    watch.heats(recollect(world, state))      # how much attention each remembered frame got

Watching changes nothing: it looks at every call of attention and lets it pass.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from worldsim.memory_levels import Level


class Watch(TorchFunctionMode):
    """While it is entered, keeps how much each key was attended to, for the first dream.

    Layers, heads and sampler steps are averaged, and so is the pass in which the frame is
    remembered where that looks at all of the memory too.
    """

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Tensor] = []

    def __enter__(self) -> "Watch":
        self._calls = []
        return super().__enter__()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Look at a call of attention, and make it."""
        kwargs = kwargs or {}
        if function is F.scaled_dot_product_attention:
            self._calls.append(_weights(*args, **kwargs))
        return function(*args, **kwargs)

    def heats(self, levels: list[Level]) -> list[list[float | None]] | None:
        """Attention of the newest frame, one number a frame of each level; they sum to 1. None
        for frames without keys.

        None before a frame was made. Only attention over all of the memory counts.
        """
        keys = sum(len(level.frames) * level.tokens for level in levels)
        whole = [weights for weights in self._calls if len(weights) == keys]
        if not whole:
            return None
        mean = torch.stack(whole).mean(dim=0)
        parts = mean.split([len(level.frames) * level.tokens for level in levels])
        return [
            part.view(len(level.frames), level.tokens).sum(dim=1).tolist()
            if level.tokens
            else [None] * len(level.frames)
            for part, level in zip(parts, levels, strict=True)
        ]


@torch.no_grad()
def _weights(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    attn_mask: Tensor | None = None,
    scale: float | None = None,
    **_,
) -> Tensor:
    """Attention over the keys `[M]` of the first row, mean over its heads and queries."""
    scores = q[0] @ k[0].transpose(-2, -1) * (scale or 1 / math.sqrt(q.shape[-1]))
    if attn_mask is not None:
        mask = attn_mask[0] if attn_mask.dim() == 4 else attn_mask
        bias = torch.zeros_like(scores)
        scores = scores + (
            bias.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else mask
        )
    return scores.softmax(dim=-1).mean(dim=(0, 1))
