"""Labels from logits and given numbers: pure functions of both, no random generator.

The noise of a frame has a latent's shape, and a label is drawn with the number that lies where the
latent stores it; so two dreams of the same noise differ only where their logits do.
"""

import math

import torch
from torch import Tensor


def to_uniform(noise: Tensor) -> Tensor:
    """Standard normal numbers -> uniform ones from 0 to 1, float64."""
    return 0.5 * torch.special.erfc(-noise.double() / math.sqrt(2))


def sample_labels(logits: Tensor, numbers: Tensor, temperature: float) -> Tensor:
    """Labels int64 `[B,n,m]`.

    Args:
        logits: `[B,n,m,choices]`.
        numbers: uniform from 0 to 1, `[B,n,bits]`; m labels of two choices take one number each,
            a label of more choices the first.
        temperature: 0 takes the likeliest.
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    # In float64, since a float32 exponential's last bit may depend on where in a batch it stands.
    scaled = logits.double() / temperature
    if logits.shape[-1] == 2:
        return (numbers < (scaled[..., 1] - scaled[..., 0]).sigmoid()).long()
    chances = scaled.softmax(dim=-1).cumsum(dim=-1)
    found = torch.searchsorted(chances, numbers[..., :1, None].contiguous())
    return found.squeeze(-1).clamp(max=logits.shape[-1] - 1)
