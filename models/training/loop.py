"""The loop of every training: steps, log, checkpoints, previews, and the world at the end.

Knows no network, no data and no loss: those are a Recipe's. The same command resumes, and a run
that is killed loses at most `save_minutes`.

A batch is made of shares, each drawn with random numbers of its own, and every process has some of
them. Their number outlives a restart: with fewer processes each has more shares, the batches are
the same ones, and a step's memory stays that of one share. With more processes than shares the
batch is divided anew: the old shares go on where they were, smaller, and new ones begin.
"""

import itertools
import json
import math
import os
import shutil
import time
import warnings
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from models.training import distributed
from models.training.ema import make_ema
from models.training.weights import ShardedWeights, WholeWeights
from worldsim.machine_speed import autocast_to, pick_precision
from worldsim.world.checkpoint import CARD


class Plan(Protocol):
    """The settings that the loop itself needs; `shares` of a batch, at least one a process."""

    steps: int
    shares: int | None
    clip_norm: float
    precision: str
    save_minutes: float
    sheet_minutes: float


class Share(Protocol):
    """A part of every step's batch, always the same one of as many."""

    def draw(self, step: int) -> Any:
        """The share of a step's batch."""

    def loss(self, average: nn.Module, batch: Any, step: int) -> tuple[Tensor, dict[str, float]]:
        """Its loss, and what to log of it."""

    def state(self) -> dict[str, Any]:
        """What it needs to go on."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Inverse of state."""

    def close(self) -> None:
        """End what draws."""


class Recipe(Protocol):
    """What is trained, on what, how.

    Attributes:
        plan: the settings of the loop.
        network: learns.
        opts: its optimisers.
        config: JSON, kept in the checkpoint.
    """

    plan: Plan
    network: nn.Module
    opts: list[torch.optim.Optimizer]
    config: str

    def open_share(self, number: int, count: int) -> Share:
        """Share `number` of `count`, at its beginning.

        Raises:
            ValueError: the batch cannot be divided so.
        """

    def set_rate(self, step: int) -> None:
        """Tell the optimisers the learning rate."""

    def update_ema(self, average: nn.Module, step: int) -> None:
        """Move the averaged weights."""

    def preview(self, average: nn.Module, path: Path) -> dict[str, float]:
        """Draw a contact sheet, and give scores."""

    def export(self, average: nn.Module, folder: Path, step: int) -> str:
        """Write the world folder, and give a line that says what was written."""


