"""FVD (arXiv 1812.01717): how unlike two sets of clips are, by the features of I3D.

The detector is the TorchScript file that StyleGAN-V published, given by path; it is called with
`rescale=False, resize=True`, so clips are in -1..1 and of any size. Figures of few clips are biased
upwards, and with fewer clips than features the covariances have no full rank: compare equal N only.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worldsim.evaluate.feature_distance import frechet_distance
from worldsim.reading import ReadError, reading, short_path

FEATURES = 400
LEAST_FRAMES = 10  # that I3D's strides in time take
PUBLISHED = "StyleGAN-V publishes it: https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt"
_TRIED = (1, 3, 16, 64, 64)


class Detector:
    """I3D, as features of clips."""

    def __init__(self, path: Path, device: str = "cpu"):
        if not path.is_file():
            raise ValueError(f"there is no file {short_path(path)} for FVD: {PUBLISHED}")
        self.device = device
        what = "detector for FVD"
        with reading(path, what, PUBLISHED), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch gives TorchScript up; the file is what it is
            self._network: Any = torch.jit.load(str(path), map_location=device).eval()
            found = tuple(self._of(torch.zeros(_TRIED)).shape)
        if found != (1, FEATURES):
            raise ReadError(
                f"{short_path(path)} is not a {what}: features must be [1, {FEATURES}] of a clip "
                f"{list(_TRIED)}, got {list(found)}; {PUBLISHED}"
            )

    @torch.no_grad()
    def _of(self, clips: Tensor) -> Tensor:
        clips = clips.to(self.device)
        return self._network(clips, rescale=False, resize=True, return_features=True)

    def features(self, clips: np.ndarray) -> np.ndarray:
        """Features float32 `[N,FEATURES]` of clips uint8 `[N,T,H,W,3]`, one clip at a time.

        Raises:
            ValueError: clips that are too short.
        """
        if clips.shape[1] < LEAST_FRAMES:
            raise ValueError(
                f"clips must have >= {LEAST_FRAMES} frames for FVD, got {clips.shape[1]}: give "
                f"more by --predicted, or leave --i3d out"
            )
        found = []
        for clip in clips:
            planes = torch.from_numpy(np.ascontiguousarray(clip)).movedim(-1, 0)
            found.append(self._of(planes.unsqueeze(0).float() / 127.5 - 1).cpu().numpy())
        return np.concatenate(found)


def fvd(dreamt: np.ndarray, true: np.ndarray, as_published: bool = False) -> float:
    """Frechet distance of features `[N,F]` and `[M,F]`.

    Args:
        dreamt: of dreamt clips.
        true: of true ones.
        as_published: by scipy's root of the product of both covariances, which is not exact where
            they have no full rank.

    Raises:
        ValueError: too few clips, or scipy is wanted and not installed.
    """
    if min(len(dreamt), len(true)) < 2:
        raise ValueError(
            f"clips of each kind must be >= 2 for FVD, got {len(dreamt)} and {len(true)}"
        )
    dreamt, true = dreamt.astype(np.float64), true.astype(np.float64)
    return _by_root(dreamt, true) if as_published else frechet_distance(dreamt, true)


def _by_root(a: np.ndarray, b: np.ndarray) -> float:
    try:
        from scipy.linalg import sqrtm
    except ImportError as error:
        raise ValueError("FVD as published needs scipy: pip install scipy") from error
    one, other = (np.cov(part, rowvar=False) for part in (a, b))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a singular matrix
        root = sqrtm(one @ other)
    apart = np.square(a.mean(axis=0) - b.mean(axis=0)).sum()
    return float(np.real(apart + np.trace(one + other - 2 * root)))
