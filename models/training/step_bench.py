"""How fast a training with a memory in space goes: its own steps, on samples that lie ready, and
how fast one process draws such samples.

Where the configuration's cache of episodes is there, samples are drawn from it; else from random
pictures along a random walk, which take as long. Networks have random weights.
"""

import itertools
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.build.spatial import make_models
from models.memory.frame_bank import take_medians
from models.training.loop import Run
from models.training.spatial_cache import SpatialEpisode, open_episodes
from models.training.spatial_config import SpatialConfig
from models.training.spatial_run import SMOKE, SpatialRecipe
from models.training.spatial_samples import OF_GROUPS, SampleDrawer, Samples
from worldsim.actions import load_actions
from worldsim.config import load_config
from worldsim.paths import asset

WARM_UP = 3
STEPS = 20


class StepBench:
    """Steps of one configuration's training.

    Args:
        config: a name in assets/configs, or a YAML file.
        device: where it learns.
        quick: the smallest networks, few steps.

    Attributes:
        source: what samples are drawn from, "random" or a folder.

    Raises:
        ConfigError: the configuration cannot be read, or is of another kind.
    """

    def __init__(self, config: str, device: torch.device, quick: bool):
        path = config if Path(config).is_file() else asset("configs", f"{config}.yaml")
        precision = "bfloat16" if device.type == "cuda" else "float32"
        changes = [*(SMOKE if quick else ()), f"training.precision={precision}"]
        self.cfg = load_config(path, SpatialConfig, changes)
        self.device, self.steps = device, 1 if quick else STEPS
        cache = Path(self.cfg.data.cache)
        known = open_episodes(cache) if cache.is_dir() and not quick else []
        self.source = str(cache) if known else "random"
        episodes = known or [walk_anywhere(self.cfg, seed) for seed in range(2)]
        actions, far = load_actions(self.cfg.action_set), self.cfg.depth.far
        settings = actions, self.cfg.memory, self.cfg.samples, far
        self.drawer = SampleDrawer(episodes, *settings, self.cfg.seed)
        self.drawn = self.drawer.draw(4 if quick else 64)

    def measure(self, batch: int, own_frames: bool, compiled: bool) -> dict[str, Any]:
        """Steps of `batch` targets, with long sampler steps and old errors, as late in a run.

        Args:
            batch: a multiple of what was drawn, or less.
            own_frames: whether memories also hold the network's own frames: the last quarter.
            compiled: by torch.compile.
        """
        plan = replace(self.cfg.training, batch=batch, steps=1000, compile=compiled)
        plan = replace(plan, error_injection_from=0.0, shortcuts_from=0.0)
        plan = replace(plan, own_frames_from=0.0 if own_frames else 1.0)
        cfg = replace(self.cfg, training=plan)
        models = make_models(cfg.settings, load_actions(cfg.action_set).turns)
        torch.nn.init.normal_(models.codec.basis, std=0.1)
        needed = models.codec, models.depth
        parts = (part.to(self.device).requires_grad_(False).eval() for part in needed)
        recipe = SpatialRecipe(cfg, *parts, [], Path(), self.device)
        run = Run(recipe, Path(), self.device)
        run.shares[0].drawer = Ready(repeat(self.drawn, batch))
        seconds = self._time(run)
        return {"ms": 1000 * seconds, "per_s": batch / seconds, "precision": plan.precision}

    def _time(self, run: Run) -> float:
        """Mean seconds of a step; every step ends by reading the norm of its gradient."""
        for _ in range(WARM_UP if self.steps > 1 else 1):
            run.one_step()
        began = time.perf_counter()
        for _ in range(self.steps):
            run.one_step()
        return (time.perf_counter() - began) / self.steps


class Ready:
    """A drawer that gives the same samples again and again."""

    def __init__(self, samples: Samples):
        self.samples = samples

    def draw(self) -> Samples:
        """The samples."""
        return self.samples


def measure_drawing(bench: StepBench) -> dict[str, Any]:
    """Samples a second of one process of one thread: training frames a second over this is how many
    `samples.workers` a GPU needs.
    """
    batch, threads = len(bench.drawn.frames), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        began = time.perf_counter()
        for rounds in itertools.count(1):
            bench.drawer.draw(batch)
            seconds = time.perf_counter() - began
            if seconds > (0 if bench.steps == 1 else 5):
                return {"ms": 1000 * seconds / rounds, "per_s": rounds * batch / seconds}
    finally:
        torch.set_num_threads(threads)


def repeat(samples: Samples, batch: int) -> Samples:
    """The first `batch` samples, again from the first where there are fewer."""
    group, count = len(samples.frames) // len(samples.fine), len(samples.frames)
    rows = torch.arange(batch) % count
    groups = torch.arange(batch // group) % (count // group)
    by_target = samples.pick(rows, rows // group)
    of_groups = samples.pick(groups * group, groups)
    return by_target._replace(**{name: getattr(of_groups, name) for name in OF_GROUPS})


def walk_anywhere(cfg: SpatialConfig, seed: int, frames: int = 320) -> SpatialEpisode:
    """An episode of random pictures, smooth random depth and a random walk."""
    rng, size = np.random.default_rng(seed), cfg.codec.frame_size
    generator = torch.Generator().manual_seed(seed)
    rough = torch.rand(frames, 1, 4, 4, generator=generator)
    inverse = torch.nn.functional.interpolate(rough, size=size // 2, mode="bilinear")[:, 0] + 0.1
    turns = np.cumsum(rng.normal(0, 0.3, frames))
    ways = cfg.samples.stride * np.stack((np.cos(turns), np.sin(turns)), axis=1)
    places = np.cumsum(ways, axis=0) * 0.3
    poses = np.column_stack((places, turns, np.zeros(frames)))
    return SpatialEpisode(
        frames=rng.integers(0, 256, (frames, size, size, 3)).astype(np.uint8),
        inverse_depth=_half(inverse),
        coarse=_half(take_medians(inverse)),
        poses=poses.astype(np.float32),
        actions=rng.integers(0, cfg.network.actions, frames),
    )


def _half(numbers: Tensor) -> np.ndarray:
    return numbers.half().numpy()
