"""How VideoAR learns: cross-entropy of every label of every frame and scale in one masked pass,
with flipped labels (error_correction.py), masked frames and dropped conditions.

Knows no data and no optimiser. Everything random is drawn for a row at a time, from a seed of its
own, so that a batch may be split over processes. Shapes: B clips, T frames, K scales, n tokens of a
scale, m labels of a token.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.codec.multiscale_quantizer import MultiscaleQuantizer, QuantizerConfig
from models.nn.rng import Rng
from models.videoar.attention_mask import clip_mask, frame_mask
from models.videoar.error_correction import CorrectionConfig, flip_rates
from models.videoar.levels import level_inputs
from models.videoar.network import NULL, LevelTokens, VideoARNetwork


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """What makes training harder than play.

    Attributes:
        correction: shares of flipped labels.
        mask_frames: chance that a frame of the past is hidden from a frame (Random Frame Mask).
        drop_condition: chance that a frame has no condition (for guidance).
    """

    correction: CorrectionConfig = field(default_factory=CorrectionConfig)
    mask_frames: float = 0.0
    drop_condition: float = 0.1


class Drawn(NamedTuple):
    """What a batch's loss depends on beside the data.

    Attributes:
        rates: `[B,T,K]` shares of flipped labels.
        flips: of each scale, numbers from 0 to 1 `[B,T,n,m]`.
        kept: bool `[B,T,T]`, which frames of the past a frame may see.
        dropped: bool `[B,T]`, frames without a condition.
    """

    rates: Tensor
    flips: list[Tensor]
    kept: Tensor
    dropped: Tensor


class TrainingClip(NamedTuple):
    """A clip with its errors: inputs of every level `[B,T,d,h_k,w_k]`, and the right labels
    `[B,T,n,m]` of every scale.
    """

    inputs: list[Tensor]
    targets: list[Tensor]


def draw(cfg: LossConfig, quantizer: QuantizerConfig, frames: int, seeds: Sequence[int]) -> Drawn:
    """A row for each of the seeds."""
    rows = [_draw_row(cfg, quantizer, frames, seed) for seed in seeds]
    flips = [torch.stack(parts) for parts in zip(*(row.flips for row in rows), strict=True)]
    rates, kept, dropped = (
        torch.stack([getattr(row, name) for row in rows]) for name in ("rates", "kept", "dropped")
    )
    return Drawn(rates, flips, kept, dropped)


def _draw_row(cfg: LossConfig, quantizer: QuantizerConfig, frames: int, seed: int) -> Drawn:
    drawn = Rng(torch.Generator().manual_seed(seed))
    rates = flip_rates(cfg.correction, drawn.uniform(1, frames, len(quantizer.scales)))[0]
    flips = [drawn.uniform(frames, n, quantizer.labels) for n in quantizer.tokens]
    kept = ~drawn.chance(cfg.mask_frames, frames, frames)
    return Drawn(rates, flips, kept, drawn.chance(cfg.drop_condition, frames))


@torch.no_grad()
def prepare_clip(
    quantizer: MultiscaleQuantizer, features: Tensor, drawn: Drawn, context: str
) -> TrainingClip:
    """Quantise clips of features `[B,T,d,h,w]` with errors; each frame's first level is shown what
    became of the frame before.
    """
    batch, frames = features.shape[:2]
    pyramid = quantizer.build_pyramid(
        features.flatten(0, 1), drawn.rates.flatten(0, 1), [f.flatten(0, 1) for f in drawn.flips]
    )
    whole = pyramid.sums[-1].unflatten(0, (batch, frames))
    before = torch.cat((torch.zeros_like(whole[:, :1]), whole[:, :-1]), dim=1)
    inputs = level_inputs(quantizer, pyramid.sums, before.flatten(0, 1), context)
    shaped = ([x.unflatten(0, (batch, frames)) for x in part] for part in (inputs, pyramid.targets))
    return TrainingClip(*shaped)


def clip_logits(
    network: VideoARNetwork, inputs: Sequence[Tensor], conditions: Tensor, seen: Tensor
) -> list[Tensor]:
    """Logits of every scale `[B,T,n,m,choices]`, all frames in one pass.

    Args:
        network: the transformer.
        inputs: of every level, `[B,T,d,h_k,w_k]`.
        conditions: `[B,T]`, NULL for none.
        seen: which frames a frame sees, see frame_mask.
    """
    frames = torch.arange(conditions.shape[1], device=conditions.device).expand_as(conditions)
    mask = clip_mask(network.cfg, network.quantizer, seen.to(conditions.device))
    output = network(LevelTokens(inputs, 0, frames, conditions), mask=mask)
    return network.predict(output, range(len(network.quantizer.scales)))


def videoar_loss(
    network: VideoARNetwork,
    quantizer: MultiscaleQuantizer,
    features: Tensor,
    conditions: Tensor,
    drawn: Drawn,
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch, and what to log of it: `bits` where a clip has more than one frame.

    Args:
        network: learns.
        quantizer: fixed.
        features: of true frames, before quantisation, `[B,T,d,h,w]`.
        conditions: `[B,T]`, NULL for none.
        drawn: see Drawn.
    """
    clip = prepare_clip(quantizer, features, drawn, network.cfg.context)
    seen = frame_mask(features.shape[1], network.cfg.window, drawn.kept)
    conditions = conditions.masked_fill(drawn.dropped.to(conditions.device), NULL)
    logits = clip_logits(network, clip.inputs, conditions, seen)
    pairs = zip(logits, clip.targets, strict=True)
    losses = [label_loss(*pair) for pair in pairs]
    weights = scale_weights(quantizer.cfg)
    loss = sum(weight * part.mean() for weight, part in zip(weights, losses, strict=True))
    told = {"loss": float(loss.detach())}
    return loss, told | ({"bits": frame_bits(losses)} if features.shape[1] > 1 else {})


def label_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy `[B,T,n,m]` in nats."""
    flat = F.cross_entropy(logits.float().flatten(0, -2), targets.flatten(), reduction="none")
    return flat.view_as(targets)


def scale_weights(cfg: QuantizerConfig) -> list[float]:
    """What the mean loss of each scale weighs, 1 in all: a token of a scale with a quarter of the
    cells weighs twice as much (Infinity's).
    """
    weights = [count * math.sqrt(cfg.tokens[-1] / count) for count in cfg.tokens]
    return [weight / sum(weights) for weight in weights]


def frame_bits(losses: Sequence[Tensor]) -> float:
    """Bits that a frame costs after the first one of a clip: minus its log-likelihood."""
    later = [part.detach()[:, 1:].sum(dim=(2, 3)).mean() for part in losses]
    return float(torch.stack(later).sum()) / math.log(2)
