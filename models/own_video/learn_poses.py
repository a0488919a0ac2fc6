"""Poses and depth learnt from frames and actions alone, by turns.

The motion that is typical of each action comes first (first_motions.py). By these, trial tells the
depth of clear places (plane_sweep.py), and a depth network learns from that and from what makes
frames explain each other (photometric.py); by its depth every step gets a motion of its own
(align_motions.py), and so on. Nothing says how large a place is:
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
from models.own_video.align_motions import (
    CLIMB,
    STRIDES,
    TURN,
    align_motions,
    measure_motions,
)
from models.own_video.first_motions import find_moved, find_stride, find_typical_motions
from models.own_video.photometric import PhotometricLoss, measure_bending
from models.own_video.plane_sweep import SIDE as HINTED
from models.own_video.plane_sweep import sweep_depth
from models.own_video.warp import resize_maps, resize_pictures
from models.training.part import PartTraining
from worldsim.types import Episode

SIDE = 64  # pixels a side at which all is learnt
CLEARER = 0.75  # of the error of the typical motion, which a motion of its own must stay below
# What may be left of a stride along a wall, ahead and to the left: where motions are begun from.
SLIDES = (
    *((1.0, 0.0), (0.5, 0.0), (0.0, 0.0)),
    *((0.8, 0.4), (0.5, 0.5), (0.25, 0.4), (0.8, -0.4), (0.5, -0.5), (0.25, -0.4)),
)
HINTS = 0.2  # weight of what trial tells, where pictures are compared
OTHER = 2.0  # how many times the error counts of a step that looks like another action


@dataclass(frozen=True, kw_only=True)
class PoseConfig:
    """What is learnt.

    Attributes:
        field_of_view: of the camera, degrees, of the square that a frame shows.
        stride: how long the typical step of the action that goes farthest is to be, in the unit
            of poses.
        climb: whether the camera may also rise and fall.
        free_turns: whether a step may turn otherwise than is typical of its action: what stands in
            the way stops strides and turns nobody.
        mixed: whether an action may do now and then what is typical of another, as codes do.
        depth: the network's shape.
        loss: how frames are compared.
    """

    field_of_view: float = 73.0
    stride: float = 0.38
    climb: bool = False
    free_turns: bool = False
    mixed: bool = False
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
        return (*STRIDES, *[TURN] * self.free_turns, *[CLIMB] * self.climb)


@dataclass(frozen=True, kw_only=True)
class PoseTraining:
    """steps of `clips` short clips of `length` frames at rate `lr`; steps have motions of their own
    from the shares `aligned` of the training on, and pictures are compared from `photometric` on.
    """

    steps: int = 1000
    clips: int = 8
    length: int = 4
    lr: float = 2e-3
    aligned: tuple[float, ...] = (0.35,)
    photometric: float = 0.65


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


class PoseNetwork(DepthNetwork):
    """A depth network, and in its file what is learnt beside its weights: `typical`, the motion of
    each action `[A,4]` in the unit of poses; and by what: `camera`, field of view and stride.
    """

    def __init__(self, cfg: PoseConfig, actions: int):
        super().__init__(cfg.depth)
        self.register_buffer("typical", torch.zeros(actions, 4))
        self.register_buffer("camera", torch.tensor([cfg.field_of_view, cfg.stride]))


class PoseLearner:
    """A depth network, the typical motion of each action `[A,4]`, and what they are learnt with.

    Args:
        cfg: what is learnt.
        plan: how long.
        actions: size of the action set.
        path: the network's file; learning goes on from it.
        seed: of everything drawn.

    Raises:
        ValueError: the file was begun with another camera.
    """

    def __init__(self, cfg: PoseConfig, plan: PoseTraining, actions: int, path: Path, seed: int):
        self.cfg, self.plan, self.count, self.seed = cfg, plan, actions, seed
        torch.manual_seed(seed)
        self.network = PoseNetwork(cfg, actions)
        self.training = PartTraining("poses", "network", self.network, plan, path)
        self.generator = torch.Generator().manual_seed(seed + self.training.step)
        given = torch.tensor([cfg.field_of_view, cfg.stride])
        if not torch.equal(self.network.camera, given):
            fov, stride = self.network.camera.tolist()
            raise ValueError(
                f"{path} must be gone on with by its field of view {fov:g} and stride {stride:g}, "
                f"got {cfg.field_of_view:g} and {cfg.stride:g}: give these, or another target."
            )

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
            width = self.cfg.stride / find_stride(found)
            self.typical.copy_(found * torch.tensor([width, width, 1.0, width]))
        motions = self.typical[taken] * find_moved(before, after).unsqueeze(1)
        done = self.training.step / self.plan.steps
        self.due = [share for share in self.plan.aligned if share > done]
        if len(self.due) < len(self.plan.aligned):  # goes on after some of the alignments
            motions = self.find_motions(walks)
        self.place(walks, motions)
        self.training.run(lambda: self.draw_loss(walks), steepness=2)

    def place(self, walks: Walks, motions: Tensor) -> None:
        """Poses `[N,4]` of all frames by the motions of steps `[S,4]`, and where clips may start:
        where somebody walks.
        """
        whole = torch.zeros(len(walks.pictures), 4)
        whole[walks.steps] = motions
        self.poses = torch.cat([chain_motions(part) for part in walks.split(whole)])
        small = torch.cat([resize_pictures(p, HINTED) for p in walks.pictures.split(512)])
        hints = sweep_depth(
            small, self.poses, walks.lengths, self.cfg.stride, self.cfg.field_of_view
        )
        self.hints = [part.half() for part in hints]
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
            self.place(walks, self.find_motions(walks))
        chosen = self.starts[
            torch.randint(len(self.starts), (self.plan.clips,), generator=self.generator)
        ]
        frames = chosen.unsqueeze(1) + torch.arange(self.plan.length)
        pictures, poses = walks.pictures[frames], self.poses[frames]
        hint, trust = (part[frames.flatten()].float() for part in self.hints)
        if torch.rand((), generator=self.generator) < 0.5:  # the world in a mirror
            pictures, hint, trust = (part.flip(-1) for part in (pictures, hint, trust))
            poses = poses * torch.tensor([1.0, -1.0, -1.0, 1.0])
        inverse = self.network(pictures.flatten(0, 1).float() / 127.5 - 1)
        depth = self.cfg.depth
        loss = heed_hints(inverse, hint, trust)
        inverse = inverse.clamp(-np.log(depth.far), -np.log(depth.near)).exp()
        if share < self.plan.photometric:
            return loss + self.cfg.loss.flatness * measure_bending(inverse, pictures.flatten(0, 1))
        inverse = inverse.unflatten(0, frames.shape)
        shown = self.cfg.loss(inverse, pictures, poses, HINTED, self.cfg.field_of_view)
        return HINTS * loss + shown

    @torch.no_grad()
    def find_motions(self, walks: Walks) -> Tensor:
        """The motion of every step `[S,4]` by the depth of its frames: that of its action, unless
        another one explains them clearly better.
        """
        taken = walks.actions[walks.steps]
        own = self.typical[taken]
        aside = torch.zeros_like(own)
        aside[:, 1] = own[:, 0]
        alike = [ahead * own + left * aside for ahead, left in SLIDES]
        others = list(self.typical.unsqueeze(1).expand(-1, len(own), -1)) * self.cfg.mixed
        starts = torch.stack(alike + others)
        doubts = torch.tensor([1.0] * len(alike) + [OTHER] * len(others))
        inverse = self.read_depth(walks.pictures)
        inverse = torch.stack((inverse[walks.steps - 1], inverse[walks.steps]))
        fov, pairs = self.cfg.field_of_view, walks.pairs
        found = align_motions(pairs, inverse, starts, doubts, self.cfg.free, fov)
        error, typical = (measure_motions(pairs, inverse, m, fov) for m in (found, own))
        return torch.where((error < CLEARER * typical).unsqueeze(1), found, own)

    @torch.inference_mode()
    def read_depth(self, pictures: Tensor) -> Tensor:
        """Inverse depth `[N,n,n]` of pictures uint8 `[N,3,SIDE,SIDE]`."""
        parts = [self.network.inverse_depth(p.float() / 127.5 - 1) for p in pictures.split(64)]
        return torch.cat(parts)

    def tell(self, walks: Walks) -> tuple[Tensor, Tensor]:
        """Poses `[N,4]` and inverse depth `[N,n,n]` of walks, after learning."""
        whole = torch.zeros(len(walks.pictures), 4)
        whole[walks.steps] = self.find_motions(walks)
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


def heed_hints(logarithm: Tensor, hint: Tensor, trust: Tensor) -> Tensor:
    """How far the logarithm of inverse depth `[N,n,n]` is from hints `[N,m,m]`, as far as these can
    be trusted `[N,m,m]`.
    """
    off = (resize_maps(logarithm, hint.shape[-1]) - hint).abs()
    return (off * trust).sum() / trust.sum().clamp(min=1)
