"""Training samples of a dynamics with a memory in space: single frames, each with what a damaged
memory shows of it.

A sample is one target frame; its view is rendered from a random stretch of the episode before it,
as play would render it, then damaged as dreams are: wrong poses and depths, lost or false sources,
forgotten strips, noise and blur. The share that is not seen is spread over 0 to 1: walkers alone
leave small holes and would never teach painting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.memory.coverage import select_keyframes
from models.memory.frame_bank import COARSE, EMPTY, FrameBank
from models.memory.odometry import motion_between
from models.memory.pinhole import unproject
from models.memory.renderer import MemoryView, render
from models.spatial.config import MemoryConfig
from models.training.spatial_cache import SpatialEpisode, open_episodes
from worldsim.actions import ActionSet
from worldsim.poses import relative_poses

OF_GROUPS = ("fine", "fine_poses", "coarse", "coarse_poses", "coarse_known")
MOST_WORKERS = 256  # less than what the seeds of two training processes are apart


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """How memories of training samples are drawn and damaged.

    Attributes:
        lengths: frames of memory before the target, one of them at random.
        candidates: at most so many frames of it are in the bank.
        coarse: context frames given as coarse tokens.
        strips: share of samples of which a vertical strip or rectangle is forgotten.
        blank: share without any view.
        jitter, scaled, lost, false: share of samples with wrong poses, wrong depths, lost sources,
            and of sources that are from elsewhere.
        group: targets that share their context frames, whose encoding costs more than a target.
        ahead: how many frames later than the first the other targets of a group are, at most.
        stride: a whole step, in the unit of poses; 5 % of wrong poses are off by it.
        speckled: share of samples that lose scattered small places, as where depths disagree.
        noisy, blurred: share of views with noise up to 0.2, and of blurred ones.
        workers: processes that draw samples, each with a seed of its own, of every training
            process; another number draws other samples.
    """

    lengths: tuple[int, ...] = (8, 24, 72, 144, 300)
    candidates: int = 96
    coarse: int = 6
    strips: float = 0.55
    blank: float = 0.1
    jitter: float = 0.3
    scaled: float = 0.3
    lost: float = 0.3
    false: float = 0.02
    group: int = 2
    ahead: int = 12
    stride: float = 0.38
    speckled: float = 0.3
    noisy: float = 0.4
    blurred: float = 0.2
    workers: int = 1

    def __post_init__(self):
        if not 1 <= self.workers <= MOST_WORKERS:
            raise ValueError(f"workers must be in [1, {MOST_WORKERS}], got {self.workers}")


class Samples(NamedTuple):
    """B targets and what they are made from.

    frames uint8 `[B,H,W,3]`; view of memory; poses `[B,4]`, motions `[B,3]`, actions `[B]` of the
    targets; fine, coarse: context frames uint8 `[B/G,R,H,W,3]` of every group of G targets, their
    poses `[B/G,R,4]`; which fine ones a target sees, bool `[B,R]`; which coarse ones there are,
    bool `[B/G,R]`.
    """

    frames: Tensor
    view: MemoryView
    poses: Tensor
    motions: Tensor
    actions: Tensor
    fine: Tensor
    fine_poses: Tensor
    fine_known: Tensor
    coarse: Tensor
    coarse_poses: Tensor
    coarse_known: Tensor

    def to(self, device: torch.device) -> "Samples":
        """The same on a device."""
        view = MemoryView(*(part.to(device) for part in self.view))
        parts = {n: part.to(device) for n, part in self._asdict().items() if n != "view"}
        return Samples(view=view, **parts)

    def pick(self, rows: Tensor, groups: Tensor) -> "Samples":
        """The targets `rows` `[R]` alone, each with the context frames of its group `[R]`."""
        view = MemoryView(*(part[rows] for part in self.view))
        parts = {n: part for n, part in self._asdict().items() if n != "view"}
        picked = {n: part[groups if n in OF_GROUPS else rows] for n, part in parts.items()}
        return Samples(view=view, **picked)


class SampleDrawer:
    """Draws samples from episodes.

    Args:
        episodes: to learn from.
        actions: their action set.
        memory: how play renders its views.
        cfg: how memories are damaged.
        far: depth beyond which all is equally far.
        seed: of everything drawn.
    """

    def __init__(
        self,
        episodes: Sequence[SpatialEpisode],
        actions: ActionSet,
        memory: MemoryConfig,
        cfg: SampleConfig,
        far: float,
        seed: int,
    ):
        self.episodes, self.memory, self.cfg, self.far = episodes, memory, cfg, far
        self.mirrored = mirror_actions(actions)
        self.rng = np.random.default_rng(seed)
        self.torch_rng = torch.Generator().manual_seed(seed)

    def state_dict(self) -> dict:
        """Where the random numbers stand."""
        return {"numpy": self.rng.bit_generator.state, "torch": self.torch_rng.get_state()}

    def load_state_dict(self, state: dict) -> None:
        """Inverse of state_dict."""
        self.rng.bit_generator.state = state["numpy"]
        self.torch_rng.set_state(state["torch"])

    def draw(self, batch: int) -> Samples:
        """The next `batch` samples, a whole number of groups, mirrored half of the time."""
        rows = [row for _ in range(batch // self.cfg.group) for row in self._draw_group()]
        sources = [self._gather(row) for row in rows]
        bank = stack_banks([bank for bank, _ in sources])
        poses = torch.stack([target for _, target in sources])
        slots = select_keyframes(bank, poses, self.memory.sources, self.memory.field_of_view)
        view = self._render(rows, bank, slots, poses)
        return self._mirror(self._assemble(rows, bank, slots, poses, view))

    def _draw_group(self) -> list[tuple[SpatialEpisode, int, np.ndarray]]:
        """An episode, a target's number, and the numbers of the frames in memory: of each target
        of a group, in order.
        """
        episode, first, frames = self._draw_row()
        later = np.sort(self.rng.integers(1, self.cfg.ahead + 1, self.cfg.group - 1))
        targets = [first, *np.minimum(first + later, len(episode) - 1).tolist()]
        return [(episode, target, frames) for target in targets]

    def _draw_row(self) -> tuple[SpatialEpisode, int, np.ndarray]:
        """An episode, the first target's number, and the numbers of the frames in memory."""
        rng, cfg = self.rng, self.cfg
        episode = self.episodes[rng.integers(len(self.episodes))]
        target = int(rng.integers(1, len(episode)))
        start = max(0, target - int(rng.choice(cfg.lengths)))
        frames = np.arange(start, target)
        if len(frames) > cfg.candidates:
            some = rng.choice(len(frames) - 1, cfg.candidates - 1, replace=False)
            frames = frames[np.append(np.sort(some), len(frames) - 1)]
        return episode, target, frames

    def _gather(self, row: tuple[SpatialEpisode, int, np.ndarray]) -> tuple[FrameBank, Tensor]:
        """The coarse points of a row's memory as a bank without pictures; the target's pose."""
        episode, target, frames = row
        count, room = len(frames), self.cfg.candidates
        relative = relative_poses(episode.poses[np.append(frames, target)])
        poses = torch.zeros(room, 4)
        poses[:count] = torch.from_numpy(relative[:-1])
        depth = torch.ones(room, COARSE, COARSE)
        depth[:count] = 1 / torch.from_numpy(episode.coarse[frames].astype(np.float32))
        points = unproject(depth, poses, self.memory.field_of_view).flatten(1, 2)
        ids = torch.full((room,), EMPTY)
        ids[:count] = torch.arange(count)
        nothing = torch.zeros(room, 0)
        fresh = torch.ones(room, COARSE * COARSE)
        bank = FrameBank(nothing, nothing, poses, points, fresh, ids, ids != EMPTY)
        return bank, torch.from_numpy(relative[-1])

    def _render(self, rows: list, bank: FrameBank, slots: Tensor, poses: Tensor) -> MemoryView:
        """What damaged memories show."""
        cfg, batch = self.cfg, len(rows)
        slots = torch.where(self._chance(cfg.lost, batch, 1) & self._chance(0.3, *slots.shape),
                            EMPTY, slots)  # fmt: skip
        frames, inverse = self._read(rows, slots)
        alpha = torch.full((*frames.shape[:-1], 1), 255, dtype=torch.uint8)
        at = torch.arange(batch).unsqueeze(1), slots.clamp(min=0)
        scale = 1 + 0.1 * self._normal(*slots.shape) * self._chance(cfg.scaled, batch, 1)
        sources = FrameBank(
            rgba=torch.cat((frames, alpha), dim=-1),
            inverse_depth=inverse / scale.clamp(0.6, 1.5)[..., None, None],
            poses=self._jitter(bank.poses[at]),
            points=bank.points,
            fresh=bank.fresh,
            ids=torch.where(slots >= 0, bank.ids[at], EMPTY),
            true=slots >= 0,
        )
        return self._damage(self._render_rows(sources, poses))

    def _render_rows(self, sources: FrameBank, poses: Tensor) -> MemoryView:
        """One view after another: what one of them needs stays in the processor's cache."""
        rows = [
            render(
                sources.map(lambda part, _, i=i: part[i : i + 1]),
                poses[i : i + 1],
                self.memory.field_of_view,
                self.far,
                self.memory.sharp,
            )
            for i in range(len(poses))
        ]
        return MemoryView(*(torch.cat(parts) for parts in zip(*rows, strict=True)))

    def _read(self, rows: list, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Frames uint8 `[B,S,H,W,3]` and inverse depths `[B,S,n,n]` of slots; some are false."""
        frames, depths = [], []
        for (episode, _, memory), row in zip(rows, slots.clamp(min=0).tolist(), strict=True):
            numbers = memory[row]
            pictures, inverse = episode.frames[numbers], episode.inverse_depth[numbers]
            for i in np.flatnonzero(self.rng.random(len(row)) < self.cfg.false):
                other = self.episodes[self.rng.integers(len(self.episodes))]
                number = self.rng.integers(len(other))
                pictures[i], inverse[i] = other.frames[number], other.inverse_depth[number]
            frames.append(pictures)
            depths.append(inverse)
        return torch.from_numpy(np.stack(frames)), torch.from_numpy(np.stack(depths)).float()

    def _jitter(self, poses: Tensor) -> Tensor:
        """Poses `[B,S,4]` of which some are off by a little, a few by a whole step."""
        cfg, (batch, count) = self.cfg, poses.shape[:2]
        wrong = self._chance(cfg.jitter, batch, 1, 1)
        size = torch.tensor([0.13 * cfg.stride, 0.13 * cfg.stride, 0.035, 0.05 * cfg.stride])
        offset = self._normal(batch, 1, 4) * size + 0.3 * self._normal(batch, count, 4) * size
        way = 2 * np.pi * torch.rand(batch, 1, 1, generator=self.torch_rng)
        step = cfg.stride * torch.cat((way.cos(), way.sin(), 0 * way, 0 * way), dim=-1)
        offset = offset + step * self._chance(0.05, batch, count, 1)
        return poses + offset * wrong

    def _damage(self, view: MemoryView) -> MemoryView:
        """A view of which strips are forgotten, and the rest is noisy or blurred."""
        cfg, (batch, size) = self.cfg, view.mask.shape[:2]
        gone = self._strips(batch, size) | self._speckles(batch, size)
        gone = gone | self._chance(cfg.blank, batch, 1, 1)
        mask, doubtful = view.mask & ~gone, view.doubtful & ~gone
        side = size // view.inverse_depth.shape[-1]
        inverse = view.inverse_depth * ~gone[:, ::side, ::side]
        rgb = view.rgb
        soft = F.avg_pool2d(F.pad(rgb, (1, 1, 1, 1), mode="replicate"), 3, 1)
        rgb = torch.where(self._chance(cfg.blurred, batch, 1, 1, 1), soft, rgb)
        level = 0.2 * torch.rand(batch, 1, 1, 1, generator=self.torch_rng)
        grain = F.interpolate(self._normal(batch, 3, size // 4, size // 4), size=size)
        rgb = rgb + level * self._chance(cfg.noisy, batch, 1, 1, 1) * grain
        return MemoryView(rgb * (mask | doubtful).unsqueeze(1), mask, inverse, ~mask, doubtful)

    def _strips(self, batch: int, size: int) -> Tensor:
        """Vertical strips or rectangles of 10 to 100 % of the width, bool `[B,size,size]`."""
        rng = self.torch_rng
        width, tall = (size * (0.1 + 0.9 * torch.rand(batch, 1, generator=rng)) for _ in range(2))
        tall = torch.where(self._chance(0.6, batch, 1), torch.full_like(tall, size), tall)
        side = torch.rand(batch, 1, generator=rng)
        free = torch.rand(batch, 1, generator=rng) * (size - width)
        left = torch.where(side < 0.35, 0.0, torch.where(side < 0.7, size - width, free))
        top = torch.rand(batch, 1, generator=rng) * (size - tall)
        place = torch.arange(size) + 0.5
        columns = (place >= left) & (place < left + width) & self._chance(self.cfg.strips, batch, 1)
        lines = (place >= top) & (place < top + tall)
        return columns.unsqueeze(1) & lines.unsqueeze(2)

    def _speckles(self, batch: int, size: int) -> Tensor:
        """Scattered places of some pixels, 2 to 40 % of the picture, bool `[B,size,size]`."""
        share = 0.02 + 0.38 * torch.rand(batch, 1, 1, generator=self.torch_rng).square()
        grain = self._normal(batch, 1, size // 2, size // 2)
        smooth = F.avg_pool2d(F.pad(grain, (1, 1, 1, 1), mode="replicate"), 3, 1)
        smooth = F.interpolate(smooth, size=size, mode="bilinear")[:, 0]
        # the smooth grain is normal with a spread of a third
        bound = 0.33 * torch.special.ndtri(1 - share)
        return (smooth > bound) & self._chance(self.cfg.speckled, batch, 1, 1)

    def _assemble(
        self, rows: list, bank: FrameBank, slots: Tensor, poses: Tensor, view: MemoryView
    ) -> Samples:
        memory = self.memory
        groups = rows[:: self.cfg.group]
        slots = slots[:: self.cfg.group]
        newest = torch.tensor([len(frames) - 1 for _, _, frames in groups]).unsqueeze(1)
        newest = newest - torch.arange(memory.window)
        # of the frames that show most of the view those that are not in the window
        others = torch.where((slots.unsqueeze(2) == newest.unsqueeze(1)).any(2), EMPTY, slots)
        order = torch.argsort((others == EMPTY).int(), dim=1, stable=True)
        others = others.gather(1, order)[:, : memory.keyframes]
        fine = torch.cat((newest, others), dim=1)
        fine = torch.where(self._chance(0.15, *fine.shape), EMPTY, fine)
        draws = torch.rand(len(groups), self.cfg.coarse, generator=self.torch_rng)
        counts = torch.tensor([len(frames) for _, _, frames in groups]).unsqueeze(1)
        coarse = (draws * counts).long()
        coarse = torch.where(self._chance(0.15, *coarse.shape), EMPTY, coarse)
        at = torch.arange(0, len(rows), self.cfg.group).unsqueeze(1)
        targets = np.stack([episode.frames[target] for episode, target, _ in rows])
        return Samples(
            frames=torch.from_numpy(targets),
            view=view,
            poses=poses,
            motions=torch.stack([read_motion(episode, target) for episode, target, _ in rows]),
            actions=torch.tensor([int(episode.actions[target]) for episode, target, _ in rows]),
            fine=self._pictures(groups, fine),
            fine_poses=bank.poses[at, fine.clamp(min=0)],
            fine_known=(fine >= 0).repeat_interleave(self.cfg.group, dim=0),
            coarse=self._pictures(groups, coarse),
            coarse_poses=bank.poses[at, coarse.clamp(min=0)],
            coarse_known=coarse >= 0,
        )

    def _pictures(self, rows: list, slots: Tensor) -> Tensor:
        pairs = zip(rows, slots.clamp(min=0).tolist(), strict=True)
        return torch.from_numpy(
            np.stack([episode.frames[memory[row]] for (episode, _, memory), row in pairs])
        )

    def _mirror(self, samples: Samples) -> Samples:
        """Half of the samples seen in a mirror: left is right."""
        groups = self._chance(0.5, len(samples.fine))
        flip = groups.repeat_interleave(self.cfg.group)

        def choose(part: Tensor, mirrored: Tensor) -> Tensor:
            chosen = flip if len(part) == len(flip) else groups
            return torch.where(chosen.view(-1, *[1] * (part.dim() - 1)), mirrored, part)

        def swapped(part: Tensor, dim: int) -> Tensor:
            return choose(part, part.flip(dim))

        def negated(part: Tensor, *columns: int) -> Tensor:
            sign = torch.ones(part.shape[-1])
            sign[list(columns)] = -1
            return choose(part, part * sign)

        view, known = samples.view, samples.actions >= 0
        actions = torch.where(
            flip & known, self.mirrored[samples.actions.clamp(min=0)], samples.actions
        )
        return samples._replace(
            frames=swapped(samples.frames, 2),
            view=MemoryView(
                swapped(view.rgb, 3),
                swapped(view.mask, 2),
                swapped(view.inverse_depth, 2),
                swapped(view.first_hand, 2),
                swapped(view.doubtful, 2),
            ),
            poses=negated(samples.poses, 1, 2),
            motions=negated(samples.motions, 1),
            actions=actions,
            fine=swapped(samples.fine, 3),
            fine_poses=negated(samples.fine_poses, 1, 2),
            coarse=swapped(samples.coarse, 3),
            coarse_poses=negated(samples.coarse_poses, 1, 2),
        )

    def _chance(self, probability: float, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.torch_rng) < probability

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.torch_rng)


def open_drawer(folder: Path, *settings) -> SampleDrawer:
    """A drawer over a finished cache; `settings` are the SampleDrawer's."""
    return SampleDrawer(open_episodes(folder), *settings)


def read_motion(episode: SpatialEpisode, number: int) -> Tensor:
    """How far ahead, left and up frame `number` is from the one before it, `[3]`."""
    return motion_between(*torch.tensor(episode.poses[number - 1 : number + 1]))


def mirror_actions(actions: ActionSet) -> Tensor:
    """The id of each action seen in a mirror `[A]`: the one that turns as far the other way."""
    turns = np.array(actions.turns)
    found = []
    for action, turn in enumerate(turns):
        opposite = np.flatnonzero(np.isclose(turns, -turn))
        found.append(action if turn == 0 or not len(opposite) else int(opposite[0]))
    return torch.tensor(found)


def stack_banks(banks: list[FrameBank]) -> FrameBank:
    """One bank of B rows of banks of one dream without a batch dimension."""
    names = banks[0].tensors()
    return FrameBank(**{name: torch.stack([getattr(b, name) for b in banks]) for name in names})
