"""The odometry's part of a training: how far actions carried, beside what memory then knew of the
surroundings. Minutes; needs no pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.memory.frame_bank import EMPTY, FrameBank
from models.memory.odometry import Odometry, OdometryConfig
from models.memory.pinhole import unproject
from models.memory.sizes import NOWHERE, PLACES
from models.memory.stood import places_of
from models.training.part import PartTraining
from models.training.spatial_cache import SpatialEpisode
from models.training.spatial_samples import mirror_actions, read_motion
from worldsim.actions import ActionSet
from worldsim.poses import relative_poses

CELLS = 64  # coarse points of a frame


@dataclass(frozen=True, kw_only=True)
class OdometryTraining:
    """steps of `batch` situations at rate `lr`; `memory`: frames remembered at most; `scaled`: by
    how much remembered depths are wrong; `jitter`: by how much their poses, in the unit of poses;
    `walking`: share of situations in which the body moves or wants to.
    """

    steps: int = 3000
    batch: int = 128
    lr: float = 2e-3
    memory: int = 64
    scaled: float = 0.04
    jitter: float = 0.01
    walking: float = 0.8


class Situations:
    """Draws scans, actions and the motions that followed."""

    def __init__(
        self,
        odometry: Odometry,
        episodes: Sequence[SpatialEpisode],
        actions: ActionSet,
        plan: OdometryTraining,
        seed: int,
    ):
        self.odometry, self.episodes, self.plan = odometry, episodes, plan
        self.mirrored = mirror_actions(actions)
        self.rng = np.random.default_rng([seed, 9])
        self.generator = torch.Generator().manual_seed(seed)
        self.moves = [np.flatnonzero(np.isin(e.actions, actions.walks)) for e in episodes]

    def draw(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Scans `[B,...]`, heights `[B]` that the motions before gained, actions `[B]`, motions
        `[B,3]`; half of them mirrored.
        """
        rows = [self._draw_row() for _ in range(self.plan.batch)]
        points, known, stood, newest, poses, climb, actions, motions = (
            torch.stack(part) for part in zip(*rows, strict=True)
        )
        bank = make_point_bank(points, known)
        scans = self.odometry.scan(bank, poses, newest, stood)
        flip = torch.rand(len(rows), generator=self.generator) < 0.5
        scans = torch.where(flip[:, None, None], scans.flip(1), scans)
        actions = torch.where(flip, self.mirrored[actions], actions)
        sign = torch.where(flip, -1.0, 1.0).unsqueeze(1) * torch.tensor([0.0, 1.0, 0.0])
        return scans, climb, actions, motions * (sign + torch.tensor([1.0, 0.0, 1.0]))

    def _draw_row(self) -> tuple[Tensor, ...]:
        rng, plan = self.rng, self.plan
        number = int(rng.integers(len(self.episodes)))
        episode, moves = self.episodes[number], self.moves[number]
        if len(moves) and rng.random() < plan.walking:
            target = int(rng.choice(moves))
        else:
            target = int(rng.integers(1, len(episode)))
        now = target - 1
        start = max(0, now - int(rng.choice([1, 8, 32, 128, 300])))
        frames = np.arange(start, now)
        if len(frames) > plan.memory:
            frames = np.sort(rng.choice(frames, plan.memory, replace=False))
        way = torch.from_numpy(relative_poses(episode.poses[start : now + 1]))
        poses = way[torch.from_numpy(np.append(frames, now) - start)]
        points, known = self._remember(episode, frames, poses[:-1])
        newest = torch.from_numpy(episode.inverse_depth[now].astype(np.float32))
        newest = newest * self._scale(1)[0]
        climb = read_motion(episode, now)[2] if now else torch.tensor(0.0)
        action = torch.tensor(int(episode.actions[target]))
        motion = read_motion(episode, target)
        stood = list_places(way, self.odometry.cfg)
        return points, known, stood, newest, poses[-1], climb, action, motion

    def _remember(
        self, episode: SpatialEpisode, frames: np.ndarray, poses: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Coarse points `[M,64,3]` of frames, seen from poses that are a little wrong, and which
        there are `[M]`.
        """
        count, plan = len(frames), self.plan
        points, known = torch.zeros(plan.memory, CELLS, 3), torch.zeros(plan.memory, dtype=bool)
        if count:
            inverse = torch.from_numpy(episode.coarse[frames].astype(np.float32))
            wrong = torch.randn(count, 4, generator=self.generator) * plan.jitter
            depth = 1 / (inverse * self._scale(count)[:, None, None])
            fov = self.odometry.field_of_view
            points[:count] = unproject(depth, poses + wrong, fov).flatten(1, 2)
            known[:count] = True
        return points, known

    def _scale(self, count: int) -> Tensor:
        return (1 + self.plan.scaled * torch.randn(count, generator=self.generator)).clamp(0.7, 1.4)


def list_places(way: Tensor, cfg: OdometryConfig) -> Tensor:
    """The places `[PLACES,3]` that `remember_places` holds after a walk of poses `[T,4]`, those
    that a scan at its end can meet.
    """
    passed = places_of(way)
    between = torch.cat((passed[:1], (passed[1:] + passed[:-1]) / 2))
    places = torch.stack((between, passed), dim=1).flatten(0, 1)
    # a place beyond is held or not by places that are about as far
    met = (places[:, :2] - passed[-1, :2]).norm(dim=1) < cfg.reach + 3 * cfg.radius
    held = np.full((PLACES, 3), NOWHERE, np.float32)
    count = 0
    for place in places[met].numpy():
        apart = np.square(held[: max(count, 1)] - place).sum(axis=1).min()
        if apart > (cfg.radius / 2) ** 2 and count < PLACES:
            held[count], count = place, count + 1
    return torch.from_numpy(held)


def make_point_bank(points: Tensor, known: Tensor) -> FrameBank:
    """A bank `[B,M]` that holds points alone."""
    nothing, poses = torch.zeros(*known.shape, 0), torch.zeros(*known.shape, 4)
    ids = torch.where(known, 0, EMPTY)
    fresh = torch.ones(points.shape[:-1])
    return FrameBank(nothing, nothing, poses, points, fresh, ids, known)


def train_odometry(
    odometry: Odometry,
    episodes: Sequence[SpatialEpisode],
    actions: ActionSet,
    plan: OdometryTraining,
    path: Path,
    seed: int,
) -> dict[str, float]:
    """Teach odometry; resumes and saves in `path`.

    Returns:
        Mean error in the unit of poses, and share of steps off by more than a tenth of the longest
        motion, on situations not learnt from.
    """
    apart = max(len(episodes) // 20, 1)
    training = PartTraining("odometry", "odometry", odometry, plan, path)
    # a run that resumes draws situations that it has not drawn before
    seen = episodes[apart:] or episodes
    learnt = Situations(odometry, seen, actions, plan, seed + training.step)
    if training.is_new:
        odometry.motions.copy_(find_prototypes(learnt, len(odometry.motions), seed))
    training.run(lambda: odometry_loss(odometry, *learnt.draw()), steepness=1.5)
    odometry.requires_grad_(False).eval()
    return measure_odometry(Situations(odometry, episodes[:apart], actions, plan, seed + 1))


def odometry_loss(
    odometry: Odometry, scans: Tensor, climb: Tensor, actions: Tensor, motions: Tensor
) -> Tensor:
    """Which prototype is nearest, and how far it is off."""
    logits, offered = odometry(scans, climb, actions)
    nearest = (odometry.motions - motions.unsqueeze(1)).square().sum(dim=2).argmin(dim=1)
    chosen = offered[torch.arange(len(actions)), nearest]
    scale = odometry.motions.abs().max().clamp(min=1e-3)
    error = ((chosen - motions) / scale).square().sum(dim=1)
    return F.cross_entropy(logits, nearest) + 20 * error.mean()


@torch.no_grad()
def measure_odometry(situations: Situations, batches: int = 8) -> dict[str, float]:
    """Errors of the most likely motions."""
    errors = []
    for _ in range(batches):
        scans, climb, actions, motions = situations.draw()
        told = situations.odometry.predict_motion(scans, climb, actions)
        errors.append((told - motions).norm(dim=1))
    error = torch.cat(errors)
    far = 0.1 * situations.odometry.motions.norm(dim=1).max()
    return {
        "odometry_error": error.mean().item(),
        "odometry_off": (error > far).float().mean().item(),
    }


def find_prototypes(situations: Situations, count: int, seed: int) -> Tensor:
    """Motions `[count,3]` that stand for all of the data: far apart, then moved by k-means."""
    rng = np.random.default_rng(seed)
    motions = []
    for number in rng.integers(len(situations.episodes), size=400):
        episode, moves = situations.episodes[number], situations.moves[number]
        motions += [read_motion(episode, int(i)) for i in rng.permutation(moves)[:16]]
    found = torch.stack(motions)
    found = torch.cat((found, found * torch.tensor([1.0, -1.0, 1.0])))
    centres = torch.zeros(count, 3)  # the first stays: no motion
    for index in range(1, count):  # the motion that is farthest from all that are there
        apart = torch.cdist(found, centres[:index]).amin(dim=1)
        centres[index] = found[apart.argmax()]
    for _ in range(30):
        nearest = torch.cdist(found, centres).argmin(dim=1)
        for index in range(1, count):
            mine = found[nearest == index]
            centres[index] = mine.median(dim=0).values if len(mine) else centres[index]
    return centres
