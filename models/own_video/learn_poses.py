"""Poses and depth learnt from frames and actions alone, by turns.

The motion that is typical of each action comes first (first_motions.py). By these a depth network
learns what makes frames explain each other (photometric.py); by its depth every step gets a motion
of its own (align_motions.py), by which the network learns on. Nothing says how large a place is:
the stride that is typical of the action that goes farthest is said to be `stride` units of poses.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.memory.depth_network import DepthConfig, DepthNetwork
from models.memory.odometry import compose_poses
from models.own_video.align_motions import CLIMBING, PLANAR, align_motions
from models.own_video.first_motions import (
    find_moved,
    find_stride,
    find_typical_motions,
    make_tunnel,
)
from models.own_video.photometric import PhotometricLoss
from models.training.part import PartTraining
from worldsim.types import Episode

SIDE = 64  # pixels a side at which all is learnt
FIRST = 0.06  # share of the training in which the network learns a tunnel
TOGETHER = 0.15  # of a stride, and of RADIANS, within which steps of an action are the same
RADIANS = 0.2
OTHER = 1.5  # how many times the error counts of a step that looks like another action


@dataclass(frozen=True, kw_only=True)
class PoseConfig:
    """What is learnt.

    Attributes:
        field_of_view: of the camera, degrees, of the square that a frame shows.
        stride: how long the typical step of the action that goes farthest is to be, in the unit
            of poses.
        climb: whether the camera may also rise and fall.
        alike: whether steps that are nearly the typical one of their action are made it.
        depth: the network's shape.
        loss: how frames are compared.
    """

    field_of_view: float = 73.0
    stride: float = 0.38
    climb: bool = False
    alike: bool = True
    depth: DepthConfig = field(default_factory=lambda: DepthConfig(fine=16, width=64, layers=2))
    loss: PhotometricLoss = field(default_factory=PhotometricLoss)

    def __post_init__(self):
        if not 20 <= self.field_of_view <= 150:
            raise ValueError(
                f"the field of view must be in [20, 150] degrees, got {self.field_of_view:g}."
            )
        if not self.stride > 0:
            raise ValueError(f"the stride must be more than 0, got {self.stride:g}.")

    @property
    def free(self) -> tuple[int, ...]:
        """Which numbers of a motion (ahead, left, turn, up) are found."""
        return CLIMBING if self.climb else PLANAR


@dataclass(frozen=True, kw_only=True)
class PoseTraining:
    """steps of `clips` short clips of `length` frames at rate `lr`; steps have motions of their own
    from the shares `aligned` of the training on, and pictures are compared at full size from `fine`
    on.
    """

    steps: int = 2000
    clips: int = 8
    length: int = 4
    lr: float = 2e-3
    aligned: tuple[float, ...] = (0.3, 0.6)
    fine: float = 0.8


class Walks:
    """The frames of some episodes: pictures uint8 `[N,3,SIDE,SIDE]`; the action that led to each,
    int64 `[N]`, -1 for the first of an episode.
    """

    def __init__(self, episodes: Sequence[Episode]):
        self.pictures = torch.cat([shrink_frames(episode.frames) for episode in episodes])
        led = [torch.from_numpy(np.append(-1, episode.actions)) for episode in episodes]
        self.actions = torch.cat(led)
        self.lengths = [len(episode.frames) for episode in episodes]
        self.steps = (self.actions >= 0).nonzero().flatten()  # frames that have one before

    @property
    def pairs(self) -> Tensor:
        """Pictures before and after every step, `[2,S,3,SIDE,SIDE]`."""
        return torch.stack((self.pictures[self.steps - 1], self.pictures[self.steps]))

    def split(self, values: Tensor) -> list[Tensor]:
        """Values `[N,...]` of all frames by episode."""
        return list(values.split(self.lengths))


def shrink_frames(frames: np.ndarray) -> Tensor:
    """Frames uint8 `[T,H,H,3]` as pictures uint8 `[T,3,SIDE,SIDE]`."""
    pictures = torch.from_numpy(frames).permute(0, 3, 1, 2)
    if pictures.shape[-1] == SIDE:
        return pictures.contiguous()
    parts = [torch.nn.functional.interpolate(p.float(), size=SIDE, mode="area") for p in
             pictures.split(256)]  # fmt: skip
    return torch.cat(parts).round().to(torch.uint8)


class PoseLearner:
    """A depth network, the typical motion of each action `[A,4]`, and what they are learnt with.

    Args:
        cfg: what is learnt.
        plan: how long.
        actions: size of the action set.
        path: the network's file; learning goes on from it.
        seed: of everything drawn.
    """

    def __init__(self, cfg: PoseConfig, plan: PoseTraining, actions: int, path: Path, seed: int):
        self.cfg, self.plan, self.count, self.seed = cfg, plan, actions, seed
        torch.manual_seed(seed)
        self.network = DepthNetwork(cfg.depth)
        self.register(torch.zeros(actions, 4))
        self.training = PartTraining("poses", "network", self.network, plan, path)
        self.generator = torch.Generator().manual_seed(seed + self.training.step)

    def register(self, typical: Tensor) -> None:
        """Keep typical motions beside the network's weights, in its file."""
        self.network.register_buffer("typical", typical)

    @property
    def typical(self) -> Tensor:
        """The typical motion of each action `[A,4]`, in the unit of poses."""
        return self.network.typical

    def learn(self, walks: Walks) -> None:
        """Learn from walks to the end."""
        if self.training.is_done:
            return
        before, after = walks.pairs
        taken = walks.actions[walks.steps]
        if self.training.is_new:
            found = find_typical_motions(
                before, after, taken, self.count, self.cfg.field_of_view, self.seed
            )
            self.tunnel_width = self.cfg.stride / find_stride(found)
            scale = torch.tensor([self.tunnel_width, self.tunnel_width, 1.0, self.tunnel_width])
            self.typical.copy_(found * scale)
        motions = self.typical[taken] * find_moved(before, after).unsqueeze(1)
        done = self.training.step / self.plan.steps
        self.due = [share for share in self.plan.aligned if share > done]
        if len(self.due) < len(self.plan.aligned):  # goes on after some of the alignments
            motions = self.align(walks)
        self.place(walks, motions)
        self.training.run(lambda: self.draw_loss(walks), steepness=2)

    def place(self, walks: Walks, motions: Tensor) -> None:
        """Poses `[N,4]` of all frames by the motions of steps `[S,4]`, and where clips may start:
        where somebody walks.
        """
        whole = torch.zeros(len(walks.pictures), 4)
        whole[walks.steps] = motions
        self.poses = torch.cat([chain_motions(part) for part in walks.split(whole)])
        walked = (whole[:, [0, 1, 3]].norm(dim=1) > self.cfg.loss.baseline).long()
        total = torch.cat((walked.new_zeros(1), walked.cumsum(0)))
        length = self.plan.length
        starts = torch.arange(len(whole) - length + 1)
        number = torch.repeat_interleave(torch.arange(len(walks.lengths)),
                                         torch.tensor(walks.lengths))  # fmt: skip
        same = number[starts] == number[starts + length - 1]
        self.starts = starts[same & (total[starts + length] > total[starts + 1])]

    def draw_loss(self, walks: Walks) -> Tensor:
        """The loss of the next clips."""
        share = self.training.step / self.plan.steps
        if self.due and share >= self.due[0]:
            self.due.pop(0)
            self.place(walks, self.align(walks))
        chosen = self.starts[
            torch.randint(len(self.starts), (self.plan.clips,), generator=self.generator)
        ]
        frames = chosen.unsqueeze(1) + torch.arange(self.plan.length)
        pictures, poses = walks.pictures[frames], self.poses[frames]
        inverse = self.network(pictures.flatten(0, 1).float() / 127.5 - 1)
        if share < FIRST:
            tunnel = make_tunnel(self.cfg.depth.size, self.cfg.field_of_view) * self.tunnel_width
            return (inverse + tunnel.log()).abs().mean()
        depth = self.cfg.depth
        inverse = inverse.clamp(-np.log(depth.far), -np.log(depth.near)).exp()
        side = SIDE if share >= self.plan.fine else SIDE // 2
        inverse = inverse.unflatten(0, frames.shape)
        return self.cfg.loss(inverse, pictures, poses, side, self.cfg.field_of_view)

    @torch.no_grad()
    def align(self, walks: Walks) -> Tensor:
        """The motion of every step `[S,4]`; corrects typical motions, and the scale of all."""
        motions = self.find_motions(walks)
        taken = walks.actions[walks.steps]
        typical = find_alike(motions, taken, self.typical, self.cfg.stride)
        scale = self.cfg.stride / typical[:, :2].norm(dim=1).max().clamp(min=1e-3)
        by = torch.tensor([scale, scale, 1.0, scale])
        self.typical.copy_(typical * by)
        self.network.out.bias -= scale.log()  # logarithm of inverse depth
        motions = motions * by
        return self.make_alike(motions, taken) if self.cfg.alike else motions

    def find_motions(self, walks: Walks) -> Tensor:
        """The motion of every step `[S,4]` by the depth of its frames."""
        taken = walks.actions[walks.steps]
        own = self.typical[taken]
        aside = torch.zeros_like(own)
        aside[:, 1] = own[:, 0] / 2
        alike = [own, own / 2, own / 2 + aside, own / 2 - aside, torch.zeros_like(own)]
        others = list(self.typical.unsqueeze(1).expand(-1, len(own), -1))
        starts = torch.stack(alike + others)
        doubts = torch.tensor([1.0] * len(alike) + [OTHER] * len(others))
        inverse = self.read_depth(walks.pictures)
        inverse = torch.stack((inverse[walks.steps - 1], inverse[walks.steps]))
        settings = self.cfg.free, self.cfg.field_of_view
        return align_motions(walks.pairs, inverse, starts, doubts, *settings)

    def make_alike(self, motions: Tensor, taken: Tensor) -> Tensor:
        """Motions `[S,4]` of which those that are nearly typical of their action are so."""
        typical = self.typical[taken]
        near = find_near(motions, typical, self.cfg.stride)
        return torch.where(near.unsqueeze(1), typical, motions)

    @torch.inference_mode()
    def read_depth(self, pictures: Tensor) -> Tensor:
        """Inverse depth `[N,n,n]` of pictures uint8 `[N,3,SIDE,SIDE]`."""
        parts = [self.network.inverse_depth(p.float() / 127.5 - 1) for p in pictures.split(64)]
        return torch.cat(parts)

    def tell(self, walks: Walks) -> tuple[Tensor, Tensor]:
        """Poses `[N,4]` and inverse depth `[N,n,n]` of walks, after learning."""
        motions, whole = self.find_motions(walks), torch.zeros(len(walks.pictures), 4)
        if self.cfg.alike:
            motions = self.make_alike(motions, walks.actions[walks.steps])
        whole[walks.steps] = motions
        poses = torch.cat([chain_motions(part) for part in walks.split(whole)])
        return poses, self.read_depth(walks.pictures)


