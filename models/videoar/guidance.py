"""Classifier-free guidance of logits by frame and scale (VideoAR's temporal-spatial guidance), in
Infinity's form: g cond + (1 - g) null.
"""

from torch import Tensor

from models.videoar.config import GuidanceConfig


def guidance_at(cfg: GuidanceConfig, frames: Tensor, scale: int, scales: int) -> Tensor:
    """g `[B]` of a scale of frames `[B]`, both numbered from 0."""
    last = cfg.length - 1
    frames = frames.clamp(max=last).double()
    if cfg.finest is None:
        done = (frames * scales + scale) / max(cfg.length * scales - 1, 1)
        return cfg.first + (cfg.last - cfg.first) * done
    start = cfg.first + (cfg.last - cfg.first) * frames / max(last, 1)
    return start + (cfg.finest - start) * scale / max(scales - 1, 1)


def apply_guidance(logits: Tensor, strength: Tensor) -> Tensor:
    """Guided logits `[B,...]` of both branches' `[B,2,...]`: with the condition, and without."""
    given, null = logits.unbind(1)
    g = strength.to(logits.dtype).view(-1, *[1] * (given.ndim - 1))
    return null + g * (given - null)
