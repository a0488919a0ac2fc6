"""The training of the decoder that sees the view: after the network, whose latents it decodes.

Samples are those of the network's training, with less damage, since play shows cleaner memories
than the network should be able to bear. They are kept in a pool and used several times: to make
one costs as much as to learn from it.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.codec.patch_autoencoder import PatchAutoencoder
from models.codec.patch_discriminator import balance
from models.codec.view_critic import ViewCritic, place_weights, relativistic_loss
from models.codec.view_decoder import Shown, ViewDecoder
from models.spatial.condition import shown_of
from models.training.ema import make_ema, warm_up_ema
from models.training.spatial_chain import Predict, integrate_flow
from models.training.spatial_samples import SampleConfig, Samples
from models.training.view_decoder_loss import (
    ViewBatch,
    critic_loss,
    detail_loss,
    faithful_loss,
    feature_loss,
)
from worldsim.machine_speed import autocast_to
from worldsim.world.checkpoint import load_into, load_training, save_training

BLURS = (2, 4, 8)  # pixels each way over which a picture is averaged, one of them at random
STEPS = (1, 2, 4, 4, 8)  # sampler steps of the pool's latents, one of them at random
LAZY = 8  # steps between two penalties of the critic's gradient, and two balances of the losses
LEAD = 50  # steps that the critic learns before it is heard
RAMP = 200  # steps over which it comes in
SHOWN = 50  # steps between two lines of the log
SAVED = 250


@dataclass(frozen=True, kw_only=True)
class DecoderTraining:
    """How the decoder learns.

    Attributes:
        steps, batch, lr: of the decoder; the critic learns twice as fast.
        pool: samples that are kept.
        renew: steps after which some of them are replaced.
        own: share of rows with latents of the network; the others have true ones, with up to
            `noise` of noise.
        soft: share of all rows that have the latents of a blurred picture instead: a network that
            is not sure of what it invents says little more, least of all late in a dream.
        critic_from: the step at which the critic is first heard.
        adversarial, features: weights of what it says.
        penalty: of its gradients.
        ema: of the averaged weights, which play.
    """

    steps: int = 8000
    batch: int = 16
    lr: float = 4e-4
    pool: int = 2048
    renew: int = 16
    own: float = 0.65
    noise: float = 0.3
    soft: float = 0.15
    critic_from: int = 150
    adversarial: float = 0.1
    features: float = 0.3
    penalty: float = 1.0
    ema: float = 0.998


class PoolSamples(NamedTuple):
    """Frames and what a dream has of them, `[N,...]`: frames and rgb uint8 `[N,3,H,W]`, seen and
    hint bool `[N,H,W]`, latents and the noise that they were sampled from float16 `[N,C,h,w]`.
    """

    frames: Tensor
    rgb: Tensor
    seen: Tensor
    hint: Tensor
    latents: Tensor
    noise: Tensor


class DrawsSamples(Protocol):
    """What gives the samples."""

    def draw(self) -> Samples:
        """Some groups."""


class SamplePool:
    """Samples with latents that the network makes, replaced in turn.

    Args:
        drawer: of samples.
        predict_of: makes the network ready for some of them.
        latent_shape: C, h, w.
        size: samples that are kept.
        generator: of everything drawn.
        device: where they are made; they are kept in the host's memory.
        precision: of the network's products.
        order: of the sampler's steps.
    """

    def __init__(
        self,
        drawer: DrawsSamples,
        predict_of: Callable[[Samples], Predict],
        latent_shape: tuple[int, int, int],
        size: int,
        generator: torch.Generator,
        device: torch.device,
        precision: torch.dtype,
        order: int = 1,
    ):
        self.order = order
        self.drawer, self.predict_of, self.latent_shape = drawer, predict_of, latent_shape
        self.size, self.generator = size, generator
        self.device, self.precision = device, precision
        self.parts: list[PoolSamples] = []
        self.oldest = 0

    def fill(self) -> None:
        """Make samples until the pool is full."""
        while sum(len(part.frames) for part in self.parts) < self.size:
            self.parts.append(self._make())

    def renew(self) -> None:
        """Replace the oldest samples."""
        self.parts[self.oldest] = self._make()
        self.oldest = (self.oldest + 1) % len(self.parts)

    def draw(self, batch: int) -> PoolSamples:
        """Some of the samples, on the device."""
        each = len(self.parts[0].frames)
        chosen = torch.randint(each * len(self.parts), (batch,), generator=self.generator)
        rows = [[part[i % each] for part in self.parts[i // each]] for i in chosen.tolist()]
        stacked = (torch.stack(part).to(self.device) for part in zip(*rows, strict=True))
        return PoolSamples(*stacked)

    @torch.no_grad()
    def _make(self) -> PoolSamples:
        samples = self.drawer.draw().to(self.device)
        noise = torch.randn(len(samples.frames), *self.latent_shape, generator=self.generator)
        noise = noise.to(self.device)
        steps = STEPS[int(torch.randint(len(STEPS), (), generator=self.generator))]
        with autocast_to(self.precision, self.device):
            predict = self.predict_of(samples)
            clean = lambda *told: predict(*told).float()  # noqa: E731
            latents = integrate_flow(clean, noise, steps, self.order)
        rgb, seen, hint = shown_of(samples.view)
        made = PoolSamples(
            frames=samples.frames.permute(0, 3, 1, 2).contiguous(),
            rgb=((rgb.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8),
            seen=seen,
            hint=hint,
            latents=latents.half(),
            noise=noise.half(),
        )
        return PoolSamples(*(part.cpu() for part in made))


class ViewDecoderTraining:
    """Decoder, its average, critic and their optimisers; read from `path` where that exists.

    Args:
        decoder: learns.
        codec: of the world.
        plan: how long, and how fast.
        path: the file.
        seed: of everything drawn.
        precision: of the products.
    """

    def __init__(
        self,
        decoder: ViewDecoder,
        codec: PatchAutoencoder,
        plan: DecoderTraining,
        path: Path,
        seed: int,
        precision: torch.dtype,
    ):
        self.device = codec.mean.device
        self.decoder, self.codec, self.plan, self.path = decoder, codec, plan, path
        self.average, self.critic = make_ema(decoder), ViewCritic().to(self.device)
        self.precision, self.step, self.pull = precision, 0, 0.0
        self.critic_from = plan.critic_from
        settings = {"betas": (0.5, 0.95), "weight_decay": 1e-4}
        self.opts = [
            torch.optim.AdamW(part.parameters(), lr=plan.lr, **settings)
            for part in (decoder, self.critic)
        ]
        if path.exists():
            self._load(load_training(path))
        self.generator = torch.Generator().manual_seed(seed + self.step)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to learn."""
        return self.step >= self.plan.steps

    def run(self, pool: SamplePool) -> None:
        """Train to the end."""
        pool.fill()
        sums: dict[str, float] = {}
        while not self.is_done:
            if self.step % self.plan.renew == 0:
                pool.renew()
            for name, value in self._learn(pool).items():
                sums[name] = sums.get(name, 0.0) + value
            self.step += 1
            if self.step % SHOWN == 0 or self.is_done:
                told = "  ".join(f"{name} {value / SHOWN:.4f}" for name, value in sums.items())
                print(f"decoder {self.step}/{self.plan.steps}  {told}", flush=True)
                sums = {}
            if self.step % SAVED == 0 or self.is_done:
                self._save()

    def _learn(self, pool: SamplePool) -> dict[str, float]:
        """One update of both."""
        self._set_rate()
        drawn = pool.draw(self.plan.batch)
        with autocast_to(self.precision, self.device):
            made, batch = self._decode(drawn)
            faithful, detail = faithful_loss(made, batch), detail_loss(made, batch)
            loss, told = faithful + detail, {"faithful": faithful, "detail": detail}
            if self.step >= self.critic_from:
                heard, said = self._ask(made, batch, loss)
                loss, told = loss + heard, told | said
        self._update(self.opts[0], loss, self.decoder)
        if self.step >= self.critic_from - LEAD:
            penalty = LAZY * self.plan.penalty * (self.step % LAZY == 0)
            with autocast_to(self.precision, self.device):
                judged = critic_loss(self.critic, made, batch, penalty)
            # not clipped: that would weaken the penalty, which is rare and large
            self._update(self.opts[1], judged)
            told = told | {"critic": judged}
        warm_up_ema(self.average, self.decoder, self.plan.ema, self.step)
        return {name: float(value.detach()) for name, value in told.items()}

    def _decode(self, drawn: PoolSamples) -> tuple[Tensor, ViewBatch]:
        """Pictures of a batch, some mirrored, some of true latents."""
        count = len(drawn.frames)
        shares = 0.5, self.plan.own, self.plan.soft
        flip, own, soft = (self._draw(count) < share for share in shares)
        pictures, rgb = (part.float() / 127.5 - 1 for part in (drawn.frames, drawn.rgb))
        pictures, rgb, seen, hint = (
            torch.where(flip.view(-1, *[1] * (part.dim() - 1)), part.flip(-1), part)
            for part in (pictures, rgb, drawn.seen, drawn.hint)
        )
        theirs, noise = (part.float() for part in (drawn.latents, drawn.noise))
        theirs, noise = (
            torch.where(_wide(flip), self.codec.mirror(part), part) for part in (theirs, noise)
        )
        true = self.codec.encode_pictures(pictures).float()
        level = self.plan.noise * _wide(self._draw(count))
        grain = torch.randn(true.shape, generator=self.generator).to(self.device)
        latents = torch.where(_wide(own), theirs, true + level * grain)
        latents = torch.where(_wide(soft), self._encode_blurred(pictures), latents)
        linear = self.codec.linear_decode(latents).float()
        shown = Shown(rgb, seen, hint)
        made = self.decoder(latents, linear, shown, noise).float()
        seen, hint = seen.float().unsqueeze(1), hint.float().unsqueeze(1)
        return made, ViewBatch(pictures, linear, seen, hint, _wide(own | soft).float())

    def _encode_blurred(self, pictures: Tensor) -> Tensor:
        """Latents `[B,C,h,w]` of pictures `[B,3,H,W]` of which the detail is gone."""
        size = BLURS[int(torch.randint(len(BLURS), (), generator=self.generator))]
        small = F.avg_pool2d(pictures, size)
        blurred = F.interpolate(small, scale_factor=size, mode="bilinear", align_corners=False)
        return self.codec.encode_pictures(blurred).float()

    def _ask(
        self, made: Tensor, batch: ViewBatch, known: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What the critic says of pictures, weighed against the loss of what is known of them."""
        ours = self.critic(made, batch.seen)
        with torch.no_grad():
            theirs = self.critic(batch.truth, batch.seen)
        adversarial = relativistic_loss(ours, theirs, place_weights(ours, batch.judged))
        features = feature_loss(ours, theirs, batch.told)
        if self.step % LAZY == 0 or not self.pull:
            pull = float(balance(known, adversarial, self.decoder.out.weight).clamp(max=50))
            self.pull = 0.95 * self.pull + 0.05 * pull if self.pull else pull
        heard = min(1.0, (self.step + 1 - self.critic_from) / RAMP)
        loss = heard * self.plan.adversarial * self.pull * adversarial
        told = {"adversarial": adversarial, "features": features}
        return loss + self.plan.features * features, told

    def _update(
        self, opt: torch.optim.Optimizer, loss: Tensor, clipped: nn.Module | None = None
    ) -> None:
        opt.zero_grad()
        loss.float().backward()
        if clipped is not None:
            torch.nn.utils.clip_grad_norm_(clipped.parameters(), 1.0)
        opt.step()

    def _set_rate(self) -> None:
        """Warm-up, constant, linear to zero over the last third."""
        left = 3 * (1 - self.step / self.plan.steps)
        for opt, base in zip(self.opts, (self.plan.lr, 2 * self.plan.lr), strict=True):
            for group in opt.param_groups:
                group["lr"] = base * min(1.0, (self.step + 1) / 100, left)

    def _draw(self, count: int) -> Tensor:
        return torch.rand(count, generator=self.generator).to(self.device)

    def _save(self) -> None:
        networks = {"decoder": self.decoder, "average": self.average, "critic": self.critic}
        state = {name: network.state_dict() for name, network in networks.items()}
        opts = [opt.state_dict() for opt in self.opts]
        save_training(self.path, state | {"optimisers": opts, "step": self.step, "pull": self.pull})

    def _load(self, state: dict[str, Any]) -> None:
        load_into(self.average, state["average"], self.path)
        load_into(self.decoder, state.get("decoder", state["average"]), self.path)
        self.step, self.pull = state["step"], state.get("pull", 0.0)
        if "critic" not in state:  # of a world, which keeps none: a new one learns first
            self.critic_from += self.step
        else:
            load_into(self.critic, state["critic"], self.path)
            for opt, saved in zip(self.opts, state["optimisers"], strict=True):
                opt.load_state_dict(saved)


def milder(cfg: SampleConfig) -> SampleConfig:
    """The damage of memories that the decoder learns on."""
    return dataclasses.replace(
        cfg,
        strips=0.7 * cfg.strips,
        blank=0.7 * cfg.blank,
        scaled=0.5 * cfg.scaled,
        noisy=0.3 * cfg.noisy,
        blurred=0.3 * cfg.blurred,
    )


def _wide(numbers: Tensor) -> Tensor:
    return numbers.view(-1, 1, 1, 1)