def chain_motions(motions: Tensor) -> Tensor:
    """Poses `[T,4]` of an episode's frames by the motion that led to each `[T,4]`, from 0."""
    pose, poses = torch.zeros(1, 4, dtype=torch.float64), []
    for ahead, left, turn, up in motions.double():
        moved = torch.stack((ahead, left, up)).unsqueeze(0)
        pose = compose_poses(pose, moved, turn.unsqueeze(0))
        poses.append(pose)
    return torch.cat(poses).float()


def find_near(motions: Tensor, typical: Tensor, stride: float) -> Tensor:
    """Which motions `[S,4]` are nearly others `[S,4]`, bool `[S]`."""
    off = (motions - typical).abs()
    return (off[:, [0, 1, 3]].norm(dim=1) < TOGETHER * stride) & (off[:, 2] < TOGETHER * RADIANS)


def find_alike(motions: Tensor, taken: Tensor, typical: Tensor, stride: float) -> Tensor:
    """The typical motion of each action `[A,4]`: the median of its steps that are near the one
    before; that one, where there are few.
    """
    found = typical.clone()
    for action in range(len(typical)):
        mine = motions[taken == action]
        for width in (4.0, 2.0, 1.0):  # the first guess is rough
            near = mine[find_near(mine / width, found[action] / width, stride)]
            if len(near) > 4:
                found[action] = near.median(dim=0).values
    return found
