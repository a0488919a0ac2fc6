"""An inverse-dynamics probe: a small network that tells from two successive frames which action
lies between them. It learns from the engine alone and then judges dreams.

Half of its pairs have been through the world's codec, so that it does not mind a codec's softness.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldsim.actions import ActionSet
from worldsim.types import Episode

SIDE = 32  # pixels it looks at
BATCH = 64
_CHUNK = 256


class Pairs(NamedTuple):
    """Frames before and after, uint8 `[N,H,W,3]`, and the action `[N]` between them."""

    before: np.ndarray
    after: np.ndarray
    actions: np.ndarray


class Probe(nn.Module):
    """Three convolutions and a linear layer over both frames and their difference."""

    def __init__(self, actions: int):
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(9, 32, 5, stride=2, padding=2), nn.ReLU()),
            *(nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU()),
            *(nn.Conv2d(64, 64, 3, stride=2, padding=1), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(64 * (SIDE // 8) ** 2, actions)),
        )

    def forward(self, both: Tensor) -> Tensor:
        """Scores `[N, actions]` of pictures `[N, 6, SIDE, SIDE]` in -1..1."""
        return self.layers(torch.cat((both, both[:, 3:] - both[:, :3]), dim=1))


def decidable(poses: np.ndarray, chosen: np.ndarray, actions: ActionSet) -> np.ndarray:
    """Which actions `[...,T]` can be told from the frames around them, by the poses `[...,T+1,3]`.

    Standing still can; so can what turned, or walked at least half a step. A push against a wall
    looks like standing still and counts for nothing.
    """
    moved = np.linalg.norm(np.diff(poses[..., :2], axis=-2), axis=-1)
    turned = np.diff(poses[..., 2], axis=-1)
    turned = np.abs((turned + np.pi) % (2 * np.pi) - np.pi) > 1e-3
    seen = turned | (moved > moved.max() / 2) & (moved > 1e-3)
    if actions.idle is None:
        return seen
    return seen | (chosen == actions.id(actions.idle)) & (moved < 1e-3)


def pairs_of(episodes: Sequence[Episode], actions: ActionSet) -> Pairs:
    """The decidable pairs of successive frames of episodes whose poses are known."""
    good = decidable(
        np.stack([e.poses for e in episodes]), np.stack([e.actions for e in episodes]), actions
    )
    return Pairs(
        np.concatenate([e.frames[:-1][g] for e, g in zip(episodes, good, strict=True)]),
        np.concatenate([e.frames[1:][g] for e, g in zip(episodes, good, strict=True)]),
        np.concatenate([e.actions[g] for e, g in zip(episodes, good, strict=True)]),
    )


def through(pairs: Pairs, codec: Callable[[np.ndarray], np.ndarray]) -> Pairs:
    """The same pairs as the codec shows them."""
    return Pairs(codec(pairs.before), codec(pairs.after), pairs.actions)


def train_probe(pairs: Sequence[Pairs], actions: int, epochs: int, seed: int = 0) -> Probe:
    """Train a probe; the same pairs and seed give the same probe."""
    inputs = torch.cat([_inputs(part) for part in pairs])
    labels = torch.from_numpy(np.concatenate([part.actions for part in pairs]))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = Probe(actions)
        steps = epochs * -(-len(labels) // BATCH)
        optimiser = torch.optim.AdamW(probe.parameters(), lr=2e-3, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=2e-3, total_steps=steps)
        for _ in range(epochs):
            for chosen in torch.randperm(len(labels)).split(BATCH):
                loss = F.cross_entropy(probe(inputs[chosen]), labels[chosen])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
    return probe.eval()


@torch.no_grad()
def guess(probe: Probe, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The actions `[...]` the probe sees between frames `[...,H,W,3]`."""
    pairs = Pairs(*(part.reshape(-1, *part.shape[-3:]) for part in (before, after)), None)
    return probe(_inputs(pairs)).argmax(dim=1).numpy().reshape(before.shape[:-3])


def _inputs(pairs: Pairs) -> Tensor:
    """Both pictures small and side by side, float32 `[N, 6, SIDE, SIDE]` in -1..1."""
    return torch.cat([_small(pairs.before), _small(pairs.after)], dim=1)


def _small(frames: np.ndarray) -> Tensor:
    chunks = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).split(_CHUNK)
    return torch.cat([F.adaptive_avg_pool2d(part.float(), SIDE) for part in chunks]) / 127.5 - 1
