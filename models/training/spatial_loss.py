"""Flow matching on single frames with a memory in space: x-prediction with velocity weight, the
errors of seen and of unseen cells averaged apart and added one to one.
"""

import functools
from typing import NamedTuple

import torch
from torch import Tensor

from models.codec.patch_autoencoder import PatchAutoencoder
from models.memory.renderer import MemoryView
from models.nn.flow_matching import euler_step, interpolate, shortcut_target
from models.spatial.condition import encode_view
from models.spatial.network import (
    COARSE_KIND,
    FINE,
    JUMPS,
    KV,
    SHORTEST,
    FrameCondition,
    SpatialNetwork,
)
from models.training.spatial_chain import OwnFrames, Predict
from models.training.spatial_config import SpatialLossConfig
from models.training.spatial_samples import Samples

SEEN = 0.9  # share of a cell's pixels that memory must show for it to count as seen
RESIDUALS = 512  # old errors that are kept


class Inputs(NamedTuple):
    """What the network is given beside noise: clean latents `[B,C,h,w]`, condition, context."""

    clean: Tensor
    frame: FrameCondition
    fine: Tensor
    fine_poses: Tensor
    coarse: Tensor
    coarse_poses: Tensor
    mask: Tensor

    def pick(self, rows: Tensor, groups: Tensor) -> "Inputs":
        """The targets `rows` `[R]` alone, with the context frames of their `groups` `[R/G]`."""
        frame = FrameCondition(*(part[rows] for part in self.frame))
        context = (self.fine, self.fine_poses, self.coarse, self.coarse_poses)
        of_groups = (part[groups] for part in context)
        return Inputs(self.clean[rows], frame, *of_groups, self.mask[rows])


class Stage(NamedTuple):
    """What a step of training asks for: memories with errors of earlier steps, memories with the
    network's own frames, long sampler steps.
    """

    residuals: bool = False
    own_frames: bool = False
    shortcuts: bool = False


