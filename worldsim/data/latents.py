"""Latents of a store's episodes, encoded once and memory-mapped: what training reads.

A folder holds `latents.raw` (float16 `[N,C,h,w]`, all frames of all episodes), `steps.npz` (offsets
`[E+1]`; actions `[N]` that led to each frame, -1 for an
episode's first; poses `[N,3]`, zeros and `posed` False where unknown) and `meta.json` (what was
encoded, by which codec). It is made whole or not at all.
"""

import json
import os
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from worldsim.data.npz import read_arrays
from worldsim.data.store import EpisodeStore
from worldsim.reading import read_json, reading
from worldsim.types import NULL_ACTION, Episode

RAW, STEPS, META = "latents.raw", "steps.npz", "meta.json"
FILES = {RAW, STEPS, META}
SCRATCH, STALE = ".latents-", 3600  # seconds
_ARRAYS = {"actions": "<i8", "poses": "<f4", "posed": "|b1", "bounds": "<i8"}


@dataclass(frozen=True, kw_only=True)
class LatentCache:
    """Read-only arrays, see above; `bounds[e]` is where episode e starts."""

    latents: np.ndarray
    actions: np.ndarray
    poses: np.ndarray
    posed: np.ndarray
    bounds: np.ndarray

    def __len__(self) -> int:
        return len(self.bounds) - 1


def open_latents(folder: Path) -> LatentCache:
    """Map a finished cache.

    Raises:
        ReadError: it is damaged.
    """
    with reading(folder, "cache of latents that can be read", "delete it, it is made again"):
        steps = read_arrays(folder / STEPS, _ARRAYS)
        count = int(steps["bounds"][-1])
        shape = (count, *read_json(folder / META, "meta of latents")["shape"])
        if not (np.diff(steps["bounds"]) > 0).all() or steps["bounds"][0] != 0:
            raise ValueError("its episodes overlap")
        if any(len(steps[name]) != count for name in ("actions", "poses")):
            raise ValueError("its steps are of other frames")
        latents = np.memmap(folder / RAW, np.float16, "r", shape=shape)
        return LatentCache(latents=latents, **steps)


def load_or_encode_latents(
    store: EpisodeStore, codec, codec_hash: str, folder: Path, progress=print
) -> LatentCache:
    """The latents of every episode in `store`; encoded now unless `folder` already holds those of
    the same episodes by the same codec.
    """
    meta = {
        "episodes": [list(pair) for pair in zip(store.names(), store.sizes(), strict=True)],
        "codec": codec_hash,
        "shape": list(codec.latent_shape),
    }
    if (folder / META).exists() and _read_meta(folder) == meta:
        return open_latents(folder)
    if folder.exists() and any(folder.iterdir()) and not _is_cache(folder):
        raise ValueError(f"{folder} is not a cache of latents: give another data.cache")
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear_scratch(folder.parent)
    scratch = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=folder.parent))
    try:
        _encode_all(store, codec, scratch, progress)
        (scratch / META).write_text(json.dumps(meta))
        scratch.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return open_latents(folder)


def _clear_scratch(parent: Path) -> None:
    """Remove what killed programs left half-made; one that was written to lately is being made."""
    for scratch in parent.glob(f"{SCRATCH}*"):
        with suppress(OSError):
            files = list(scratch.iterdir())
            newest = max(path.stat().st_mtime for path in (scratch, *files))
            if {path.name for path in files} <= FILES and time.time() - newest > STALE:
                shutil.rmtree(scratch)


def _read_meta(folder: Path) -> Any:
    try:
        return read_json(folder / META, "meta of latents")
    except (OSError, ValueError):
        return None


def _is_cache(folder: Path) -> bool:
    """Whether a folder may be deleted: it holds what a cache holds, and nothing else."""
    meta = _read_meta(folder)
    ours = isinstance(meta, dict) and set(meta) == {"episodes", "codec", "shape"}
    return ours and {path.name for path in folder.iterdir()} == FILES


def _encode_all(store: EpisodeStore, codec, folder: Path, progress) -> None:
    lengths, actions, poses, posed = [], [], [], []
    with open(folder / RAW, "wb") as file:
        for i, episode in enumerate(store):
            size = episode.frames.shape[1]
            if size != codec.frame_size:
                raise ValueError(
                    f"{store.path(i)} has frames of {size} pixels, the codec of "
                    f"{codec.frame_size}: set codec.frame_size, or give other episodes"
                )
            encode_episode(codec, episode).tofile(file)
            lengths.append(len(episode.frames))
            actions.append(np.concatenate(([NULL_ACTION], episode.actions)))
            posed.append(episode.poses is not None)
            poses.append(episode.poses if posed[-1] else np.zeros((lengths[-1], 3), np.float32))
            if i % 100 == 99:
                progress(f"encoded {i + 1} of {len(store)} episodes")
    bounds = np.concatenate(([0], np.cumsum(lengths)))
    np.savez(
        folder / STEPS,
        actions=np.concatenate(actions),
        poses=np.concatenate(poses),
        posed=np.array(posed),
        bounds=bounds,
    )


@torch.no_grad()
def encode_episode(codec, episode: Episode, batch: int = 128) -> np.ndarray:
    """Latents float16 `[T+1,C,h,w]` of an episode."""
    frames = torch.from_numpy(np.asarray(episode.frames))
    device = getattr(getattr(codec, "mean", None), "device", None)
    parts = [codec.encode(part.to(device)).half().cpu() for part in frames.split(batch)]
    return torch.cat(parts).numpy()
