"""How FAR is trained as published (arXiv 2503.19325): flow matching in which every frame has a
timestep of its own, and some frames are clean.

Knows no data and no optimiser. Everything random is drawn for a row at a time, from a seed of its
own, so that a batch may be split over processes.

Shape letters as in models/far_published/network.py, and T frames of a stretch, F of them in the
window.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.far_published.network import (
    CLEAN_CODE,
    NULL,
    FARReferenceConfig,
    FARReferenceNetwork,
    ReferenceFrames,
)
from models.nn.flow_matching import interpolate
from models.nn.rng import Rng

GRID = 1000


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """Shares of what is left out while training.

    Attributes:
        clean_context: of the window's frames, that are shown without noise and not predicted
            ("stochastic clean context"), so that play may show true frames.
        drop_condition: of the actions, or of the rows' labels, that become null (for guidance).
    """

    clean_context: float = 0.1
    drop_condition: float = 0.1


class Drawn(NamedTuple):
    """What a batch's loss depends on beside the data: noise `[B,F,C,h,w]`, timesteps `[B,F]` in
    1..1000, clean bool `[B,F]`, dropped bool `[B,T]`.
    """

    noise: Tensor
    timesteps: Tensor
    clean: Tensor
    dropped: Tensor


def window_of(cfg: FARReferenceConfig, frames: int) -> int:
    """F: how many of a stretch's frames are fine, the newest."""
    return frames if cfg.coarse_patch is None else min(cfg.window, frames)


def draw(cfg: FARReferenceConfig, flow: FlowConfig, frames: int, seeds: Sequence[int]) -> Drawn:
    """A row for each of the seeds."""
    rows = [_draw_row(cfg, flow, frames, seed) for seed in seeds]
    return Drawn(*(torch.stack(parts) for parts in zip(*rows, strict=True)))


def _draw_row(cfg: FARReferenceConfig, flow: FlowConfig, frames: int, seed: int) -> Drawn:
    drawn, window = Rng(torch.Generator().manual_seed(seed)), window_of(cfg, frames)
    shape = cfg.latent_channels, cfg.latent_size, cfg.latent_size
    # A label belongs to the whole row, an action to its frame.
    count = frames if cfg.condition == "action" else 1
    return Drawn(
        noise=drawn.normal(window, *shape),
        timesteps=logit_normal_timesteps(drawn.normal(window)),
        clean=drawn.chance(flow.clean_context, window),
        dropped=drawn.chance(flow.drop_condition, count).expand(frames),
    )


def logit_normal_timesteps(normal: Tensor) -> Tensor:
    """Timesteps 1 to 1000 of standard normal numbers: middle ones are likely (SD3,
    arXiv 2403.03206).
    """
    return GRID - (normal.sigmoid() * GRID).floor().clamp(max=GRID - 1)


def flow_loss(
    network: FARReferenceNetwork, latents: Tensor, conditions: Tensor, drawn: Drawn
) -> Tensor:
    """Each row's loss `[B]`: squared error of the velocity over the window's noisy frames.

    Args:
        network: predicts the velocity.
        latents: true frames `[B,T,C,h,w]`; those before the window are long-term memory.
        conditions: `[B,T]`, NULL for none.
        drawn: the noise, see Drawn.
    """
    window = drawn.noise.shape[1]
    split = latents.shape[1] - window
    conditions = conditions.masked_fill(drawn.dropped, NULL)
    truth, clean = latents[:, split:], drawn.clean[..., None, None, None]
    t = (drawn.timesteps / GRID)[..., None, None, None]
    shown = torch.where(clean, truth, interpolate(truth, drawn.noise, t))
    ids = torch.arange(latents.shape[1], device=latents.device)
    old = ReferenceFrames(
        latents[:, :split],
        ids[:split],
        torch.full_like(conditions[:, :split], network.cfg.memory_code, dtype=torch.float32),
        conditions[:, :split],
    )
    timesteps = drawn.timesteps.masked_fill(drawn.clean, CLEAN_CODE)
    new = ReferenceFrames(shown, ids[split:], timesteps, conditions[:, split:])
    error = network(old, new).float() - (drawn.noise - truth)
    noisy = (~drawn.clean).float()
    each = error.square().mean(dim=(2, 3, 4)) * noisy
    return each.sum(dim=1) / noisy.sum(dim=1).clamp(min=1)


@torch.no_grad()
def initialise_as_published(network: FARReferenceNetwork) -> None:
    """Weights to begin a training with: Glorot's uniform ones, small embeddings, and zeros where a
    block or the output should begin by doing nothing.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
            # Query, key and value are one matrix of ours and three of theirs.
            for part in module.weight.chunk(3 if name.endswith(".qkv") else 1):
                nn.init.xavier_uniform_(part)
    for layer in (network.embed_time[0], network.embed_time[2]):
        nn.init.normal_(layer.weight, std=0.02)
    still = [block.adaln.linear for block in network.blocks]
    for layer in (*still, network.out_modulation, *network.out.values()):
        nn.init.zeros_(layer.weight)
