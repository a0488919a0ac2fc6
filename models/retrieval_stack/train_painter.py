"""The painter's part of a training (models/retrieval_stack/painter.py): dreams that it has painted
itself are painted again beside the truth and a critic, which compares them with frames of the
episodes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.codec.patch_discriminator import hinge_loss
from models.far.dynamics import FARDynamics
from models.retrieval_stack.geometry import Geometry
from models.retrieval_stack.painter import JUDGED, Critic, Painter
from models.retrieval_stack.train_walks import Noted, Walker
from worldsim.data.latents import LatentCache
from worldsim.world.checkpoint import load_into, load_training, save_training

LOOKED_AT = 4000  # true frames that tell how much channels vary
AVERAGE = 0.005  # of each step, in the painter that plays
REPORTED = 100  # steps between two lines and savings


@dataclass(frozen=True, kw_only=True)
class PainterTraining:
    """steps, batch, lr: of painter and critic. critic: how much its judgement counts beside the
    error, which counts less the older (`faithful` frames) a dream, where truth is anybody's guess;
    there the mean is kept to, as much as `mean` says. Every so many steps (`every`) `together` new
    dreams of so many frames after at most `context` true ones are dreamt, of which the newest
    `kept` times `together` teach.
    """

    steps: int = 1200
    batch: int = 32
    lr: float = 1e-3
    critic: float = 0.1
    faithful: float = 16.0
    mean: float = 0.2
    every: int = 60
    together: int = 8
    frames: int = 48
    context: int = 56
    kept: int = 24
    first: int = 4


def train_painter(
    geometry: Geometry,
    dynamics: FARDynamics,
    cache: LatentCache,
    posed: np.ndarray,
    plan: PainterTraining,
    mirror: Callable[[Tensor], Tensor],
    path: Path,
    seed: int,
) -> dict[str, float]:
    """Teach the painter of a geometry; resumes and saves beside `path`.

    Returns:
        Squared error of the coarsest channels of young dreams (fewer frames than half of what is
        `faithful`), as fused and as painted, and the spread of all dreams' over that of true ones.
    """
    return _Lesson(geometry, dynamics, cache, posed, plan, mirror, path, seed).held()


class _Lesson:
    def __init__(self, geometry, dynamics, cache, posed, plan, mirror, path, seed):
        self.geometry, self.cache, self.posed, self.plan = geometry, cache, posed, plan
        self.mirror, self.path, self.seed = mirror, path.with_suffix(".painter.pt"), seed
        self.device = next(geometry.parameters()).device
        cfg = geometry.cfg
        channels = geometry.depth.inlet.in_channels - 2
        torch.manual_seed(seed)
        self.painter = Painter(channels, cfg.painter).to(self.device)  # geometry's is the average
        self.rng = np.random.default_rng([seed, 9])
        self.scale = (
            self._true(min(LOOKED_AT, len(cache.latents))).std(dim=(0, 2, 3)).view(-1, 1, 1)
        )
        self.critic = Critic(self.scale[:JUDGED, 0, 0], cache.latents.shape[-1]).to(self.device)
        self.optimisers = [
            torch.optim.AdamW(net.parameters(), lr=plan.lr, betas=(0.5, 0.99), weight_decay=0.01)
            for net in (self.painter, self.critic)
        ]
        self.walker, self.notes, self.step = Walker(dynamics, geometry), [], 0
        self.told: dict[str, float] = {}

    def held(self) -> dict[str, float]:
        self._resume()
        plan, noise = self.plan, torch.Generator().manual_seed(self.seed + self.step)
        self.rng = np.random.default_rng([self.seed, 9, self.step])
        for _ in range(plan.first if self.step < plan.steps else 0):
            self._dream(noise)
        while self.step < plan.steps:
            if self.step % plan.every == 0:
                self._dream(noise)
            self._learn()
            self.step += 1
            if self.step % REPORTED == 0 or self.step == plan.steps:
                figures = "  ".join(f"{name} {value:.3f}" for name, value in self.told.items())
                print(f"painter {self.step}/{plan.steps}  {figures}", flush=True)
                self._save()
        return self.told

    def _dream(self, noise: torch.Generator) -> None:
        plan, cache = self.plan, self.cache
        lengths = np.diff(cache.bounds)
        frames = int(min(plan.frames, lengths[self.posed].min() - 2))
        longest = int(min(plan.context, lengths[self.posed].min() - frames))
        chosen = self.rng.choice(self.posed, plan.together, replace=len(self.posed) < plan.together)
        context = int(self.rng.integers((longest + 1) // 2, longest + 1))
        late = self.rng.integers(0, lengths[chosen] - context - frames + 1)
        at = (cache.bounds[chosen] + late)[:, None] + np.arange(context + frames)
        self.notes = [*self.notes, self.walker.walk(cache, at, context, noise)][-plan.kept :]

    def _learn(self) -> None:
        plan = self.plan
        rate = min(1, (self.step + 1) / 100, 5 * (1 - self.step / plan.steps))
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = plan.lr * rate
        some, true = self._drawn(), self._true(plan.batch)
        with torch.no_grad():
            fused = self.geometry.fusion(some.made, some.views)
        painted = self.painter(some.made, fused, some.views, some.noise)
        doubt = hinge_loss(self.critic(true), self.critic(painted.detach()))
        self._stepped(1, doubt)
        wrong, moved = (((painted - part) / self.scale).square() for part in (some.truth, fused))
        young = torch.exp(-some.age / plan.faithful)[:, None, None, None]
        away = young * wrong + plan.mean * (1 - young) * moved
        judged = plan.critic * min(1, self.step / 300) * self.critic(painted).mean()
        self._stepped(0, away.mean() + away[:, :JUDGED].mean() - judged)
        for kept, new in zip(
            self.geometry.painter.parameters(), self.painter.parameters(), strict=True
        ):
            kept.data.lerp_(new.data, max(AVERAGE, 1 / (self.step + 1)))
        self._note(some, fused, painted.detach(), doubt.item())

    def _stepped(self, which: int, loss: Tensor) -> None:
        net = (self.painter, self.critic)[which]
        self.optimisers[which].zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0 if which == 0 else torch.inf)
        self.optimisers[which].step()

    def _drawn(self) -> Noted:
        parts = []
        for number in self.rng.integers(0, len(self.notes), self.plan.batch):
            noted = self.notes[number]
            one = torch.tensor([self.rng.integers(len(noted.made))])
            parts.append(noted.some(one, self.device))
        some = Noted.together(parts)
        return some.mirrored(self.mirror) if self.rng.random() < 0.5 else some

    def _true(self, count: int) -> Tensor:
        at = np.sort(self.rng.integers(0, len(self.cache.latents), count))
        true = torch.from_numpy(self.cache.latents[at]).to(self.device).float()
        return self.mirror(true) if self.rng.random() < 0.5 else true

    def _note(self, some: Noted, fused: Tensor, painted: Tensor, doubt: float) -> None:
        coarse = [(part / self.scale)[:, :JUDGED] for part in (fused, painted, some.truth)]
        young = some.age < self.plan.faithful / 2
        now = {"critic": doubt, "spread": float(coarse[1].std() / coarse[2].std())}
        if young.any():
            for name, part in zip(("weighed coarse", "painted coarse"), coarse, strict=False):
                now[name] = float((part - coarse[2])[young].square().mean())
        for name, value in now.items():
            self.told[name] = self.told.get(name, value) + 0.02 * (
                value - self.told.get(name, value)
            )

    def _save(self) -> None:
        parts = {"painter": self.painter, "critic": self.critic, "average": self.geometry.painter}
        states = {name: part.state_dict() for name, part in parts.items()}
        optimisers = [optimiser.state_dict() for optimiser in self.optimisers]
        state = states | {"optimisers": optimisers, "step": self.step, "told": self.told}
        save_training(self.path, state)

    def _resume(self) -> None:
        if not self.path.exists():
            self.geometry.painter.load_state_dict(self.painter.state_dict())
            return
        state = load_training(self.path)
        load_into(self.painter, state["painter"], self.path)
        load_into(self.critic, state["critic"], self.path)
        load_into(self.geometry.painter, state["average"], self.path)
        for optimiser, kept in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
        self.step, self.told = state["step"], state["told"]
