"""VideoAR as a dynamics: initial / observe / imagine over an explicit carry.

A step: every scale in one pass over its tokens, coarse to fine, its labels drawn with the given
noise; then (context "whole") one more pass over the finished frame, whose keys are remembered.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.codec.label_channels import latent_shape, pack_labels, split_slots, unpack_labels
from models.codec.multiscale_quantizer import MultiscaleQuantizer, QuantizerConfig
from models.videoar.attention_mask import token_levels
from models.videoar.carry import EMPTY, VideoARCarry
from models.videoar.config import PlayConfig
from models.videoar.guidance import apply_guidance, guidance_at
from models.videoar.levels import level_inputs, own_mask, remembered_levels, scale_input
from models.videoar.loss import label_loss
from models.videoar.network import KV, NULL, LevelTokens, Output, VideoARNetwork, join
from models.videoar.sampler import sample_labels, to_uniform


class Frame(NamedTuple):
    """A frame in the making: its dreams and actions `[B]`, what its tokens see (layer by layer),
    and which of that is there, bool `[B,M]`.
    """

    carry: VideoARCarry
    actions: Tensor
    context: list[KV]
    visible: Tensor

    def after(self, kv: Sequence[KV]) -> "Frame":
        """The same when some of its own tokens have been run."""
        context = [join(*pair) for pair in zip(self.context, kv, strict=True)]
        own = self.visible.new_ones(len(self.visible), kv[0].k.shape[2])
        return self._replace(context=context, visible=torch.cat((self.visible, own), dim=1))


class Sampled(NamedTuple):
    """A frame that was sampled: labels of the scales that were predicted, `[B,n,m]` each, the sum
    `[B,d,h,w]` of their codes, what the next scale would see, and the scales' keys and values.
    """

    labels: list[Tensor]
    total: Tensor
    frame: Frame
    own: list[list[KV]]

    def latents(self, cfg: QuantizerConfig) -> Tensor:
        """`[B,C,h,w]`, with their labels."""
        return torch.cat((self.total, pack_labels(self.labels, cfg)), dim=1)


class FrameBits(NamedTuple):
    """What true frames cost: bits `[B,K]` of each scale's labels, and which share of them `[B,K]`
    was the likeliest.
    """

    bits: Tensor
    likeliest: Tensor


class VideoARDynamics(nn.Module):
    """The network run one frame at a time.

    Args:
        network: trained.
        quantizer: of the codec whose latents it makes.
        play: how labels are drawn.
    """

    def __init__(self, network: VideoARNetwork, quantizer: MultiscaleQuantizer, play: PlayConfig):
        super().__init__()
        self.network, self.quantizer, self.play = network, quantizer, play
        self.cfg = network.cfg
        self.levels = remembered_levels(self.cfg, quantizer.cfg)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """C, h, w."""
        return latent_shape(self.quantizer.cfg)

    @property
    def branches(self) -> int:
        """G: with the condition, and without where there is guidance."""
        return 2 if self.play.guidance.used else 1

    @property
    def frame_tokens(self) -> int:
        """Tokens of a remembered frame."""
        sizes = [self.network.sizes[level] for level in self.levels]
        return sum(h * w for h, w in sizes)

    def initial(self, batch: int) -> VideoARCarry:
        """Dreams that have seen nothing."""
        cfg, at = self.cfg, {"device": self.network.out.weight.device}
        slots = cfg.window * self.frame_tokens
        shape = cfg.layers, batch, self.branches, cfg.heads, slots, cfg.head_size
        return VideoARCarry(
            frame=torch.zeros(batch, dtype=torch.long, **at),
            ids=torch.full((batch, cfg.window), EMPTY, **at),
            k=torch.zeros(shape, **at),
            v=torch.zeros(shape, **at),
            last=torch.zeros(batch, self.quantizer.cfg.channels, *self.quantizer.cfg.grid, **at),
        )

    def carry_from(self, tensors: dict[str, Tensor]) -> VideoARCarry:
        """Inverse of `VideoARCarry.tensors`."""
        return VideoARCarry(**{name: tensors[name] for name in VideoARCarry.DIMS})

    @torch.inference_mode()
    def observe(self, carry: VideoARCarry, latents: Tensor, actions: Tensor) -> VideoARCarry:
        """Take in true frames.

        Args:
            carry: changed, and given back.
            latents: `[B,C,h,w]` with their labels.
            actions: `[B]` that led to them (-1: none).
        """
        labels = unpack_labels(latents[:, self.quantizer.cfg.channels :], self.quantizer.cfg)
        sums = self.quantizer.add_labels(labels)
        inputs = level_inputs(self.quantizer, sums, carry.last, self.cfg.context)
        shown = inputs[self.levels.start :]
        kv = self._encode(self._begin(carry, actions), shown)
        return self._remember(carry, kv, sums[-1])

    @torch.inference_mode()
    def imagine(
        self, carry: VideoARCarry, actions: Tensor, noise: Tensor, steps: int
    ) -> tuple[VideoARCarry, Tensor]:
        """Generate and take in the next frames.

        Args:
            carry: changed, and given back.
            actions: `[B]`.
            noise: `[B,C,h,w]`; each label is drawn with the numbers that lie where it is stored.
            steps: scales that are predicted, at most; without the finer ones a frame is soft.
        """
        made = self._sample(carry, actions, noise, steps)
        kv = self._finish(carry, made, actions)
        return self._remember(carry, kv, made.total), made.latents(self.quantizer.cfg)

    @torch.inference_mode()
    def sample(
        self,
        carry: VideoARCarry,
        actions: Tensor,
        noise: Tensor,
        steps: int,
        view: Tensor | None = None,
    ) -> Tensor:
        """Generate the next frames, of which nothing is remembered.

        Args:
            carry: not changed.
            actions: `[B]`.
            noise: see imagine.
            steps: see imagine.
            view: `[B,V,h,w]` what a memory in space shows of every cell, for a network that is
                told (`view_scales`).

        Returns:
            Latents `[B,C,h,w]`.
        """
        return self._sample(carry, actions, noise, steps, view).latents(self.quantizer.cfg)

    def _sample(
        self,
        carry: VideoARCarry,
        actions: Tensor,
        noise: Tensor,
        steps: int,
        view: Tensor | None = None,
    ) -> "Sampled":
        cfg = self.quantizer.cfg
        numbers = split_slots(to_uniform(noise[:, cfg.channels :]), cfg)
        frame, total = self._begin(carry, actions), torch.zeros_like(carry.last)
        shown, labels, own = carry.last, [], []
        for scale in range(min(steps, len(cfg.scales))):
            told = view if scale < self.cfg.view_scales else None
            output = self._run(frame, [scale_input(self.quantizer, shown, scale, told)], scale)
            logits = self._guided(output, carry.frame, scale)
            labels.append(sample_labels(logits, numbers[scale], self.play.temperature))
            total = shown = total + self.quantizer.expand(labels[-1], scale)
            frame = frame.after(output.kv)
            own.append(output.kv)
        return Sampled(labels, total, frame, own)

    @torch.inference_mode()
    def measure_bits(
        self, carry: VideoARCarry, latents: Tensor, actions: Tensor, view: Tensor | None = None
    ) -> FrameBits:
        """Minus the log-likelihood of the frames that follow, as one would code them: each scale
        under the right labels of those before it, without guidance, at temperature 1.

        Args:
            carry: not changed.
            latents: `[B,C,h,w]` of the true frames, with their labels.
            actions: `[B]` that led to them.
            view: see sample.
        """
        cfg = self.quantizer.cfg
        labels = unpack_labels(latents[:, cfg.channels :], cfg)
        sums = self.quantizer.add_labels(labels)
        frame, told = self._begin(carry, actions), []
        for scale, shown in enumerate((carry.last, *sums[:-1])):
            seen = view if scale < self.cfg.view_scales else None
            output = self._run(frame, [scale_input(self.quantizer, shown, scale, seen)], scale)
            logits = self._predict(output, scale)[:: self.branches]
            bits = label_loss(logits, labels[scale]).sum(dim=(1, 2)) / math.log(2)
            right = (logits.argmax(dim=-1) == labels[scale]).float().mean(dim=(1, 2))
            told.append((bits, right))
            frame = frame.after(output.kv)
        return FrameBits(*(torch.stack(part, dim=1) for part in zip(*told, strict=True)))

    def _finish(self, carry: VideoARCarry, made: "Sampled", actions: Tensor) -> list[KV]:
        """Keys and values that are remembered of a finished frame."""
        if self.cfg.context == "whole":
            return self._encode(self._begin(carry, actions), [made.total])
        own, rest = made.own, range(len(made.own), len(self.levels))
        if len(rest):  # scales that were left out add nothing
            inputs = [scale_input(self.quantizer, made.total, scale) for scale in rest]
            own = [*own, self._run(made.frame, inputs, rest.start).kv]
        return [join_all(parts) for parts in zip(*own, strict=True)]

    def _begin(self, carry: VideoARCarry, actions: Tensor) -> Frame:
        return Frame(carry, actions, carry.layers(), carry.visible())

    def _run(self, frame: Frame, inputs: Sequence[Tensor], first: int) -> Output:
        """Run levels, from number `first` on, of every dream's next frame in every branch."""
        return self.network(*self._ask(frame, inputs, first))

    def _encode(self, frame: Frame, inputs: Sequence[Tensor]) -> list[KV]:
        """Keys and values of the levels that are remembered."""
        return self.network.encode(*self._ask(frame, inputs, self.levels.start))

    def _ask(
        self, frame: Frame, inputs: Sequence[Tensor], first: int
    ) -> tuple[LevelTokens, Sequence[KV], Tensor]:
        rows = [self._branch(part).unsqueeze(1) for part in inputs]
        conditions = torch.stack((frame.actions, torch.full_like(frame.actions, NULL)), dim=1)
        conditions = conditions[:, : self.branches].flatten().unsqueeze(1)
        numbers = self._branch(frame.carry.frame).unsqueeze(1)
        tokens = LevelTokens(rows, first, numbers, conditions)
        return tokens, frame.context, self._mask(frame, len(inputs), first)

    def _mask(self, frame: Frame, count: int, first: int) -> Tensor:
        """Which of the context and of `count` own levels each token sees, bool
        `[B*G,1,N,M+N]`.
        """
        levels = range(first, first + count)
        sizes = [self.network.sizes[level] for level in levels]
        number = token_levels(sizes).to(frame.visible.device)
        own = own_mask(levels, len(self.quantizer.cfg.scales)).to(number.device)
        own = own[number][:, number].expand(len(frame.visible), -1, -1)
        seen = frame.visible.unsqueeze(1).expand(-1, len(number), -1)
        return self._branch(torch.cat((seen, own), dim=2)).unsqueeze(1)

    def _guided(self, output: Output, frames: Tensor, scale: int) -> Tensor:
        """Logits `[B,n,m,choices]` of a pass over one scale."""
        logits = self._predict(output, scale)
        if self.branches == 1:
            return logits
        scales = len(self.quantizer.cfg.scales)
        strength = guidance_at(self.play.guidance, frames, scale, scales)
        return apply_guidance(logits.unflatten(0, (-1, 2)), strength)

    def _predict(self, output: Output, scale: int) -> Tensor:
        """Logits `[B*G,n,m,choices]` of a pass over one scale."""
        (logits,) = self.network.predict(output, range(scale, scale + 1))
        return logits.squeeze(1).float()

    def _branch(self, rows: Tensor) -> Tensor:
        """`[B,...]` -> `[B*G,...]`."""
        return rows.repeat_interleave(self.branches, dim=0)

    def _remember(self, carry: VideoARCarry, kv: list[KV], total: Tensor) -> VideoARCarry:
        carry.write(kv)
        carry.last, carry.frame = total, carry.frame + 1
        return carry


def join_all(parts: Sequence[KV]) -> KV:
    """Keys and values of a frame's passes side by side."""
    return KV(*(torch.cat(part, dim=2) for part in zip(*parts, strict=True)))