class SpatialLoss:
    """The loss, and the errors of earlier steps that damage memories.

    Args:
        cfg: shares.
        codec: frames to latents.
        own_frames: completes memories by generated frames.
        generator: of everything drawn.
    """

    def __init__(
        self,
        cfg: SpatialLossConfig,
        codec: PatchAutoencoder,
        own_frames: OwnFrames,
        generator: torch.Generator,
    ):
        self.cfg, self.codec, self.generator = cfg, codec, generator
        self.own_frames = own_frames
        self.residuals: Tensor | None = None

    def __call__(
        self,
        network: SpatialNetwork,
        average: SpatialNetwork,
        samples: Samples,
        stage: Stage,
    ) -> tuple[Tensor, dict[str, float]]:
        """Loss and measures of a batch."""
        tokens = network.cfg.fine_tokens, network.cfg.coarse_tokens
        if stage.own_frames:
            ready = functools.partial(self.make_predict, network)
            samples = self.own_frames.extend(samples, ready)
        with torch.no_grad():
            inputs = self.prepare(samples, tokens, stage.residuals)
        context = encode_context(network, inputs)
        t = self._levels(len(inputs.clean))
        noise = self._normal(inputs.clean.shape)
        noisy, jumps, target = (
            interpolate(inputs.clean, noise, wide(t)),
            torch.full_like(t, SHORTEST, dtype=torch.long),
            None,
        )
        if stage.shortcuts:
            t, jumps, noisy, target = self._shortcuts(average, inputs, t, noisy, noise)
        predicted = network(noisy, t, jumps, inputs.frame, context, inputs.mask)
        error = (predicted - (inputs.clean if target is None else target)).square().mean(dim=1)
        loss = balance_errors(
            error / t.clamp(min=self.cfg.least).square()[:, None, None], inputs.frame
        )
        self._keep((predicted - inputs.clean).detach())
        return 0.3 * loss, self._measures(error.detach(), t, inputs.frame)

    def make_predict(self, network: SpatialNetwork, samples: Samples) -> Predict:
        """The network, ready to generate the frames of samples."""
        tokens = network.cfg.fine_tokens, network.cfg.coarse_tokens
        inputs = self.prepare(samples, tokens, residuals=False)
        context = encode_context(network, inputs)

        def predict(x: Tensor, level: Tensor, jumps: Tensor) -> Tensor:
            return network(x, level, jumps, inputs.frame, context, inputs.mask)

        return predict

    def prepare(self, samples: Samples, tokens: tuple[int, int], residuals: bool) -> Inputs:
        """Latents, conditions and masks of samples; `tokens` of a fine and of a coarse frame."""
        view = samples.view
        if residuals:
            view = self._add_residuals(view)
        features = encode_view(self.codec, view)
        frame = FrameCondition(
            features.latents,
            features.mask,
            features.inverse_depth,
            self._drop_actions(samples.actions),
            samples.motions,
            samples.poses,
        )
        fine, coarse = (self.codec.encode(part) for part in (samples.fine, samples.coarse))
        if residuals and self.residuals is not None:
            fine, coarse = self._add_old(fine), self._add_old(coarse)
        mask = token_mask(samples, *tokens)
        clean = self.codec.encode(samples.frames)
        return Inputs(clean, frame, fine, samples.fine_poses, coarse, samples.coarse_poses, mask)

    def _drop_actions(self, actions: Tensor) -> Tensor:
        """A fifth of the actions unknown: the pose says all that they do."""
        drop = torch.rand(len(actions), generator=self.generator) < 0.2
        return torch.where(drop.to(actions.device), -1, actions)

    def _add_residuals(self, view: MemoryView) -> MemoryView:
        """Views with old errors of the network, as pictures."""
        if self.residuals is None:
            return view
        old = self._old(len(view.rgb))
        pictures = self.codec.linear_decode(old) - self.codec.linear_decode(torch.zeros_like(old))
        chosen = self._chance(self.cfg.residuals, len(old)).view(-1, 1, 1, 1)
        rgb = view.rgb + pictures * chosen * view.known.unsqueeze(1)
        return view._replace(rgb=rgb)

    def _add_old(self, latents: Tensor) -> Tensor:
        """Context latents `[B,R,C,h,w]`, some with old errors."""
        old = self._old(latents.shape[0] * latents.shape[1]).view_as(latents)
        chosen = self._chance(self.cfg.residuals, *latents.shape[:2])
        return latents + old * chosen[..., None, None, None]

    def _old(self, count: int) -> Tensor:
        index = torch.randint(len(self.residuals), (count,), generator=self.generator)
        return self.residuals[index.to(self.residuals.device)]

    def _keep(self, errors: Tensor) -> None:
        old = errors if self.residuals is None else torch.cat((errors, self.residuals))
        self.residuals = old[:RESIDUALS]

    def _levels(self, batch: int) -> Tensor:
        """Noise levels `[B]`."""
        which = torch.rand(batch, generator=self.generator)
        normal = torch.randn(batch, generator=self.generator)
        level = torch.rand(batch, generator=self.generator)
        pure, bell = self.cfg.pure, self.cfg.logit_normal
        level = torch.where(which < pure + bell, torch.sigmoid(1.2 * normal + 0.5), level)
        return torch.where(which < pure, 1.0, level).clamp(min=0.02).to(self.device)

    @torch.no_grad()
    def _shortcuts(
        self, average: SpatialNetwork, inputs: Inputs, t: Tensor, noisy: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Levels, jumps, inputs and targets, of which a share asks for what two half jumps of the
        average say.
        """
        group, groups = len(t) // len(inputs.fine), len(inputs.fine)
        # drawn on the host, which then need not ask the device how many there are
        drawn = torch.rand(groups, generator=self.generator) < self.cfg.shortcuts
        chosen = torch.nonzero(drawn).flatten()
        rows = (chosen.unsqueeze(1) * group + torch.arange(group)).flatten().to(t.device)
        jumps = torch.full_like(t, SHORTEST, dtype=torch.long)
        if not len(chosen):
            return t, jumps, noisy, inputs.clean
        part = inputs.pick(rows, chosen.to(t.device))
        count = len(rows)
        lengths = torch.tensor(JUMPS, device=t.device)
        long = torch.randint(SHORTEST, (count,), generator=self.generator).to(t.device)
        d = lengths[long]
        steps_before = torch.rand(count, generator=self.generator).to(t.device) / d
        at = (d * (1 + steps_before.floor())).clamp(max=1.0)
        x_t = interpolate(part.clean, noise[rows], wide(at))
        context = encode_context(average, part)
        first = average(x_t, at, long + 1, part.frame, context, part.mask)
        middle = euler_step(x_t, first, wide(at), wide(d / 2))
        second = average(middle, at - d / 2, long + 1, part.frame, context, part.mask)
        told = shortcut_target(x_t, wide(at), wide(d), first, middle, second)
        jumps = jumps.index_copy(0, rows, long)
        target = inputs.clean.index_copy(0, rows, told.to(inputs.clean.dtype))
        noisy = noisy.index_copy(0, rows, x_t.to(noisy.dtype))
        return t.index_copy(0, rows, at.to(t.dtype)), jumps, noisy, target

    def _measures(self, error: Tensor, t: Tensor, frame: FrameCondition) -> dict[str, float]:
        """Mean errors at pure noise in cells that are not seen and that are seen, and below."""
        seen, pure = frame.seen[:, 0] > SEEN, (t > 0.99)[:, None, None]
        parts = {"unseen": pure & ~seen, "seen": pure & seen, "noisy": ~pure.expand_as(seen)}
        sums = [number for part in parts.values() for number in ((error * part).sum(), part.sum())]
        told = torch.stack(sums).tolist()  # read at once: a GPU waits for each reading
        means = (total / max(count, 1) for total, count in zip(told[::2], told[1::2], strict=True))
        return dict(zip(parts, means, strict=True))

    @property
    def device(self) -> torch.device:
        """Where the codec is."""
        return self.codec.mean.device

    def _chance(self, probability: float, *shape: int) -> Tensor:
        return (torch.rand(shape, generator=self.generator) < probability).to(self.device)

    def _normal(self, shape: torch.Size) -> Tensor:
        return torch.randn(shape, generator=self.generator).to(self.device)


def balance_errors(error: Tensor, frame: FrameCondition) -> Tensor:
    """Half the mean error of seen cells plus half that of the others; error `[B,h,w]`."""
    seen = (frame.seen[:, 0] > SEEN).float()
    known = (error * seen).sum() / (seen.sum() + 1)
    unknown = (error * (1 - seen)).sum() / ((1 - seen).sum() + 1)
    return 0.5 * known + 0.5 * unknown


def encode_context(network: SpatialNetwork, inputs: Inputs) -> KV:
    """Keys and values of all context frames of every target, fine ones first."""
    group = len(inputs.clean) // len(inputs.fine)
    fine = network.encode_context(inputs.fine, inputs.fine_poses, FINE)
    coarse = network.encode_context(inputs.coarse, inputs.coarse_poses, COARSE_KIND)
    context = join_context(fine, coarse)
    return KV(*([part.repeat_interleave(group, dim=0) for part in parts] for parts in context))


def join_context(*parts: KV) -> KV:
    """Keys and values of several groups of context frames as one."""
    layers = (
        [torch.cat(x, dim=2) for x in zip(*group, strict=True)]
        for group in zip(*parts, strict=True)
    )
    return KV(*layers)


def token_mask(samples: Samples, own: int, coarse: int) -> Tensor:
    """Additive `[B,1,1,own + N]`: a frame's own tokens see themselves and what context there is."""
    group = len(samples.frames) // len(samples.fine)
    fine = samples.fine_known.repeat_interleave(own, dim=1)
    past = samples.coarse_known.repeat_interleave(coarse, dim=1).repeat_interleave(group, dim=0)
    known = torch.cat((fine, past), dim=1)
    visible = torch.cat((known.new_ones(len(known), own), known), dim=1)
    return torch.where(visible, 0.0, -torch.inf)[:, None, None]


def wide(numbers: Tensor) -> Tensor:
    """`[B]` -> `[B,1,1,1]`."""
    return numbers[:, None, None, None]
