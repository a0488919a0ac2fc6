"""Frames, inverse depth and poses of a store's episodes, memory-mapped: what the training of a
dynamics with a memory in space reads.

A cache is a folder of chunks, each written whole or not at all: `frames.raw` uint8 `[N,H,W,3]`,
`inverse_depth.raw` float16 `[N,n,n]`, `coarse.raw` float16 `[N,8,8]`, `steps.npz`, `meta.json`.
Episodes that join the store later become new chunks; nothing is encoded twice.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.memory.depth_network import DepthNetwork
from models.memory.frame_bank import take_medians
from worldsim.data.store import EpisodeStore
from worldsim.poses import with_heights
from worldsim.types import NULL_ACTION, Episode

EPISODES = 50  # of a chunk


@dataclass(frozen=True)
class SpatialEpisode:
    """Read-only arrays of T + 1 frames: frames uint8 `[T+1,H,W,3]`; inverse_depth `[T+1,n,n]`;
    coarse `[T+1,8,8]`; poses float32 `[T+1,4]`; actions int64 `[T+1]` that led to each frame.
    """

    frames: np.ndarray
    inverse_depth: np.ndarray
    coarse: np.ndarray
    poses: np.ndarray
    actions: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)


def cached_episodes(
    store: EpisodeStore, network: DepthNetwork, network_hash: str, folder: Path, progress=print
) -> list[SpatialEpisode]:
    """Every episode with poses of a store; encodes those that no chunk of `folder` holds yet.

    Args:
        store: its episodes.
        network: reads inverse depth off frames, as it will in play.
        network_hash: names what it reads; chunks of another one are made again.
        folder: of the cache.
        progress: told a line now and then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chunks = [chunk for chunk in sorted(folder.glob("chunk-*")) if _fits(chunk, network_hash)]
    held = {name for chunk in chunks for name in _meta(chunk)["episodes"]}
    missing = [index for index, name in enumerate(store.names()) if name not in held]
    for start in range(0, len(missing), EPISODES):
        part = missing[start : start + EPISODES]
        _write_chunk(store, part, network, network_hash, folder)
        progress(f"depth of {start + len(part)} of {len(missing)} new episodes")
    return open_episodes(folder)


def open_episodes(folder: Path) -> list[SpatialEpisode]:
    """The episodes of a finished cache."""
    chunks = sorted(folder.glob("chunk-*"))
    return [episode for chunk in chunks for episode in _open_chunk(chunk)]


def _meta(chunk: Path) -> dict:
    return json.loads((chunk / "meta.json").read_text())


def _fits(chunk: Path, network_hash: str) -> bool:
    if _meta(chunk)["depth"] == network_hash:
        return True
    shutil.rmtree(chunk)
    return False


def _write_chunk(
    store: EpisodeStore, part: list[int], network: DepthNetwork, network_hash: str, folder: Path
) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    names = [store.names()[index] for index in part]
    try:
        kept = _write_arrays((store[index] for index in part), network, scratch)
        meta = {"episodes": names, "depth": network_hash, **kept}
        (scratch / "meta.json").write_text(json.dumps(meta))
        scratch.chmod(0o755)
        chunk = folder / f"chunk-{len(list(folder.glob('chunk-*'))):04d}-{Path(names[0]).stem}"
        os.rename(scratch, chunk)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_arrays(episodes: Iterable[Episode], network: DepthNetwork, folder: Path) -> dict:
    actions, poses, bounds, size = [], [], [0], 0
    with open(folder / "frames.raw", "wb") as f, open(folder / "inverse_depth.raw", "wb") as d:
        coarse = open(folder / "coarse.raw", "wb")  # noqa: SIM115  closed below
        with coarse:
            for episode in episodes:
                if episode.poses is None:
                    continue
                size = episode.frames.shape[1]
                inverse = read_inverse_depth(network, torch.from_numpy(episode.frames))
                np.ascontiguousarray(episode.frames).tofile(f)
                inverse.half().numpy().tofile(d)
                take_medians(inverse).half().numpy().tofile(coarse)
                actions.append(np.concatenate(([NULL_ACTION], episode.actions)))
                poses.append(poses_of(episode))
                bounds.append(bounds[-1] + len(episode.frames))
    np.savez(
        folder / "steps.npz",
        actions=np.concatenate(actions or [np.zeros(0, np.int64)]),
        poses=np.concatenate(poses or [np.zeros((0, 4), np.float32)]),
        bounds=np.array(bounds),
    )
    return {"size": size}


def poses_of(episode: Episode) -> np.ndarray:
    """Poses float32 `[T+1,4]` of an episode: x, y, heading, and height, 0 where unknown."""
    return with_heights(episode.poses, episode.heights).astype(np.float32)


@torch.inference_mode()
def read_inverse_depth(network: DepthNetwork, frames: Tensor, batch: int = 64) -> Tensor:
    """Inverse depth `[T,n,n]` of frames uint8 `[T,H,W,3]`."""
    device = next(network.parameters()).device
    parts = []
    for part in frames.split(batch):
        pictures = part.to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
        parts.append(network.inverse_depth(pictures).cpu())
    return torch.cat(parts)


def _open_chunk(chunk: Path) -> list[SpatialEpisode]:
    steps, size = np.load(chunk / "steps.npz"), _meta(chunk)["size"]
    total = int(steps["bounds"][-1])
    if not total:
        return []

    def mapped(name: str, dtype: type, shape: tuple) -> np.ndarray:
        return np.memmap(chunk / f"{name}.raw", dtype, "r", shape=(total, *shape))

    arrays = {
        "frames": mapped("frames", np.uint8, (size, size, 3)),
        "inverse_depth": mapped("inverse_depth", np.float16, (size // 2, size // 2)),
        "coarse": mapped("coarse", np.float16, (8, 8)),
        "poses": steps["poses"],
        "actions": steps["actions"],
    }
    spans = zip(steps["bounds"], steps["bounds"][1:], strict=False)
    return [
        SpatialEpisode(**{name: array[a:b] for name, array in arrays.items()}) for a, b in spans
    ]
