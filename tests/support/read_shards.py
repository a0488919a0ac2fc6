"""How fast episodes are read from files and from shards, in random order, in bytes as they lie.

python tests/support/read_shards.py FOLDER [EPISODES [FRAMES]]

Writes episodes of noise into FOLDER (300 frames are 1.2 MB, as large as the maze's), packs them,
and reads them after the system was told to forget them, and once more.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np

from worldsim.data.pack import pack
from worldsim.data.store import EpisodeStore
from worldsim.types import Episode, EpisodeMeta

SIDE = 64


def write_episodes(folder: Path, count: int, frames: int) -> None:
    """Episodes of a third of noise, which no packing makes smaller."""
    store = EpisodeStore(folder)
    for seed in range(len(store), count):
        rng = np.random.default_rng(seed)
        pictures = np.zeros((frames, SIDE, SIDE, 3), np.uint8)
        pictures[:, : SIDE // 3] = rng.integers(0, 256, (frames, SIDE // 3, SIDE, 3), np.uint8)
        meta = EpisodeMeta(source="noise", action_set="dmlab", fps=7.5, seed=seed)
        actions, rewards = np.zeros(frames - 1, np.int64), np.zeros(frames - 1, np.float32)
        store.append(Episode(frames=pictures, actions=actions, rewards=rewards, meta=meta))


def forget(folder: Path) -> None:
    """Tell the system to drop its copy of the files."""
    for path in folder.iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(folder: Path) -> tuple[float, float]:
    """Seconds to open the store, and to read each episode once."""
    begun = time.perf_counter()
    store = EpisodeStore(folder)
    opened = time.perf_counter() - begun
    order = np.random.default_rng(0).permutation(len(store))
    begun = time.perf_counter()
    for index in order:
        store.read_bytes(int(index))
    return opened, time.perf_counter() - begun


def main(folder: Path, count: int = 500, frames: int = 300) -> None:
    """Measure, the least of five times each."""
    write_episodes(folder / "files", count, frames)
    begun = time.perf_counter()
    made = list(pack(folder / "files", folder / "shards", 256 * 10**6))
    print(f"{len(made)} shards packed in {time.perf_counter() - begun:.1f} s")
    size = sum(EpisodeStore(folder / "files").sizes())
    for said in ("cold", "warm"):
        best = dict.fromkeys(("files", "shards"), (np.inf, np.inf))
        for name in [*best] * 5:
            if said == "cold":
                forget(folder / name)
            best[name] = tuple(map(min, best[name], measure(folder / name)))
        for name, (opened, took) in best.items():
            print(
                f"{said} {name}: store opened in {1e3 * opened:.1f} ms, {count / took:.0f} "
                f"episodes/s, {size / took / 1e6:.0f} MB/s",
                flush=True,
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
