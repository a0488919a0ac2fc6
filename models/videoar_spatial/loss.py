"""How VideoAR with a memory in space learns: cross-entropy of every label of one frame, in two
passes as in play: over the finished frames before it, and over its scales, which are told the view.

Labels of all frames are flipped as in the training on clips (models/videoar/loss.py); knows no data
and no optimiser. Shapes: B samples, T frames of which the last is the target, F = T - 1 before it,
n tokens of a scale, m labels of a token.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.codec.multiscale_quantizer import MultiscaleQuantizer
from models.videoar.attention_mask import frame_mask, token_levels
from models.videoar.levels import own_mask, scale_input
from models.videoar.loss import Drawn, label_loss, scale_weights
from models.videoar.network import KV, NULL, LevelTokens, VideoARNetwork

SEEN = 0.9  # share of a cell's pixels that memory must show for it to count as seen


class ViewClip(NamedTuple):
    """Samples.

    Attributes:
        features: `[B,T,d,h,w]` of true frames, before quantisation.
        known: bool `[B,F]`, which of the frames before the target there are.
        view: `[B,V,h,w]` what memory shows of the target (describe_view).
        conditions: actions `[B]` that led to it, NULL for none.
    """

    features: Tensor
    known: Tensor
    view: Tensor
    conditions: Tensor

    @property
    def seen(self) -> Tensor:
        """Which cells of the target memory shows, bool `[B,h*w]`."""
        share = self.view[:, -1] + 0.5
        return (share > SEEN).flatten(1)


class TrainingView(NamedTuple):
    """A clip with its errors: sums `[B,F,d,h,w]` of the frames before the target; what each of its
    scales is shown, `[B,d+V or d,h_k,w_k]`, and their right labels `[B,n,m]`.
    """

    context: Tensor
    inputs: list[Tensor]
    targets: list[Tensor]


@torch.no_grad()
def prepare_view(
    quantizer: MultiscaleQuantizer, clip: ViewClip, drawn: Drawn, view_scales: int
) -> TrainingView:
    """Quantise a clip with errors; its target's first scale is shown what became of the frame
    before, and nothing where that is not known.
    """
    batch, frames = clip.features.shape[:2]
    pyramid = quantizer.build_pyramid(
        clip.features.flatten(0, 1),
        drawn.rates.flatten(0, 1),
        [part.flatten(0, 1) for part in drawn.flips],
    )

    def split(part: Tensor) -> Tensor:
        return part.unflatten(0, (batch, frames))

    whole = split(pyramid.sums[-1])
    before = whole[:, -2] * clip.known[:, -1, None, None, None]
    shown = [before, *(split(total)[:, -1] for total in pyramid.sums[:-1])]
    inputs = [
        scale_input(quantizer, total, scale, clip.view if scale < view_scales else None)
        for scale, total in enumerate(shown)
    ]
    return TrainingView(whole[:, :-1], inputs, [split(part)[:, -1] for part in pyramid.targets])


def encode_frames(network: VideoARNetwork, sums: Tensor, seen: Tensor) -> list[KV]:
    """Keys and values of finished frames, as they are remembered, layer by layer.

    Args:
        network: the transformer.
        sums: of their codes `[B,F,d,h,w]`; they are numbered from 0.
        seen: which frames a frame sees before itself, bool `[1 or B,F,F]`.
    """
    batch, frames = sums.shape[:2]
    last = len(network.quantizer.scales)
    tokens = math.prod(network.sizes[last])
    itself = torch.eye(frames, dtype=torch.bool, device=seen.device)
    mask = (seen | itself).repeat_interleave(tokens, 1).repeat_interleave(tokens, 2)
    numbers = torch.arange(frames, device=sums.device).expand(batch, -1)
    told = LevelTokens([sums], last, numbers, torch.full_like(numbers, NULL))
    return network.encode(told, mask=mask.unsqueeze(1))


def frame_logits(
    network: VideoARNetwork,
    inputs: Sequence[Tensor],
    conditions: Tensor,
    context: list[KV],
    seen: Tensor,
) -> list[Tensor]:
    """Logits of every scale of the frame that follows, `[B,n,m,choices]`.

    Args:
        network: the transformer.
        inputs: of its scales, `[B,c,h_k,w_k]`.
        conditions: `[B]`, NULL for none.
        context: of the frames before it.
        seen: which of them it sees, bool `[B,F]`.
    """
    scales, count = range(len(network.quantizer.scales)), seen.shape[1]
    level = token_levels(network.sizes[: len(scales)]).to(seen.device)
    own = own_mask(scales, len(scales)).to(seen.device)[level][:, level]
    each = context[0].k.shape[2] // count
    past = seen.repeat_interleave(each, 1).unsqueeze(1).expand(-1, len(level), -1)
    mask = torch.cat((past, own.expand(len(seen), -1, -1)), dim=2).unsqueeze(1)
    numbers = torch.full_like(conditions, count).unsqueeze(1)
    shown = [part.unsqueeze(1) for part in inputs]
    output = network(LevelTokens(shown, 0, numbers, conditions.unsqueeze(1)), context, mask)
    return [part.squeeze(1) for part in network.predict(output, scales)]


def view_loss(
    network: VideoARNetwork, quantizer: MultiscaleQuantizer, clip: ViewClip, drawn: Drawn
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch, and what to log of it: `bits` of a frame, and of a token of its last
    scale where memory shows its cell (`seen`) and where not (`unseen`).

    Args:
        network: learns.
        quantizer: fixed.
        clip: true frames and views.
        drawn: see Drawn.
    """
    view = prepare_view(quantizer, clip, drawn, network.cfg.view_scales)
    frames = clip.known.shape[1]
    seen = frame_mask(frames + 1, network.cfg.window, drawn.kept)
    seen = seen[:, :, :-1] & clip.known.unsqueeze(1)
    context = encode_frames(network, view.context, seen[:, :-1])
    conditions = clip.conditions.masked_fill(drawn.dropped[:, -1], NULL)
    logits = frame_logits(network, view.inputs, conditions, context, seen[:, -1])
    pairs = zip(logits, view.targets, strict=True)
    losses = [label_loss(*pair) for pair in pairs]
    weights = scale_weights(quantizer.cfg)
    loss = sum(weight * part.mean() for weight, part in zip(weights, losses, strict=True))
    return loss, {"loss": float(loss.detach())} | measure_bits(losses, clip.seen)


def measure_bits(losses: Sequence[Tensor], seen: Tensor) -> dict[str, float]:
    """See view_loss; losses `[B,n,m]` in nats of every scale, seen bool `[B,n]` of the last."""
    whole = torch.stack([part.detach().sum(dim=(1, 2)).mean() for part in losses]).sum()
    token = losses[-1].detach().sum(dim=2)
    parts = [(token * cells).sum() / cells.sum().clamp(min=1) for cells in (seen, ~seen)]
    told = (torch.stack((whole, *parts)) / math.log(2)).tolist()
    return dict(zip(("bits", "seen", "unseen"), told, strict=True))
