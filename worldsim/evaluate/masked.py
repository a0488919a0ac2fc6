"""Figures of parts of pictures: of the pixels that memory should know, or of those it cannot.

Pictures are uint8 `[...,H,W,3]`, masks bool `[...,H,W]`. A picture of which the mask has next to
nothing has no figure (nan).
"""

import numpy as np

from worldsim.evaluate.metrics import from_mse

LEAST = 0.02  # share of a picture below which its part is too small for a figure


def masked_psnr(pictures: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """PSNR in dB over the pixels of the mask, `[...]`."""
    error = (pictures.astype(np.float32) - truth.astype(np.float32)) / 255
    return from_mse(masked_mean(np.square(error).mean(axis=-1), mask))


def masked_sharpness(pictures: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean absolute Laplacian in grey levels over the pixels that lie in the mask with their four
    neighbours, `[...]`.
    """
    values = pictures.astype(np.float32)
    down = np.diff(values, n=2, axis=-3)[..., :, 1:-1, :]
    across = np.diff(values, n=2, axis=-2)[..., 1:-1, :, :]
    inner = mask[..., 1:-1, 1:-1] & mask[..., :-2, 1:-1] & mask[..., 2:, 1:-1]
    inner &= mask[..., 1:-1, :-2] & mask[..., 1:-1, 2:]
    return masked_mean(np.abs(down + across).mean(axis=-1), inner)


def masked_spread(pictures: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Standard deviation of the colours over the mask's pixels, mean over channels, `[...]`."""
    values = pictures.astype(np.float32)
    first = [masked_mean(values[..., c], mask) for c in range(3)]
    second = [masked_mean(np.square(values[..., c]), mask) for c in range(3)]
    variances = [np.maximum(b - a * a, 0) for a, b in zip(first, second, strict=True)]
    return np.sqrt(variances).mean(axis=0)


def masked_mean(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean of values `[...,H,W]` over the pixels of the mask, `[...]`."""
    number = mask.sum(axis=(-2, -1))
    least = LEAST * mask.shape[-1] * mask.shape[-2]
    total = (values * mask).sum(axis=(-2, -1))
    return np.where(number > least, total / np.maximum(number, 1), np.nan)
