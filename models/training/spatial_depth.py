"""The depth network's part of a training: it learns from the depth that an engine rendered."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.codec.patch_autoencoder import PatchAutoencoder
from models.memory.depth_network import DepthConfig, DepthNetwork
from models.training.depth_loss import depth_loss
from models.training.part import PartTraining
from worldsim.data.store import EpisodeStore
from worldsim.machine_speed import pick_precision


@dataclass(frozen=True, kw_only=True)
class DepthTraining:
    """steps of `batch` frames at rate `lr`, on frames of at most `episodes` episodes."""

    steps: int = 6000
    batch: int = 32
    lr: float = 2e-3
    episodes: int = 200


def train_depth(
    cfg: DepthConfig,
    plan: DepthTraining,
    codec: PatchAutoencoder,
    store: EpisodeStore,
    path: Path,
    seed: int,
    precision: str,
) -> DepthNetwork:
    """A trained depth network, where the codec is; resumes and saves in `path`. `precision`: see
    `worldsim.machine_speed.pick_precision`.

    Raises:
        ValueError: no episode of the store has depth.
    """
    torch.manual_seed(seed)
    device = codec.mean.device
    network = DepthNetwork(cfg).to(device)
    training = PartTraining("depth", "network", network, plan, path)
    if not training.is_done:
        frames, depths = read_frames_with_depth(store, plan.episodes)
        generator = torch.Generator().manual_seed(seed + training.step)

        def draw_loss() -> Tensor:
            chosen = torch.randint(len(frames), (plan.batch,), generator=generator)
            pictures = frames[chosen].to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
            target = depths[chosen].to(device).float()
            return depth_loss(network, codec, pictures, target, generator)

        training.run(draw_loss, steepness=2, precision=pick_precision(precision, device))
    return network.requires_grad_(False).eval()


def read_frames_with_depth(store: EpisodeStore, most: int) -> tuple[Tensor, Tensor]:
    """Frames uint8 `[N,H,W,3]` and depths `[N,n,n]` of the first episodes that have depth."""
    frames, depths = [], []
    for index in range(len(store)):
        if len(frames) == most:
            break
        episode = store[index]
        if episode.depths is not None:
            frames.append(episode.frames)
            depths.append(episode.depths)
    if not frames:
        raise ValueError(
            f"{store.folder} holds no episode with depth: collect with `worldsim collect --depth`"
        )
    return torch.from_numpy(np.concatenate(frames)), torch.from_numpy(np.concatenate(depths))


def hash_network(network: DepthNetwork) -> str:
    """Names what a depth network reads."""
    parts = (part.detach().cpu().numpy().tobytes() for part in network.state_dict().values())
    return hashlib.sha256(b"".join(parts)).hexdigest()
