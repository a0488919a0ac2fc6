"""The cache of a training with a memory in space: the same from shards as from episode files, and
new episodes become new chunks.
"""

import numpy as np
import pytest
import torch

from models.memory.depth_network import DepthConfig, DepthNetwork
from models.spatial.config import MemoryConfig
from models.training.spatial_cache import cached_episodes
from models.training.spatial_samples import SampleConfig, SampleDrawer
from tests.support.room_walks import walk_room
from worldsim.actions import load_actions
from worldsim.data.pack import pack
from worldsim.data.store import EpisodeStore
from worldsim.types import Episode, EpisodeMeta

SIZE = 32


def store_walks(folder, seeds) -> EpisodeStore:
    store = EpisodeStore(folder)
    for seed in seeds:
        walk = walk_room(36, SIZE, seed)
        meta = EpisodeMeta(source="Maze-v0", action_set="dmlab", fps=7.5, seed=seed)
        told = {"frames": walk.frames, "actions": walk.actions[1:].astype(np.int64)}
        told |= {"rewards": np.zeros(35, np.float32), "poses": walk.poses[:, :3]}
        store.append(Episode(**told, meta=meta))
    return store


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return DepthNetwork(DepthConfig(frame_size=SIZE, fine=8, width=32, layers=1, heads=2)).eval()


def test_shards_give_the_same_samples(network, tmp_path):
    files = store_walks(tmp_path / "files", range(3))
    list(pack(files.folder, tmp_path / "shards", 10**5))
    packed = EpisodeStore(tmp_path / "shards")
    caches = [
        cached_episodes(store, network, "seed 0", tmp_path / name)
        for store, name in ((files, "one"), (packed, "other"))
    ]
    assert len(caches[0]) == len(caches[1]) == 3
    for ours, theirs in zip(*caches, strict=True):
        assert all(np.array_equal(part, vars(theirs)[name]) for name, part in vars(ours).items())
    given = load_actions("dmlab"), MemoryConfig(slots=24, sources=3, window=1, keyframes=2)
    cfg = SampleConfig(lengths=(6, 30), candidates=12, coarse=3)
    draws = [SampleDrawer(cache, *given, cfg, 30.0, 0) for cache in caches]
    for _ in range(3):
        ours, theirs = (drawer.draw(8) for drawer in draws)
        for name, part in ours._asdict().items():
            pairs = zip(list(part), list(getattr(theirs, name)), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs), name


def test_nothing_is_encoded_twice(network, tmp_path):
    store = store_walks(tmp_path / "files", range(2))
    cached_episodes(store, network, "seed 0", tmp_path / "cache")
    chunks = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    list(pack(store.folder, tmp_path / "shards", 10**6))
    store_walks(tmp_path / "more", [5])
    list(pack(tmp_path / "more", tmp_path / "shards", 10**6))
    found = cached_episodes(
        EpisodeStore(tmp_path / "shards"), network, "seed 0", tmp_path / "cache"
    )
    assert len(found) == 3
    assert all(path.stat().st_mtime_ns == made for path, made in chunks.items())
    assert len(list((tmp_path / "cache").iterdir())) == len(chunks) + 1
