"""Actions where none were recorded: a small code for what happens between two frames.

A predictor sees the frame before and one of a few codes, and shows the frame after: it moves places
sideways, each by a mixture of shifts, and adds what is new. Only the code that shows the frame best
learns from it (multiple choice learning, Guzman-Rivera et al., 2012), so that codes come to mean
the ways in which the picture goes on, as the latent actions of Genie (Bruce et al., 2024) do; the
code of two frames is the one that explains the second of them best.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.nn.residual import ResidualBlock
from models.training.part import PartTraining

SIDE = 32  # pixels a side of a picture
CELL = 4  # pixels a side of a place
PLACES = SIDE // CELL  # each way
REACH = 12  # columns of shift, either way
SHIFTS = 2 * REACH + 1


@dataclass(frozen=True, kw_only=True)
class LatentActionConfig:
    """codes: how many actions; width: of the layers; shared: how much of an error teaches the codes
    that were not the best, so that none is left behind.
    """

    codes: int
    width: int = 48
    shared: float = 0.1

    def __post_init__(self):
        if self.codes < 2:
            raise ValueError(f"codes must be at least 2, got {self.codes}")


@dataclass(frozen=True, kw_only=True)
class LatentActionTraining:
    """steps of `batch` pairs of frames at rate `lr`."""

    steps: int = 1500
    batch: int = 32
    lr: float = 2e-3


class LatentActionModel(nn.Module):
    """The predictor. Pictures are `[B,3,SIDE,SIDE]` in -1..1."""

    def __init__(self, cfg: LatentActionConfig):
        super().__init__()
        self.cfg = cfg
        self.book = nn.Parameter(torch.randn(cfg.codes, cfg.width))
        self.look = nn.Conv2d(3, cfg.width, CELL, stride=CELL)
        self.position = nn.Parameter(torch.zeros(cfg.width, PLACES, PLACES))
        self.blocks = nn.Sequential(ResidualBlock(cfg.width), ResidualBlock(cfg.width))
        self.shift = nn.Conv2d(cfg.width, SHIFTS, 1)
        self.new = nn.Conv2d(cfg.width, 3 * CELL * CELL, 1)
        nn.init.zeros_(self.new.weight)
        nn.init.zeros_(self.new.bias)

    def predict(self, before: Tensor) -> Tensor:
        """The pictures after `[B,codes,3,SIDE,SIDE]`, by each of the codes."""
        x = (self.look(before) + self.position).unsqueeze(1) + self.book[..., None, None]
        x = self.blocks(x.flatten(0, 1))
        weights = self.shift(x).softmax(dim=1).unflatten(0, (len(before), -1))
        shown = move_places(before, weights).flatten(0, 1) + self.new(F.silu(x))
        return F.pixel_shuffle(shown, CELL).unflatten(0, (len(before), -1))

    def errors(self, before: Tensor, after: Tensor) -> Tensor:
        """Mean absolute error `[B,codes]` of each code's prediction."""
        return (self.predict(before) - after.unsqueeze(1)).abs().mean(dim=(2, 3, 4))

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        """The loss: the best code's error, and a share of all of them."""
        errors = self.errors(before, after)
        best = errors.amin(dim=1).mean()
        return (1 - self.cfg.shared) * best + self.cfg.shared * errors.mean()

    def choose(self, before: Tensor, after: Tensor) -> Tensor:
        """The codes int64 `[B]` that explain pictures best."""
        return self.errors(before, after).argmin(dim=1)


def move_places(pictures: Tensor, weights: Tensor) -> Tensor:
    """Pictures whose places are mixtures of the pictures, shifted sideways.

    Args:
        pictures: `[B,3,SIDE,SIDE]`.
        weights: of every shift at every place `[B,K,SHIFTS,PLACES,PLACES]`, of K mixtures.

    Returns:
        `[B,K,3*CELL*CELL,PLACES,PLACES]`, as `pixel_shuffle` wants them.
    """
    wide = F.pad(pictures, (REACH, REACH, 0, 0), mode="replicate")
    # [B,3,SIDE,PLACES,SHIFTS,CELL]: of each row the stretches that may come to stand at a place
    stretches = wide.unfold(3, SHIFTS + CELL - 1, CELL).unfold(4, CELL, 1)
    stretches = stretches.unflatten(2, (PLACES, CELL))
    offered = stretches.permute(0, 2, 4, 5, 1, 3, 6).flatten(4)  # [B,rows,columns,SHIFTS,pixels]
    mixed = weights.permute(0, 3, 4, 1, 2) @ offered  # [B,rows,columns,K,pixels]
    return mixed.permute(0, 3, 4, 1, 2)


def shrink_frames(frames: Tensor) -> Tensor:
    """Frames uint8 `[N,H,W,3]` as pictures `[N,3,SIDE,SIDE]` in -1..1."""
    return F.adaptive_avg_pool2d(frames.permute(0, 3, 1, 2).float(), SIDE) / 127.5 - 1


def train_latent_actions(
    cfg: LatentActionConfig,
    plan: LatentActionTraining,
    draw_pairs: Callable[[torch.Generator, int], tuple[Tensor, Tensor]],
    path: Path,
    seed: int,
) -> LatentActionModel:
    """A trained model; resumes and saves in `path`.

    Args:
        cfg: its shape.
        plan: how long, and how fast.
        draw_pairs: pictures before and after, of a generator and how many.
        path: its file.
        seed: of everything drawn.
    """
    torch.manual_seed(seed)
    model = LatentActionModel(cfg)
    training = PartTraining("latent actions", "model", model, plan, path)
    generator = torch.Generator().manual_seed(seed + training.step)
    training.run(lambda: model(*draw_pairs(generator, plan.batch)), steepness=2)
    return model.requires_grad_(False).eval()


@torch.no_grad()
def choose_codes(model: LatentActionModel, frames: Tensor, batch: int = 64) -> Tensor:
    """The codes int64 `[T]` between frames uint8 `[T+1,H,W,3]` of an episode."""
    pictures = shrink_frames(frames)
    pairs = zip(pictures[:-1].split(batch), pictures[1:].split(batch), strict=True)
    return torch.cat([model.choose(before, after) for before, after in pairs])


@torch.no_grad()
def measure_prediction(model: LatentActionModel, before: Tensor, after: Tensor) -> dict[str, float]:
    """Mean absolute errors in grey levels: with the best code, with all codes on average, and of
    the frame before repeated.
    """
    errors = model.errors(before, after)
    repeat = (before - after).abs().mean()
    found = {"code": errors.amin(dim=1).mean(), "any_code": errors.mean(), "repeat": repeat}
    return {name: float(error * 127.5) for name, error in found.items()}
