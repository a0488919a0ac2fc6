"""The depth network's part of a training: it learns from the depth that an engine rendered."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.memory.depth_network import DepthConfig, DepthNetwork, depth_loss
from worldsim.data.store import EpisodeStore
from worldsim.world.checkpoint import load_into, load_training, save_training

SAVED = 500  # steps between two savings


@dataclass(frozen=True, kw_only=True)
class DepthTraining:
    """steps of `batch` frames at rate `lr`, on frames of at most `episodes` episodes."""

    steps: int = 4000
    batch: int = 32
    lr: float = 2e-3
    episodes: int = 200


def train_depth(
    cfg: DepthConfig, plan: DepthTraining, store: EpisodeStore, path: Path, seed: int
) -> DepthNetwork:
    """A trained depth network; resumes and saves in `path`.

    Raises:
        ValueError: no episode of the store has depth.
    """
    torch.manual_seed(seed)
    network = DepthNetwork(cfg)
    optimiser = torch.optim.AdamW(network.parameters(), lr=plan.lr, weight_decay=0.01)
    done = 0
    if path.exists():
        state = load_training(path)
        load_into(network, state["network"], path)
        done = state["step"]
        if done < plan.steps:
            optimiser.load_state_dict(state["optimiser"])
    if done < plan.steps:
        frames, depths = frames_with_depth(store, plan.episodes)
        generator = torch.Generator().manual_seed(seed + done)
        for step in range(done, plan.steps):
            _set_rate(optimiser, plan, step)
            chosen = torch.randint(len(frames), (plan.batch,), generator=generator)
            pictures = frames[chosen].permute(0, 3, 1, 2).float() / 127.5 - 1
            loss = depth_loss(network, pictures, depths[chosen].float(), generator)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if (step + 1) % SAVED == 0 or step + 1 == plan.steps:
                print(f"depth {step + 1}/{plan.steps}  loss {loss.item():.4f}", flush=True)
                state = {"network": network.state_dict(), "step": step + 1}
                save_training(path, state | {"optimiser": optimiser.state_dict()})
    return network.requires_grad_(False).eval()


def _set_rate(optimiser: torch.optim.Optimizer, plan: DepthTraining, step: int) -> None:
    """Warm-up, constant for half of the steps, linear to zero."""
    for group in optimiser.param_groups:
        group["lr"] = plan.lr * min(1, (step + 1) / 100, 2 * (1 - step / plan.steps))


def frames_with_depth(store: EpisodeStore, most: int) -> tuple[Tensor, Tensor]:
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
