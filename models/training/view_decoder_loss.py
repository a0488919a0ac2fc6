"""What a decoder that sees the view learns from: true frames where latents or memory tell them, and
a critic everywhere.

A dream's latents say what is there, not what the frame of the walk looked like: where memory knows
nothing, such a picture is held to its own latents, coarsely, to as much detail as the truth has,
and to the critic. Some rows have the true frame's latents, slightly noisy; there the whole picture
is known.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.codec.view_critic import (
    Judgement,
    ViewCritic,
    gradient_penalty,
    place_weights,
    relativistic_loss,
)

BLOCK = 16  # pixels each way over which an invented picture is held to its latents
PATCH = 8  # pixels each way over which it is held to the truth's amount of detail


class ViewBatch(NamedTuple):
    """What is shown and what is known.

    Attributes:
        truth: true pictures `[B,3,H,W]`.
        linear: the linear decoding of what the decoder is given.
        seen, hint: what memory shows, and has a doubtful colour of, float `[B,1,H,W]`.
        own: whose latents the network has made, float `[B,1,1,1]`.
    """

    truth: Tensor
    linear: Tensor
    seen: Tensor
    hint: Tensor
    own: Tensor

    @property
    def told(self) -> Tensor:
        """Pixels whose truth follows from what the decoder is given, float `[B,1,H,W]`."""
        return torch.maximum(self.seen + self.hint, (1 - self.own).expand_as(self.seen))

    @property
    def judged(self) -> Tensor:
        """How much a pixel counts for the critic: memory shows many as they are."""
        return 1 - 0.5 * self.seen


def faithful_loss(made: Tensor, batch: ViewBatch) -> Tensor:
    """How far pictures are from the truth where it is told, and from their latents elsewhere."""
    error = made - batch.truth
    exact = batch.seen * batch.own
    loose = batch.told - exact
    across, down = error.diff(dim=-1).abs(), error.diff(dim=-2).abs()
    edges = mean_over(across, loose[..., 1:]) + mean_over(down, loose[..., 1:, :])
    near = mean_over(error.abs() + 2 * error.square(), loose) + 0.3 * edges
    kept = F.avg_pool2d((made - batch.linear) * (1 - batch.told), BLOCK).abs().mean()
    return mean_over(error.abs(), exact) + 0.5 * near + 2 * kept


def detail_loss(made: Tensor, batch: ViewBatch) -> Tensor:
    """How much more or less detail than the truth pictures have where it is not told: a critic that
    rarely meets a flat wall at arm's length does not say how much is too much.
    """
    weight = F.avg_pool2d(1 - batch.told, PATCH)
    return mean_over((measure_detail(made) - measure_detail(batch.truth)).abs(), weight)


def measure_detail(pictures: Tensor) -> Tensor:
    """Mean difference of neighbouring pixels `[B,3,H/PATCH,W/PATCH]` of pictures `[B,3,H,W]`."""
    across = F.pad(pictures.diff(dim=-1).abs(), (0, 1))
    down = F.pad(pictures.diff(dim=-2).abs(), (0, 0, 0, 1))
    return F.avg_pool2d(across + down, PATCH)


def feature_loss(made: Judgement, truth: Judgement, told: Tensor) -> Tensor:
    """How far a critic's features are from the truth's where it is told."""
    errors = []
    for ours, theirs in zip(made.features, truth.features, strict=True):
        place = F.avg_pool2d(told, told.shape[-1] // ours.shape[-1])
        errors.append(((ours - theirs).abs() * place).mean() / theirs.abs().mean())
    return torch.stack(errors).mean()


def critic_loss(critic: ViewCritic, made: Tensor, batch: ViewBatch, penalty: float) -> Tensor:
    """The critic's own loss; `penalty`: weight of its gradients, 0 where they are left out."""
    made, truth = made.detach().float(), batch.truth.clone()
    if penalty:
        made.requires_grad_(True)
        truth.requires_grad_(True)
    ours, theirs = critic(made, batch.seen), critic(truth, batch.seen)
    weights = place_weights(ours, batch.judged)
    loss = relativistic_loss(theirs, ours, weights)
    if penalty:
        parts = ((theirs, truth), (ours, made))
        loss = loss + penalty * sum(gradient_penalty(j, p, weights) for j, p in parts)
    return loss


def mean_over(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of `[B,C,h,w]` over places that count by `[B,1,h,w]`."""
    return (values * weight).sum() / (values.shape[1] * weight.sum() + 1)
