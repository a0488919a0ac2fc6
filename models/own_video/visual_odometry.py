"""Poses and depth of episodes without an engine: a depth network and a motion network that learn
together to show each frame from its neighbours (photometric.py).

The unit is not told by pictures: all is scaled so that a free step has the length `stride`. Turns
are those of the action set, since a memory in space counts on them; heights are not told.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.memory.depth_network import DepthConfig, DepthNetwork
from models.memory.odometry import compose_poses
from models.own_video.latent_actions import SIDE, shrink_frames
from models.own_video.motion_network import MotionNetwork
from models.own_video.photometric import Neighbours, photometric_loss
from models.training.part import PartTraining
from worldsim.actions import ActionSet
from worldsim.types import Episode

FREE = 0.5  # of the longest steps' length: beyond it a step was free
WALKING = 0.85  # share of drawn moments about which the body walks
SHORTEST, FARTHEST = 0.05, 30.0  # limits of depth in the unit of poses


@dataclass(frozen=True, kw_only=True)
class VisualOdometryConfig:
    """field_of_view: degrees of the square frames, either way; stride: the length of a free step in
    the unit of poses; fine, width, layers: of the depth network.
    """

    field_of_view: float
    stride: float = 0.38
    fine: int = 16
    width: int = 64
    layers: int = 2

    def __post_init__(self):
        if not 10 <= self.field_of_view <= 150:
            raise ValueError(f"field_of_view must be in [10, 150], got {self.field_of_view}")
        if not self.stride > 0:
            raise ValueError(f"stride must be above 0, got {self.stride}")


@dataclass(frozen=True, kw_only=True)
class VisualOdometryTraining:
    """steps of `batch` moments at rate `lr`."""

    steps: int = 6000
    batch: int = 16
    lr: float = 1e-3


class VisualOdometry(nn.Module):
    """Depth and motion of episodes of one frame size and action set."""

    def __init__(self, cfg: VisualOdometryConfig, actions: ActionSet, frame_size: int):
        super().__init__()
        self.cfg, self.frame_size = cfg, frame_size
        shape = {"fine": cfg.fine, "width": cfg.width, "layers": cfg.layers}
        limits = {"near": SHORTEST, "far": FARTHEST}
        self.depth = DepthNetwork(DepthConfig(frame_size=frame_size, **limits, **shape))
        self.motion = MotionNetwork(actions, cfg.stride)
        self.register_buffer("turns", torch.tensor(actions.turns), persistent=False)
        self.register_buffer("scale", torch.ones(()))

    def loss(self, frames: Tensor, actions: Tensor) -> Tensor:
        """Of moments: frames uint8 `[B,3,H,W,3]` and the actions `[B,2]` between them."""
        before, middle, after = (shrink_frames(part) for part in frames.unbind(1))
        pairs = torch.cat((before, middle)), torch.cat((middle, after))
        motions = self.motion(*pairs, actions.T.reshape(-1)).unflatten(0, (2, -1)).transpose(0, 1)
        logarithm = self.logarithm(frames[:, 1])
        maps = F.interpolate(logarithm.unsqueeze(1), (SIDE, SIDE), mode="area").squeeze(1)
        steps = Neighbours(before, middle, after, motions, self.turns[actions])
        return photometric_loss(steps, maps, self.cfg.field_of_view)

    def logarithm(self, frames: Tensor) -> Tensor:
        """Logarithm of inverse depth `[B,H/2,H/2]` of frames uint8 `[B,H,W,3]`, limited."""
        pictures = frames.permute(0, 3, 1, 2).float() / 127.5 - 1
        nearest, farthest = torch.tensor([1 / SHORTEST, 1 / FARTHEST]).log()
        return self.depth(pictures).clamp(farthest, nearest)

    @torch.no_grad()
    def measure(self, episode: Episode, batch: int = 64) -> tuple[Tensor, Tensor]:
        """Motions `[T,3]` and depths `[T+1,H/2,H/2]` of an episode, in the unit of poses."""
        frames = torch.from_numpy(episode.frames)
        actions, pictures = torch.from_numpy(episode.actions), shrink_frames(frames)
        parts = [part.split(batch) for part in (pictures[:-1], pictures[1:], actions)]
        motions = torch.cat([self.motion(*part) for part in zip(*parts, strict=True)])
        depths = torch.cat([(-self.logarithm(part)).exp() for part in frames.split(batch)])
        return motions * self.scale, depths * self.scale


class Moments(NamedTuple):
    """Frames uint8 `[N,H,W,3]` of episodes, the action int64 `[N]` that led to each, and the
    moments that have a frame before and after them: all, and those about which the body walks.
    """

    frames: Tensor
    actions: Tensor
    all: Tensor
    walking: Tensor

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Frames `[B,3,H,W,3]` around moments, and the actions `[B,2]` between them."""
        walking = torch.rand(count, generator=generator) < WALKING
        some = [
            choice[torch.randint(len(choice), (count,), generator=generator)]
            for choice in (self.walking, self.all)
        ]
        at = torch.where(walking, *some)
        around = torch.stack((at - 1, at, at + 1), dim=1)
        return self.frames[around], self.actions[around[:, 1:]]


def gather_moments(episodes: Sequence[Episode], actions: ActionSet) -> Moments:
    """The moments of episodes.

    Raises:
        ValueError: nobody walks in them.
    """
    bounds = [0, *itertools.accumulate(len(e.frames) for e in episodes)]
    led = np.concatenate([np.append(0, e.actions) for e in episodes])
    inner = np.concatenate([np.arange(a + 1, b - 1) for a, b in itertools.pairwise(bounds)])
    walks = np.isin(led, actions.walks)
    walking = inner[walks[inner] | walks[inner + 1]]
    if not len(walking):
        names = ", ".join(actions.names[i] for i in actions.walks)
        raise ValueError(f"episodes must hold steps that walk ({names}), got none.")
    frames = np.concatenate([e.frames for e in episodes])
    return Moments(*(torch.from_numpy(part) for part in (frames, led, inner, walking)))


def train_visual_odometry(
    model: VisualOdometry,
    plan: VisualOdometryTraining,
    moments: Moments,
    path: Path,
    seed: int,
) -> VisualOdometry:
    """Teach it; resumes and saves in `path`."""
    training = PartTraining("visual odometry", "model", model, plan, path)
    generator = torch.Generator().manual_seed(seed + training.step)
    training.run(lambda: model.loss(*moments.draw(plan.batch, generator)), steepness=3)
    return model.requires_grad_(False).eval()


def find_scale(model: VisualOdometry, episodes: Sequence[Episode]) -> float:
    """By how much motions and depths are to be multiplied so that a free step has its length."""
    lengths = torch.cat([model.measure(e)[0].norm(dim=1) for e in episodes])
    longest = lengths[lengths > 0].quantile(0.9)
    return float(model.cfg.stride / lengths[lengths > FREE * longest].median())


def add_up(motions: Tensor, turns: Tensor) -> np.ndarray:
    """Poses float32 `[T+1,3]` after motions `[T,3]` and turns `[T]`, from the origin."""
    poses = [torch.zeros(1, 4, dtype=torch.float64)]
    for motion, turn in zip(motions.double(), turns.double(), strict=True):
        poses.append(compose_poses(poses[-1], motion.unsqueeze(0), turn.unsqueeze(0)))
    return torch.cat(poses)[:, :3].numpy().astype(np.float32)
