"""How alike two pictures are, and what a picture is like in itself.

Pictures are uint8 `[...,H,W,3]`. Figures are for each picture, never for a
batch. SSIM is torchmetrics', imported only here.
"""

import numpy as np

SMALLEST_ERROR = (1 / 255) ** 2 / 12
"""What rounding to 8 bits costs; an exact copy would have an infinite PSNR, and so the mean."""
MOST_SHIFT = 24  # columns of 64
_CHUNK = 64


def psnr(pictures: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Peak signal to noise ratio in dB, `[...]`; at most 58.9, that of a rounding error.

    Source: -10 log10 of the mean squared error of pictures in 0..1.
    """
    error = (pictures.astype(np.float32) - truth.astype(np.float32)) / 255
    return from_mse(np.square(error).mean(axis=(-3, -2, -1)))


def from_mse(mse: np.ndarray) -> np.ndarray:
    """PSNR in dB of mean squared errors of pictures in 0..1."""
    return -10 * np.log10(np.maximum(mse, SMALLEST_ERROR))


def ssim(pictures: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Structural similarity, `[...]`, with torchmetrics' own settings (Gaussian, sigma 1.5).

    Raises:
        ValueError: torchmetrics is not installed.
    """
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure
    except ImportError as error:
        raise ValueError("evaluating needs torchmetrics: pip install torchmetrics") from error
    shape = pictures.shape[:-3]
    ours, theirs = (array.reshape(-1, *array.shape[-3:]) for array in (pictures, truth))
    values = [
        structural_similarity_index_measure(
            _planes(ours[at : at + _CHUNK]),
            _planes(theirs[at : at + _CHUNK]),
            data_range=1.0,
            reduction="none",
        ).reshape(-1)
        for at in range(0, len(ours), _CHUNK)
    ]
    return np.concatenate([value.numpy() for value in values]).reshape(shape)


def _planes(pictures: np.ndarray):
    import torch

    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255


def nearest(pictures: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each picture `[N,H,W,3]` the index `[N]` of the one of `others` with the least error."""
    a = pictures.reshape(len(pictures), -1).astype(np.float32)
    b = others.reshape(len(others), -1).astype(np.float32)
    return (np.square(b).sum(axis=1) - 2 * (a @ b.T)).argmin(axis=1)


def sharpness(pictures: np.ndarray) -> np.ndarray:
    """Mean absolute Laplacian in grey levels, `[...]`.

    Differences of neighbours alone would not do: blur spreads an edge and keeps their sum.
    """
    values = pictures.astype(np.float32)
    down = np.diff(values, n=2, axis=-3)[..., :, 1:-1, :]
    across = np.diff(values, n=2, axis=-2)[..., 1:-1, :, :]
    return np.abs(down + across).mean(axis=(-3, -2, -1))


def horizontal_shift(before: np.ndarray, after: np.ndarray) -> int:
    """By how many columns a picture `[H,W,3]` moved to the right (negative: left).

    The shift that leaves the least mean error where both overlap.
    """
    width = before.shape[1]
    most = MOST_SHIFT * width // 64
    a, b = (picture.mean(axis=-1, dtype=np.float32) for picture in (before, after))
    errors = {
        shift: np.square(
            b[:, max(shift, 0) : width + shift] - a[:, max(-shift, 0) : width - shift]
        ).mean()
        for shift in range(-most, most + 1)
    }
    return min(errors, key=errors.__getitem__)
