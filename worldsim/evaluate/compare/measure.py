"""What is measured of every contestant: dreams of the same episodes, one file for each batch of
them, so that a comparison that was stopped goes on.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from worldsim.atomic import atomic_write
from worldsim.evaluate.compare.contestants import Contestant
from worldsim.evaluate.fidelity import find_best_of_context, reconstruct_frames
from worldsim.evaluate.lpips import Perceptual, lpips
from worldsim.evaluate.masked import masked_psnr
from worldsim.evaluate.metrics import psnr, sharpness, ssim
from worldsim.evaluate.open_loop import Start, dream
from worldsim.world.model import WorldModel

Arrays = dict[str, np.ndarray]
FIRST = 4  # frames of a run that no time is taken of


class Truth(NamedTuple):
    """What a batch of dreams is held against.

    Attributes:
        frames: uint8 `[B,P,H,W,3]`.
        actions: `[B,P]`.
        seen: bool `[B,P,H,W]` which pixels the context shows; None where that is not known.
        warped: those pixels of the context; None likewise.
    """

    frames: np.ndarray
    actions: np.ndarray
    seen: np.ndarray | None = None
    warped: np.ndarray | None = None


def collect_truth(start: Start, predicted: int) -> tuple[np.ndarray, np.ndarray]:
    """The frames after the context, and the actions that led to them."""
    first, last = start.context, start.context + predicted
    frames = np.stack([one.frames[first:last] for one in start.episodes])
    return frames, np.stack([one.actions[first - 1 : last - 1] for one in start.episodes])


def dream_episodes(world: WorldModel, who: Contestant, start: Start, truth: Truth) -> Arrays:
    """Frames of the dreams, and the milliseconds that each took, `[P]` a frame of one dream."""
    frames, times = [], []
    made = dream(world, start.state(), truth.actions, who.steps, context_noise=who.context_noise)
    began = time.perf_counter()
    for frame in made:
        times.append((time.perf_counter() - began) * 1e3 / len(frame))
        frames.append(frame)
        began = time.perf_counter()
    return {"frames": np.stack(frames, axis=1), "ms": np.array(times[FIRST:] or times)}


def scores(frames: np.ndarray, truth: Truth, perceptual: Perceptual | None) -> Arrays:
    """Figures `[B,P]` of frames beside the truth."""
    found = {
        "psnr": psnr(frames, truth.frames),
        "ssim": ssim(frames, truth.frames),
        "sharpness": sharpness(frames) / sharpness(truth.frames).mean(axis=0),
    }
    if truth.seen is not None:
        found["seen psnr"] = masked_psnr(frames, truth.frames, truth.seen)
    if perceptual is not None:
        found["lpips"] = lpips(perceptual, frames, truth.frames)
    return found


def measure_beside(
    world: WorldModel, start: Start, truth: Truth, perceptual: Perceptual | None
) -> Iterator[tuple[str, Arrays]]:
    """Floors and ceilings: the last frame repeated, the best of the context by hindsight, the
    codec, and, over what is seen, the context warped by the engine's depth.
    """
    last = np.repeat(start.last_frames()[:, None], truth.frames.shape[1], axis=1)
    yield "repeat last frame", scores(last, truth, perceptual)
    yield "best of context", scores(find_best_of_context(start, truth.frames), truth, perceptual)
    yield "codec", scores(reconstruct_frames(world, truth.frames), truth, perceptual)
    if truth.seen is not None and truth.warped is not None:
        yield "bare warp", {"seen psnr": masked_psnr(truth.warped, truth.frames, truth.seen)}


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays, whole or not at all."""

    def write(scratch: Path) -> None:
        with open(scratch, "wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    atomic_write(path, write)


def read_arrays(path: Path) -> dict[str, Any]:
    """What `write_arrays` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)
