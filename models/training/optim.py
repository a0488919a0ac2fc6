"""What train_world.py is made of: settings, optimisers, the averaged network, precision, and the
state that resumes.
"""

import copy
import time
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from models.codec.patch_autoencoder import AutoencoderConfig
from models.far.loss import LossConfig, Stage
from models.far.network import FARConfig
from models.retrieval_stack.geometry import GeometryConfig
from models.retrieval_stack.train_geometry import GeometryTraining
from models.training.muon import Muon
from models.training.reward import OutcomeTraining
from worldsim.paths import check_name


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Folders of episodes, and how clips are cut from them (ClipSampler)."""

    train: str
    heldout: str
    cache: str
    longest: int = 300
    short_length: int = 40
    short: float = 0.3
    rests: float = 0.0


@dataclass(frozen=True, kw_only=True)
class CodecTraining:
    """Frames the encoder is found from, and how long the decoder learns."""

    fit_frames: int = 20000
    steps: int = 1500
    batch: int = 16
    lr: float = 1e-3


@dataclass(frozen=True, kw_only=True)
class DynamicsTraining:
    """The main run. Shares are of `steps`; `save_minutes` and `sheet_minutes` are wall clock."""

    steps: int
    batch: int = 6
    lr: float = 1e-3
    muon_lr: float = 2e-3
    warmup: int = 200
    decay: float = 0.2
    ema: float = 0.998
    clip_norm: float = 1.0
    weight_decay: float = 0.01
    shortcuts_from: float = 0.7
    residuals_from: float = 0.2
    own_context_from: float = 0.3
    save_minutes: float = 3.0
    sheet_minutes: float = 15.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def rate(self, step: int) -> float:
        """Learning rate factor: warm-up, constant, linear to zero over the last `decay`."""
        left = (self.steps - step) / max(self.decay * self.steps, 1)
        return max(min((step + 1) / max(self.warmup, 1), left, 1.0), 0.0)

    def stage(self, step: int) -> Stage:
        """What is switched on at a step; the costly things take turns."""
        done, turn = step / self.steps, step % 4
        jumps = "any" if done < self.shortcuts_from else "shortcut" if turn == 1 else "short"
        own = {0: 2, 2: 1}.get(turn, 0) if done >= self.own_context_from else 0
        return Stage(jumps=jumps, residuals=done >= self.residuals_from, own_context=own)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A world to train: `assets/configs/*.yaml`. `steps`: sampler steps a frame it is played at."""

    name: str
    title: str
    action_set: str
    fps: float
    engine: str
    licence: str
    data: DataConfig
    codec: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    codec_training: CodecTraining = field(default_factory=CodecTraining)
    dynamics: FARConfig
    loss: LossConfig = field(default_factory=LossConfig)
    training: DynamicsTraining
    geometry: GeometryConfig | None = None
    geometry_training: GeometryTraining = field(default_factory=GeometryTraining)
    outcome_training: OutcomeTraining = field(default_factory=OutcomeTraining)
    seed: int = 0
    steps: int = 1

    def __post_init__(self):
        check_name(self.name, "name")


def optimisers(network: nn.Module, cfg: DynamicsTraining) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices of the blocks, AdamW for everything else."""
    hidden = [
        p
        for name, p in network.named_parameters()
        if name.startswith("blocks.") and p.ndim == 2 and "adaln" not in name
    ]
    chosen = {id(p) for p in hidden}
    rest = [p for p in network.parameters() if id(p) not in chosen]
    return [
        Muon(hidden, lr=cfg.muon_lr, weight_decay=cfg.weight_decay),
        torch.optim.AdamW(rest, lr=cfg.lr, betas=(0.9, 0.98), weight_decay=cfg.weight_decay),
    ]


def set_rate(opts: list[torch.optim.Optimizer], cfg: DynamicsTraining, step: int) -> None:
    """Apply the schedule."""
    for opt, base in zip(opts, (cfg.muon_lr, cfg.lr), strict=True):
        for group in opt.param_groups:
            group["lr"] = base * cfg.rate(step)


def averaged(network: nn.Module) -> nn.Module:
    """A copy that gathers the exponential average of the weights."""
    return copy.deepcopy(network).requires_grad_(False).eval()


def gather(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the average towards the network; faster at the start, so that it does not remember the
    initial weights.
    """
    move_average(average, network, min(decay, (1 + step) / (10 + step)))


@torch.no_grad()
def move_average(average: nn.Module, network: nn.Module, keep: float) -> None:
    """average = keep * average + (1 - keep) * network."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - keep)


def matmul_seconds(
    dtype: torch.dtype, device: torch.device, size: int = 256, repeats: int = 5
) -> float:
    """Seconds of one size^3 matrix product: the best of a few, since other programs interfere."""
    a = torch.randn(size, size, device=device).to(dtype)
    (a @ a).sum().item()
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        (a @ a).sum().item()
        found.append(time.perf_counter() - start)
    return min(found)


def pick_precision(wish: str, device: torch.device) -> torch.dtype:
    """bfloat16 where this machine multiplies it faster than float32, by a measurement of
    milliseconds.
    """
    if wish != "auto":
        return getattr(torch, wish)
    faster = matmul_seconds(torch.bfloat16, device) < matmul_seconds(torch.float32, device)
    return torch.bfloat16 if faster else torch.float32
