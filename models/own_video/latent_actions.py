"""Actions where none were recorded: a small code for what happens between two frames.

An encoder sees how unlike the two frames are at every sideways shift, place by place, and chooses
one of a few codes; a predictor sees the frame before and that code alone, and must show the frame
after. It does so by moving places sideways, each by a mixture of shifts, and by adding what is new;
so the code comes to say how the picture moves, and the frame before says what there is. The codes
are those of a vector quantiser (van den Oord et al., 2017), as in Genie (Bruce et al., 2024).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.nn.residual import ResidualBlock
from models.training.part import PartTraining
from worldsim.evaluate.inverse_dynamics import CELL, REACH, SIDE

SHIFTS = 2 * REACH + 1
PLACES = SIDE // CELL  # each way
IDLE_FOR = 0.02  # share of a batch below which a code is given another place
RENEWED = 50  # steps between two looks for such codes


@dataclass(frozen=True, kw_only=True)
class LatentActionConfig:
    """codes: how many actions; width: of the layers; size: numbers of a code; commitment: weight of
    the encoder's error to its code.
    """

    codes: int
    width: int = 48
    size: int = 8
    commitment: float = 0.25

    def __post_init__(self):
        if self.codes < 2:
            raise ValueError(f"codes must be at least 2, got {self.codes}")


@dataclass(frozen=True, kw_only=True)
class LatentActionTraining:
    """steps of `batch` pairs of frames at rate `lr`."""

    steps: int = 1500
    batch: int = 48
    lr: float = 2e-3


class Quantised(NamedTuple):
    """Codes int64 `[B]`, their vectors `[B,size]`, through which gradients pass, and the loss."""

    codes: Tensor
    vectors: Tensor
    loss: Tensor


class LatentActionModel(nn.Module):
    """Encoder, codes and predictor. Pictures are `[B,3,SIDE,SIDE]` in -1..1."""

    def __init__(self, cfg: LatentActionConfig):
        super().__init__()
        self.cfg = cfg
        width, side = cfg.width, PLACES // 2
        self.encoder = nn.Sequential(
            *(nn.Conv2d(SHIFTS + 3, width, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(width, width, 3, padding=1, stride=2), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(width * side * side, cfg.size)),
        )
        self.book = nn.Parameter(torch.randn(cfg.codes, cfg.size))
        self.register_buffer("used", torch.zeros(cfg.codes))
        self.told = nn.Linear(cfg.size, width)
        self.look = nn.Conv2d(3, width, CELL, stride=CELL)
        self.blocks = nn.Sequential(ResidualBlock(width), ResidualBlock(width))
        self.position = nn.Parameter(torch.zeros(width, PLACES, PLACES))
        self.shift = nn.Conv2d(width, SHIFTS, 1)
        self.new = nn.Conv2d(width, 3 * CELL * CELL, 1)
        nn.init.zeros_(self.new.weight)
        nn.init.zeros_(self.new.bias)

    def choose(self, before: Tensor, after: Tensor) -> Quantised:
        """The codes of what lies between pictures."""
        change = F.avg_pool2d(after - before, CELL)
        found = self.encoder(torch.cat((match_shifts(before, after), change), dim=1))
        codes = (found.unsqueeze(1) - self.book).square().sum(dim=2).argmin(dim=1)
        vectors = self.book[codes]
        loss = (vectors - found.detach()).square().mean()
        loss = loss + self.cfg.commitment * (found - vectors.detach()).square().mean()
        return Quantised(codes, found + (vectors - found).detach(), loss)

    def predict(self, before: Tensor, vectors: Tensor) -> Tensor:
        """The pictures after, of those before and of the codes' vectors `[B,size]`."""
        x = self.look(before) + self.position + self.told(vectors)[..., None, None]
        x = self.blocks(x)
        weights = enlarge(self.shift(x).softmax(dim=1)).unbind(1)
        shown = F.pixel_shuffle(self.new(F.silu(x)), CELL)
        for shifted, weight in zip(make_shifts(before), weights, strict=True):
            shown = shown + shifted * weight.unsqueeze(1)
        return shown

    def forward(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and the codes `[B]`."""
        chosen = self.choose(before, after)
        error = (self.predict(before, chosen.vectors) - after).abs().mean()
        return error + chosen.loss, chosen.codes

    @torch.no_grad()
    def renew_codes(self, before: Tensor, after: Tensor, generator: torch.Generator) -> None:
        """Codes that are hardly chosen take the place of random pairs' encodings."""
        change = F.avg_pool2d(after - before, CELL)
        found = self.encoder(torch.cat((match_shifts(before, after), change), dim=1))
        share = self.used / self.used.sum().clamp(min=1)
        for code in torch.nonzero(share < IDLE_FOR).flatten().tolist():
            row = int(torch.randint(len(found), (), generator=generator))
            self.book[code] = found[row]
        self.used.zero_()


def make_shifts(pictures: Tensor) -> list[Tensor]:
    """Pictures `[B,3,S,S]` at each of SHIFTS shifts."""
    wide = F.pad(pictures, (REACH, REACH, 0, 0), mode="replicate")
    return [wide[..., at : at + SIDE] for at in range(SHIFTS)]


def match_shifts(before: Tensor, after: Tensor) -> Tensor:
    """How unlike pictures are at every shift and place, `[B,SHIFTS,PLACES,PLACES]`; the logarithm
    of the mean absolute difference, relative to the mean over the shifts.
    """
    shifted = make_shifts(after)
    unlike = [F.avg_pool2d((before - part).abs().mean(dim=1), CELL) for part in shifted]
    cost = (torch.stack(unlike, dim=1) + 0.02).log()
    return cost - cost.mean(dim=1, keepdim=True)


def enlarge(maps: Tensor) -> Tensor:
    """Maps `[B,N,PLACES,PLACES]` at the resolution of pictures."""
    return maps.repeat_interleave(CELL, 2).repeat_interleave(CELL, 3)


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

    def draw_loss() -> Tensor:
        before, after = draw_pairs(generator, plan.batch)
        if training.step % RENEWED == 0 and training.step < plan.steps // 2:
            model.renew_codes(before, after, generator)
        loss, codes = model(before, after)
        model.used += torch.bincount(codes, minlength=cfg.codes)
        return loss

    training.run(draw_loss, steepness=2)
    return model.requires_grad_(False).eval()


@torch.no_grad()
def choose_codes(model: LatentActionModel, frames: Tensor, batch: int = 256) -> Tensor:
    """The codes int64 `[T]` between frames uint8 `[T+1,H,W,3]` of an episode."""
    pictures = shrink_frames(frames)
    pairs = zip(pictures[:-1].split(batch), pictures[1:].split(batch), strict=True)
    return torch.cat([model.choose(before, after).codes for before, after in pairs])


@torch.no_grad()
def measure_prediction(model: LatentActionModel, before: Tensor, after: Tensor) -> dict[str, float]:
    """Mean absolute errors in grey levels: of the prediction with its code, with a code from
    another pair, and of the frame before repeated.
    """
    vectors = model.book[model.choose(before, after).codes]
    guesses = {
        "code": model.predict(before, vectors),
        "other_code": model.predict(before, vectors.roll(1, dims=0)),
        "repeat": before,
    }
    return {name: float((g - after).abs().mean() * 127.5) for name, g in guesses.items()}