class Run:
    """The state of a training and its loop. With `sharded` several processes hold a part each of
    the network, its average and the optimisers' state (weights.py).
    """

    def __init__(self, recipe: Recipe, out: Path, device: torch.device, sharded: bool = False):
        self.recipe, self.plan, self.out, self.device = recipe, recipe.plan, out, device
        self.network, self.opts = recipe.network, recipe.opts
        self.average = make_ema(self.network)
        self.sharded = sharded and distributed.count() > 1
        held = self.network, self.average, self.opts
        self.weights = ShardedWeights(*held, device) if self.sharded else WholeWeights(*held)
        self.step = 0
        self.precision = pick_precision(self.plan.precision, device)
        self.shares: dict[int, Share] = {}
        self._open_shares(count_shares(self.plan))

    def _open_shares(self, count: int) -> None:
        """Divide a batch into `count` shares, and take those of this process."""
        if self.sharded and count % distributed.count():
            raise ValueError(
                f"training.shares must be a multiple of {distributed.count()}, the processes of a "
                f"sharded training, got {count}: start as many processes as divide it"
            )
        self.close()
        self.share_count = count
        mine = range(distributed.rank(), count, distributed.count())
        self.shares = {number: self.recipe.open_share(number, count) for number in mine}

    def close(self) -> None:
        """End what draws."""
        for share in self.shares.values():
            share.close()

    @property
    def path(self) -> Path:
        """The checkpoint."""
        return self.out / "checkpoint.pt"

    def begin_with(self, weights: dict[str, Tensor]) -> None:
        """Start from weights, of the network and of its average."""
        self.weights.begin_with(weights)

    def resume(self, needed: bool = False) -> bool:
        """Continue from the checkpoint; False if there is none.

        Raises:
            ValueError: there is none though it is needed, or it is of another network.
        """
        if needed and not self.path.exists():
            raise ValueError(f"{self.out} holds no checkpoint to export: train first")
        if not self.path.exists():
            return False
        state = self.weights.load(self.path)
        self.step = state["step"]
        saved = state["shares"] if "shares" in state else state["processes"]  # its older name
        self._open_shares(max(len(saved), self.share_count))
        for number, share in self.shares.items():
            if number < len(saved):
                share.load_state(saved[number])
        print(f"resumed at step {self.step}", flush=True)
        return True

    def save(self) -> None:
        """Write the checkpoint."""
        mine = {number: share.state() for number, share in self.shares.items()}
        states: dict[int, dict[str, Any]] = {}
        for part in distributed.gather_objects(mine):
            states |= part
        shares = [states[number] for number in range(self.share_count)]
        rest = {"shares": shares, "step": self.step, "config": self.recipe.config}
        self.weights.save(self.path, rest)

    def loop(self) -> None:
        """Train to the end; saves every few minutes."""
        saved = pictured = started = time.monotonic()
        first = self.step
        with open(
            self.out / "log.jsonl" if distributed.rank() == 0 else os.devnull, "a", buffering=1
        ) as log:
            while self.step < self.plan.steps:
                measures = self.one_step()
                self.step += 1
                rate = (self.step - first) / (time.monotonic() - started)
                log.write(
                    json.dumps({"step": self.step, "steps_per_s": round(rate, 3)} | measures) + "\n"
                )
                if self.step % 20 == 0:
                    self.report(measures, rate)
                late = time.monotonic() - saved > 60 * self.plan.save_minutes
                unseen = time.monotonic() - pictured > 60 * self.plan.sheet_minutes
                due = distributed.gather_objects((late, unseen))
                if any(late for late, _ in due):
                    self.save()
                    saved = time.monotonic()
                if any(unseen for _, unseen in due):
                    self.picture()
                    pictured = time.monotonic()
        self.save()
        self.picture()

    def report(self, measures: dict, rate: float) -> None:
        """A line that a person can read."""
        if distributed.rank() == 0:
            left = (self.plan.steps - self.step) / rate / 60
            numbers = "  ".join(f"{name} {value:.4f}" for name, value in measures.items())
            print(
                f"step {self.step}/{self.plan.steps}  {numbers}  {rate:.2f}/s  {left:.0f} min left",
                flush=True,
            )

    def picture(self) -> None:
        """A contact sheet of rollouts from held-out episodes, and their scores in the log."""
        average = self.weights.whole_average()
        if average is None:
            return
        path = self.out / f"sheet-{self.step:07d}.png"
        scores = self.recipe.preview(average, path)
        with open(self.out / "log.jsonl", "a") as log:
            log.write(json.dumps({"step": self.step, "preview": scores}) + "\n")
        print(f"step {self.step}  {format_scores(scores)}  {path}", flush=True)

    def export(self) -> None:
        """Write the world folder, in the first process."""
        average = self.weights.whole_average()
        if average is not None:
            print(self.recipe.export(average, self.out / "world", self.step), flush=True)

    def one_step(self) -> dict:
        """One update."""
        self.recipe.set_rate(self.step)
        for opt in self.opts:
            opt.zero_grad()
        told = [self._add_gradient(share) for share in self.shares.values()]
        self.weights.sum_gradients()
        norm = self.weights.clip_gradients(self.plan.clip_norm)
        if not math.isfinite(norm):
            raise ValueError(
                f"the gradient is not finite at step {self.step}: resume with a lower training.lr"
            )
        for opt in self.opts:
            opt.step()
        self.recipe.update_ema(self.average, self.step)
        return self._average(told) | {"norm": norm}

    def _add_gradient(self, share: Share) -> dict[str, float]:
        """Add a share's part of the mean gradient; what to log of it."""
        batch = share.draw(self.step)
        with warnings.catch_warnings():
            # Norms keep float32 weights for bfloat16 activations; torch says that this is slower.
            warnings.filterwarnings("ignore", "Mismatch dtype between input and weight")
            # Nothing that a block returns is written to in place.
            warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
            with autocast_to(self.precision, self.device):
                loss, measures = share.loss(self.average, batch, self.step)
            (loss / self.share_count).backward()
        return measures

    def _average(self, told: list[dict[str, float]]) -> dict[str, float]:
        """The mean of what all shares of all processes told."""
        if self.share_count == 1:
            return told[0]
        sums = torch.tensor([list(one.values()) for one in told], dtype=torch.float64).sum(dim=0)
        means = (distributed.sum_of(sums) / self.share_count).tolist()
        return dict(zip(told[0], means, strict=True))


def count_shares(plan: Plan) -> int:
    """How many shares a batch of a new training has."""
    return max(plan.shares or 1, distributed.count())


def check_batch(plan: Any, count: int) -> None:
    """Refuse a batch that `count` shares cannot divide evenly.

    Raises:
        ValueError: it cannot.
    """
    if plan.batch % count:
        raise ValueError(
            f"training.batch must be a multiple of {count}, its shares (at least one for each "
            f"process), got {plan.batch}"
        )


def start_folder(out: Path, fresh: bool) -> None:
    """Make the run's folder; a fresh start moves the old checkpoints aside, so that nothing is
    lost.
    """
    out.mkdir(parents=True, exist_ok=True)
    if fresh:
        learnt = ("checkpoint.pt", "codec.pt", "depth.pt", "odometry.pt")
        for name in (*learnt, "log.jsonl", "world"):
            if (out / name).exists():
                (out / name).replace(_free(out / f"{name}.old"))


def _free(path: Path) -> Path:
    """A path for an old file or folder: what is there is replaced if it is a file or a world."""
    if (path / CARD).is_file() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.is_dir():
        numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
        return next(free for free in numbered if not free.exists())
    return path


def format_scores(scores: dict[str, float]) -> str:
    """Scores on one line; those that a short run leaves without a number are named as such."""
    told = (
        f"{name} {value:.2f}" if math.isfinite(value) else f"{name} not measured"
        for name, value in scores.items()
    )
    return "  ".join(told)
