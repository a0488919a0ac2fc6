"""Which token of a clip sees which, from frame and level numbers alone: block-causal over (frame,
scale), with a window of frames and VideoAR's Random Frame Mask.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.codec.multiscale_quantizer import QuantizerConfig
from models.videoar.config import NetworkConfig
from models.videoar.levels import level_sizes, own_mask, remembered_levels


def frame_mask(frames: int, window: int, kept: Tensor | None = None) -> Tensor:
    """Which frames a frame sees before itself, bool `[1 or B,T,T]`.

    Args:
        frames: T.
        window: so many at most.
        kept: bool `[B,T,T]`, those of the past that the mask leaves; None: all. A frame's own
            tokens are no part of it.
    """
    ids = torch.arange(frames)
    age = ids.unsqueeze(1) - ids.unsqueeze(0)
    seen = ((age > 0) & (age <= window)).unsqueeze(0)
    return seen if kept is None else seen.to(kept.device) & kept


def clip_mask(cfg: NetworkConfig, quantizer: QuantizerConfig, seen: Tensor) -> Tensor:
    """Which token sees which, bool `[1 or B,1,N,N]`, tokens frame by frame and level by level.

    Args:
        cfg: context of the network.
        quantizer: its scales.
        seen: which frames a frame sees before itself, see frame_mask.
    """
    sizes, scales = level_sizes(cfg, quantizer), len(quantizer.scales)
    count = seen.shape[-1]
    level = token_levels(sizes).to(seen.device)
    frame = torch.arange(count, device=seen.device).repeat_interleave(len(level))
    level = level.repeat(count)
    own = own_mask(range(len(sizes)), scales).to(seen.device)[level][:, level]
    remembered = torch.isin(level, torch.tensor(remembered_levels(cfg, quantizer)).to(level))
    past = seen[:, frame][:, :, frame] & remembered
    same = frame.unsqueeze(1) == frame.unsqueeze(0)
    return torch.where(same, own, past).unsqueeze(1)


def token_levels(sizes: Sequence[tuple[int, int]]) -> Tensor:
    """The level of every token of a frame."""
    counts = torch.tensor([h * w for h, w in sizes])
    return torch.arange(len(sizes)).repeat_interleave(counts)
