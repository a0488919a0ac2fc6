"""What every training with a memory in space has beside its network: depth network and cache, the
processes that draw samples, odometry.
"""

import functools
from pathlib import Path

import torch
from torch import nn

from models.memory.depth_network import DepthNetwork
from models.memory.odometry import Odometry
from models.spatial.config import MemoryConfig
from models.training.prefetch import RoundRobin
from models.training.spatial_cache import SpatialEpisode, cached_episodes
from models.training.spatial_config import SpatialConfig
from models.training.spatial_depth import hash_network, train_depth
from models.training.spatial_odometry import train_odometry
from models.training.spatial_samples import SampleConfig, open_drawer
from models.training.videoar_spatial_config import VideoARSpatialConfig
from worldsim.actions import load_actions
from worldsim.data.store import EpisodeStore

SpaceTraining = SpatialConfig | VideoARSpatialConfig


def prepare_depth(
    cfg: SpaceTraining, store: EpisodeStore, codec: nn.Module, out: Path
) -> tuple[DepthNetwork, list[SpatialEpisode]]:
    """The depth network, and the episodes with the depth that it reads off them."""
    settings = cfg.depth, cfg.depth_training, codec, store
    depth = train_depth(*settings, out / "depth.pt", cfg.seed, cfg.training.precision)
    return depth, cached_episodes(store, depth, hash_network(depth), Path(cfg.data.cache))


def open_drawers(
    cfg: SpaceTraining, memory: MemoryConfig, samples: SampleConfig, seed: int, batch: int
) -> RoundRobin:
    """What draws samples of memories, in processes of their own."""
    settings = load_actions(cfg.action_set), memory, samples, cfg.depth.far
    make = functools.partial(open_drawer, Path(cfg.data.cache), *settings)
    seeds = range(seed, seed + samples.workers)
    return RoundRobin([functools.partial(make, seed) for seed in seeds], batch)


def teach_odometry(
    cfg: SpaceTraining, episodes: list[SpatialEpisode], out: Path
) -> tuple[Odometry, dict[str, float]]:
    """Odometry, and its errors; learns where it has not learnt yet."""
    torch.manual_seed(cfg.seed)
    actions = load_actions(cfg.action_set)
    odometry = Odometry(cfg.odometry, actions.turns, cfg.memory.field_of_view)
    plan, path = cfg.odometry_training, out / "odometry.pt"
    return odometry, train_odometry(odometry, episodes, actions, plan, path, cfg.seed)
