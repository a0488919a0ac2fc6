"""The training of a VideoAR tokenizer on clips in a published layout: all losses of the paper, a
discriminator beside it, and inflation from a tokenizer of images.

    python train_world.py videoar-tokenizer-ucf101 --device cuda

The settings of a tokenizer of images have `codec.time_kernel=1`, `codec.time_stride=1` and
`data.frames=1`; a run of video names its result as `image`.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from models.build.videoar import check_tokenizer, make_tokenizer
from models.codec.causal_autoencoder import CausalAutoencoderConfig
from models.codec.inflation import inflate
from models.codec.multiscale_quantizer import Quantised, QuantizerConfig
from models.codec.multiscale_tokenizer import MultiscaleTokenizer, to_pictures
from models.codec.patch_discriminator import patch_discriminator
from models.codec.tokenizer_loss import (
    LeCAM,
    TokenizerLossConfig,
    discriminator_loss,
    tokenizer_losses,
)
from models.training.config_published import PublishedData
from models.training.ema import make_ema, warm_up_ema
from models.training.recipe_autoencoder import loop
from models.training.videoar_published_config import SMOKE_SCALES
from worldsim.atomic import atomic_write
from worldsim.config import load_config
from worldsim.data.published.clip_files import find_clips
from worldsim.data.published.formats import find_layout
from worldsim.data.published.windows import FrameSource, Stretches
from worldsim.evaluate.efficientnet_perceptual import EfficientNetDistance
from worldsim.evaluate.lpips import read_perceptual
from worldsim.machine_speed import pick_precision
from worldsim.paths import check_name
from worldsim.world.checkpoint import load_training, load_weights
from worldsim.world.model import resolve_device

WEIGHTS, SETTINGS = "tokenizer.safetensors", "tokenizer.json"
MEASURED = 8  # held-out clips
TRUNCATED = 0.1  # share of steps whose finer scales are left out


@dataclass(frozen=True, kw_only=True)
class TokenizerTraining:
    """The nearest public recipe (Open-MAGVIT2's). `vgg` and `linear` name the weight files of
    LPIPS; `efficientnet`: the perceptual loss is by EfficientNet-Lite0's features instead, whose
    weights a package has (extra `metrics`). Without either it is left out. `discriminator_from`:
    first step of the adversarial loss.
    """

    steps: int
    batch: int = 128
    lr: float = 1e-4
    betas: tuple[float, float] = (0.5, 0.9)
    ema: float = 0.999
    clip_norm: float = 1.0
    vgg: str | None = None
    linear: str | None = None
    efficientnet: bool = False
    discriminator_from: int = 0
    save_minutes: float = 10.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def __post_init__(self):
        if (self.vgg is None) != (self.linear is None):
            raise ValueError("LPIPS needs two weight files: give both vgg and linear, or neither")
        if self.vgg is not None and self.efficientnet:
            raise ValueError(
                "there is one perceptual loss: give vgg and linear, or efficientnet, not both"
            )


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """A tokenizer to train: `assets/configs/videoar/*tokenizer*.yaml`.

    Attributes:
        image: weights of a tokenizer of images to begin with; `inflation`: what its kernels are
            filled up with in time.
    """

    recipe: Literal["videoar-tokenizer"]
    name: str
    image: str | None = None
    inflation: Literal["zeros", "random"] = "zeros"
    data: PublishedData
    codec: CausalAutoencoderConfig
    quantizer: QuantizerConfig
    loss: TokenizerLossConfig = field(default_factory=TokenizerLossConfig)
    training: TokenizerTraining
    seed: int = 0

    def __post_init__(self):
        check_name(self.name, "name")
        check_tokenizer(self.codec, self.quantizer)
        stride = self.codec.time_stride
        if (self.data.frames - 1) % stride:
            raise ValueError(
                f"data.frames must be 1 + a multiple of {stride}, got {self.data.frames}"
            )


def train_videoar_tokenizer(args) -> int:
    """Everything, in order; `args` as train_world.py parses them."""
    if args.threads:
        torch.set_num_threads(args.threads)
    cfg = load_config(args.config, TokenizerConfig, args.set)
    cfg = small(cfg) if args.smoke else cfg
    cfg = replace(cfg, image=args.origin) if args.origin else cfg
    out = args.out or Path("runs") / (cfg.name + ("-smoke" if args.smoke else ""))
    run = TokenizerRun(cfg, resolve_device(args.device))
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    if args.fresh and checkpoint.exists():
        checkpoint.replace(out / "checkpoint.pt.old")
    if checkpoint.exists():
        run.load_state(load_training(checkpoint))
        print(f"resumed at step {run.step}", flush=True)
    if not args.export:
        loop(run, out)
    print(write_result(run, out), flush=True)
    return 0


def small(cfg: TokenizerConfig) -> TokenizerConfig:
    """The same training, of seconds."""
    codec = replace(cfg.codec, base=4, blocks=1, channels=8, frame_size=4 * cfg.codec.patch)
    quantizer = replace(cfg.quantizer, channels=8, scales=SMOKE_SCALES)
    data = replace(cfg.data, frames=min(cfg.data.frames, 1 + codec.time_stride), interval=1)
    plan = replace(cfg.training, steps=3, batch=2, discriminator_from=1)
    return replace(cfg, codec=codec, quantizer=quantizer, data=data, training=plan)


class TokenizerRun:
    """The state of a training, and its steps."""

    def __init__(self, cfg: TokenizerConfig, device: torch.device):
        self.cfg, self.plan, self.device, self.step = cfg, cfg.training, device, 0
        layout = find_layout(cfg.data.layout)
        sources = (find_clips(p, layout, cfg.data.root) for p in (cfg.data.train, cfg.data.heldout))
        size, flip = cfg.codec.frame_size, cfg.data.flip
        self.train, self.heldout = (
            Stretches(
                FrameSource(clips, layout, size=size, flip=flip),
                frames=cfg.data.frames,
                interval=cfg.data.interval,
                pad=layout.condition != "action",
                batch=batch,
                seed=cfg.seed,
            )
            for clips, batch in zip(sources, (self.plan.batch, MEASURED), strict=True)
        )
        torch.manual_seed(cfg.seed)
        self.model = begin_tokenizer(cfg).to(device).train()
        self.average = make_ema(self.model)
        self.judge = patch_discriminator().to(device)
        self.lecam = LeCAM(cfg.loss.lecam_decay).to(device)
        perceptual = open_perceptual(self.plan)
        self.perceptual = None if perceptual is None else perceptual.to(device)
        self.opts = [
            torch.optim.Adam(net.parameters(), self.plan.lr, betas=self.plan.betas)
            for net in (self.model, self.judge)
        ]
        self.precision = pick_precision(self.plan.precision, device)

    def pictures(self, stretches: Stretches, step: int) -> Tensor:
        """Clips `[B,T,3,S,S]` of a step."""
        rows = stretches.draw(step)
        frames = torch.from_numpy(np.stack([row.pictures for row in rows]))
        return to_pictures(frames.to(self.device))

    def one_step(self) -> dict[str, float]:
        """One update of the tokenizer, and of the discriminator once it plays."""
        pictures, adversarial = self.pictures(self.train, self.step), self._adversarial
        mixed = self.precision != torch.float32
        self.judge.requires_grad_(False)
        with torch.autocast(self.device.type, self.precision, enabled=mixed):
            quantised, painted = run_clips(self.model, pictures, self._scales(self.step))
            judge = self.judge if adversarial else None
            losses = tokenizer_losses(pictures, painted, quantised, self.perceptual, judge)
            total = losses.total(self.cfg.loss)
        told = {name: float(part.detach()) for name, part in losses._asdict().items()}
        told["norm"] = self._update(0, total, self.model)
        if adversarial:
            self.judge.requires_grad_(True)
            with torch.autocast(self.device.type, self.precision, enabled=mixed):
                judged = discriminator_loss(
                    self.judge, pictures, painted, self.lecam, self.cfg.loss
                )
            told["judge"] = float(judged.detach())
            self._update(1, judged, self.judge)
        warm_up_ema(self.average, self.model, self.plan.ema, self.step)
        self.step += 1
        return told

    @property
    def _adversarial(self) -> bool:
        return self.step >= self.plan.discriminator_from and self.cfg.loss.adversarial > 0

    def _scales(self, step: int) -> int:
        """How many scales are painted: all, or at a share of the steps some."""
        rng, count = np.random.default_rng([self.cfg.seed, 7, step]), len(self.cfg.quantizer.scales)
        return int(rng.integers(1, count + 1)) if rng.random() < TRUNCATED else count

    def _update(self, number: int, loss: Tensor, net: nn.Module) -> float:
        """One step of an optimiser; the norm of the gradient."""
        self.opts[number].zero_grad()
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(net.parameters(), self.plan.clip_norm))
        if not np.isfinite(norm):
            raise ValueError(
                f"the gradient is not finite at step {self.step}: resume with a lower training.lr"
            )
        self.opts[number].step()
        return norm

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """PSNR in dB of the average on held-out clips."""
        pictures = self.pictures(self.heldout, 0)
        _, painted = run_clips(self.average, pictures, len(self.cfg.quantizer.scales))
        error = (painted.clamp(-1, 1) - pictures).square().mean(dim=(1, 2, 3, 4)) / 4
        return {"psnr": float(-10 * error.clamp_min(1e-6).log10().mean())}

    def state(self) -> dict[str, Any]:
        """What goes on from here needs."""
        nets = {name: getattr(self, name).state_dict() for name in NETS}
        return nets | {"optimisers": [opt.state_dict() for opt in self.opts], "step": self.step}

    def load_state(self, state: dict[str, Any]) -> None:
        """Inverse of state."""
        for name in NETS:
            getattr(self, name).load_state_dict(state[name])
        for opt, saved in zip(self.opts, state["optimisers"], strict=True):
            opt.load_state_dict(saved)
            opt.param_groups[0]["lr"] = self.plan.lr
        self.step = state["step"]


NETS = ("model", "average", "judge", "lecam")


def open_perceptual(plan: TokenizerTraining) -> nn.Module | None:
    """The perceptual distance that a plan asks for.

    Raises:
        ValueError: its weights are missing.
    """
    if plan.vgg is not None and plan.linear is not None:
        return read_perceptual(Path(plan.vgg), Path(plan.linear))
    return EfficientNetDistance() if plan.efficientnet else None


def begin_tokenizer(cfg: TokenizerConfig) -> MultiscaleTokenizer:
    """A tokenizer to train: random, or out of one of images.

    Raises:
        ValueError: there is no such file, or it has other layers.
    """
    tokenizer = make_tokenizer(cfg.codec, cfg.quantizer)
    if cfg.image is not None:
        if not Path(cfg.image).is_file():
            raise ValueError(f"there are no tokenizer weights {cfg.image}: set image to a file")
        weights = load_weights(Path(cfg.image))
        prefix = "autoencoder."
        image = {n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)}
        left = inflate(tokenizer.autoencoder, image, cfg.inflation)
        if left:
            print(f"{len(left)} weights have other channels and begin random", flush=True)
    return tokenizer


def run_clips(
    tokenizer: MultiscaleTokenizer, pictures: Tensor, scales: int
) -> tuple[Quantised, Tensor]:
    """Pictures `[B,T,3,S,S]` quantised and painted from their first scales."""
    codec = tokenizer.autoencoder
    _, features = codec.encode_clip(tokenizer.initial(), pictures)
    quantised = tokenizer.quantizer(features.flatten(0, 1).float())
    total = quantised.sums[scales - 1].unflatten(0, features.shape[:2])
    return quantised, codec.decode_clip(tokenizer.initial(), total)[1].float()


def write_result(run: TokenizerRun, out: Path) -> str:
    """Write the averaged weights and their settings, and say how good they are."""
    weights = {name: t.detach().cpu().contiguous() for name, t in run.average.state_dict().items()}
    atomic_write(out / WEIGHTS, lambda scratch: save_file(weights, scratch))
    told = run.measure()
    settings = {"codec": asdict(run.cfg.codec), "quantizer": asdict(run.cfg.quantizer)}
    text = json.dumps(settings | {"step": run.step} | told, indent=1)
    atomic_write(out / SETTINGS, lambda scratch: Path(scratch).write_text(text))
    return f"{out / WEIGHTS}: held-out PSNR {told['psnr']:.2f} dB"
