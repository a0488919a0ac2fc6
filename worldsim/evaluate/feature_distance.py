"""How unlike two sets of pictures are, by the features of a network that knows many pictures.

Two figures: Frechet distance between Gaussians (arXiv 1706.08500), and the unbiased kernel distance
(arXiv 1801.01401). Features are EfficientNet-Lite0's, so the figures are no FID and no FVD, and are
to be compared within one report only, at one N, beside the floor: true against true. Single frames
are compared, so some faults cannot be seen; `blind_spots` says which.
"""

from collections.abc import Callable

import cv2
import numpy as np

NETWORK = "EfficientNet-Lite0 frames"
MOST = 256  # pictures of a set
LEAST = 16


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Frechet distance between the Gaussians of features `[N,F]` and `[M,F]`.

    The trace of the root of the product of both covariances is the nuclear norm of A B^T, where A
    and B are the centred features over root N - 1: exact, and small where there are few pictures.
    """
    means = [part.mean(axis=0) for part in (a, b)]
    one, other = (
        (part - mean) / np.sqrt(len(part) - 1) for part, mean in zip((a, b), means, strict=True)
    )
    shared = np.linalg.norm(one @ other.T, ord="nuc")
    apart = np.square(means[0] - means[1]).sum()
    return float(apart + np.square(one).sum() + np.square(other).sum() - 2 * shared)


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / F + 1)^3."""

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def measure_own(x: np.ndarray) -> float:
        values = kernel(x, x)
        return (values.sum() - np.trace(values)) / (len(x) * (len(x) - 1))

    return float(measure_own(a) + measure_own(b) - 2 * kernel(a, b).mean())


def thin_evenly(frames: np.ndarray, count: int) -> np.ndarray:
    """`count` of the frames `[N,...]`, evenly spaced."""
    return frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]


def distances(
    dreamt: np.ndarray,
    true: np.ndarray,
    others: np.ndarray,
    features: Callable[[np.ndarray], np.ndarray],
) -> dict[str, float | int]:
    """Distances of dreamt frames, and of the true ones in their place, to true frames elsewhere.

    Args:
        dreamt: uint8 `[N,H,W,3]`.
        true: the same frames as the engine shows them: the floor.
        others: true frames of other walkers.
        features: of frames, see efficientnet_lite.py.

    Returns:
        Figures by name, nothing where there are too few frames.
    """
    count = min(len(dreamt), len(others), MOST)
    if count < LEAST:
        return {}
    ours, floor, reference = (features(thin_evenly(x, count)) for x in (dreamt, true, others))
    told: dict[str, float | int] = {"N": count}
    for name, distance in (("frechet", frechet_distance), ("kernel", kernel_distance)):
        told |= {name: distance(ours, reference), f"{name}, truth": distance(floor, reference)}
    return told


CORRUPTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "blur": lambda clips: _corrupt_frames(
        clips, lambda frame: cv2.GaussianBlur(frame, (0, 0), 1.5)
    ),
    "contrast": lambda clips: np.clip((clips - 127.5) * 0.7 + 127.5, 0, 255).astype(np.uint8),
    "freezing": lambda clips: np.broadcast_to(clips[:, :1], clips.shape),
    "shuffling": lambda clips: clips[:, ::-1],
}
"""What may happen to clips uint8 `[B,T,H,W,3]`."""


def _corrupt_frames(clips: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    flat = clips.reshape(-1, *clips.shape[2:])
    return np.stack([change(frame) for frame in flat]).reshape(clips.shape)


def blind_spots(
    clips: np.ndarray, others: np.ndarray, features: Callable[[np.ndarray], np.ndarray]
) -> dict[str, float]:
    """What each corruption of true clips uint8 `[B,T,H,W,3]` multiplies their Frechet distance to
    other true clips by; about 1 where it is not seen.
    """
    count = min(len(clips) * clips.shape[1], len(others) * others.shape[1], MOST)
    if count < LEAST:
        return {}

    def measure_features(part: np.ndarray) -> np.ndarray:
        return features(thin_evenly(part.reshape(-1, *part.shape[2:]), count))

    reference = measure_features(others)
    floor = frechet_distance(measure_features(clips), reference)
    return {
        name: frechet_distance(measure_features(change(clips)), reference) / floor
        for name, change in CORRUPTIONS.items()
    }
