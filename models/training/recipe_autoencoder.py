"""Training DC-AE as FAR's autoencoders were trained: L1 and LPIPS, and from some step on a patch
discriminator, with the encoder at rest.

    python train_world.py assets/configs/autoencoder/dcae-dmlab.yaml --device cuda

The result, `runs/<name>/autoencoder.safetensors`, has the published names: it is what `worldsim
convert import --autoencoder` and the training of published FAR take. The same command resumes.
"""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from models.codec.dcae import empty_autoencoder
from models.codec.patch_discriminator import balance, hinge_loss, patch_discriminator
from models.training.data_published import shrunk
from models.training.ema import make_ema
from models.zoo.import_weights import autoencoder_shapes, select_fitting
from worldsim.atomic import atomic_write
from worldsim.config import load_config, load_yaml
from worldsim.data.store import EpisodeStore
from worldsim.evaluate.lpips import read_perceptual
from worldsim.machine_speed import pick_precision
from worldsim.paths import asset, check_name
from worldsim.world.checkpoint import load_training, save_training
from worldsim.world.model import resolve_device

RECIPE = "autoencoder"
SMOKE = ("training.steps=6", "training.batch=2", "training.discriminator_from=3")


@dataclass(frozen=True, kw_only=True)
class AutoencoderData:
    """Folders of episodes, and what is cut from them: `frames` of each clip, every `interval`."""

    train: str
    heldout: str
    frame_size: int
    frames: int = 4
    interval: int = 2


@dataclass(frozen=True, kw_only=True)
class AutoencoderTraining:
    """The published recipe. `batch` counts clips; `perceptual` weighs LPIPS, for which `vgg` and
    `linear` name weight files (none: L1 alone); `discriminator` weighs the adversarial loss.
    """

    steps: int = 200_000
    batch: int = 128
    lr: float = 1e-4
    ema: float = 0.9999
    clip_norm: float = 1.0
    perceptual: float = 1.0
    vgg: str | None = None
    linear: str | None = None
    discriminator: float = 0.5
    discriminator_from: int = 100_000
    save_minutes: float = 10.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def __post_init__(self):
        if (self.vgg is None) != (self.linear is None):
            raise ValueError("LPIPS needs two weight files: give both vgg and linear, or neither")
        if min(self.steps, self.batch) < 1:
            raise ValueError("steps and batch must be >= 1")


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """An autoencoder to train: `assets/configs/autoencoder/*.yaml`. `model`: a preset beside the
    zoo's, `dcae-8x-c32`; `start`: weights to begin with, .pth or .safetensors.
    """

    recipe: Literal["autoencoder"]
    name: str
    model: str
    start: str | None = None
    data: AutoencoderData
    training: AutoencoderTraining
    seed: int = 0

    def __post_init__(self):
        check_name(self.name, "name")


def is_autoencoder(path: str) -> bool:
    """Whether a config is of this kind of training."""
    data = load_yaml(path)
    return isinstance(data, dict) and data.get("recipe") == RECIPE


def train_autoencoder(args: Any) -> int:
    """Everything, in order; `args` as train_world.py parses them.

    Raises:
        ValueError: no data, no such preset, or a weight file that does not fit.
    """
    if args.threads:
        torch.set_num_threads(args.threads)
    settings = [*(SMOKE if args.smoke else ()), *args.set]
    cfg = load_config(args.config, AutoencoderConfig, settings)
    cfg = replace(cfg, start=args.origin) if args.origin else cfg
    out = args.out or Path("runs") / (cfg.name + ("-smoke" if args.smoke else ""))
    shape = preset(cfg.model)
    run = AutoencoderRun(cfg, shrunk(shape) if args.smoke else shape, resolve_device(args.device))
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    if args.fresh and checkpoint.exists():
        checkpoint.replace(out / "checkpoint.pt.old")
    if checkpoint.exists():
        run.load_state(load_training(checkpoint))
        print(f"resumed at step {run.step}", flush=True)
    if not args.export:
        loop(run, out)
    write_result(run, out)
    return 0


def preset(name: str) -> dict[str, Any]:
    """The settings of an autoencoder of the zoo.

    Raises:
        ValueError: there is none of that name.
    """
    path = asset("configs", "zoo", f"{name}.yaml")
    if not path.is_file():
        known = sorted(other.stem for other in path.parent.glob("dcae-*.yaml"))
        raise ValueError(f"no autoencoder {name!r}: there is {', '.join(known)}")
    return load_yaml(path)


def clips(store: EpisodeStore, data: AutoencoderData, batch: int, seed: list[int]) -> Tensor:
    """Frames float `[batch*frames,3,H,W]` in -1..1 of random places in random episodes; a pure
    function of the seed.

    Raises:
        ValueError: episodes of another size, or shorter than a clip.
    """
    rng, parts, length = np.random.default_rng(seed), [], (data.frames - 1) * data.interval + 1
    for index in rng.integers(0, len(store), batch):
        frames = store[int(index)].frames
        if frames.shape[1:] != (data.frame_size, data.frame_size, 3) or len(frames) < length:
            raise ValueError(
                f"episode {index} of {data.train} must have >= {length} frames of "
                f"{data.frame_size} pixels, got frames of shape {list(frames.shape)}"
            )
        first = int(rng.integers(0, len(frames) - length + 1))
        parts.append(np.asarray(frames[first : first + length : data.interval]))
    return torch.from_numpy(np.concatenate(parts)).movedim(-1, 1).float() / 127.5 - 1


class AutoencoderRun:
    """The state of a training, and its steps."""

    def __init__(self, cfg: AutoencoderConfig, shape: dict[str, Any], device: torch.device):
        self.cfg, self.plan, self.shape, self.device = cfg, cfg.training, shape, device
        self.train, self.heldout = (EpisodeStore(p) for p in (cfg.data.train, cfg.data.heldout))
        for store, folder in ((self.train, cfg.data.train), (self.heldout, cfg.data.heldout)):
            if not len(store):
                raise ValueError(f"{folder} holds no episodes: collect or import some first")
        torch.manual_seed(cfg.seed)
        self.model = empty_autoencoder(shape)
        if cfg.start:
            weights = select_fitting(Path(cfg.start), autoencoder_shapes(shape), plain=False)
            self.model.load_state_dict(weights)
        self.model.to(device).train()
        self.average = make_ema(self.model)
        self.judge = patch_discriminator().to(device)
        self.lpips = None
        if self.plan.vgg and self.plan.perceptual:
            self.lpips = read_perceptual(Path(self.plan.vgg), Path(self.plan.linear)).to(device)
        self.opts = [
            torch.optim.AdamW(net.parameters(), self.plan.lr, betas=(0.5, 0.9), weight_decay=0.0)
            for net in (self.model, self.judge)
        ]
        self.step = 0
        self.precision = pick_precision(self.plan.precision, device)

    def one_step(self) -> dict[str, float]:
        """One update of the autoencoder, and of the discriminator once it plays."""
        plan, adversarial = self.plan, self.step >= self.plan.discriminator_from
        # What latents mean stays fixed while the decoder learns to please.
        self.model.encoder.requires_grad_(not adversarial)
        pictures = clips(self.train, self.cfg.data, plan.batch, [self.cfg.seed, self.step])
        pictures = pictures.to(self.device)
        mixed = torch.autocast(
            self.device.type, self.precision, enabled=self.precision != torch.float32
        )
        with mixed:
            made = self.model(pictures).sample
            faithful, told = self.faithful(made.float(), pictures)
            total = faithful
            if adversarial:
                self.judge.requires_grad_(False)
                pleasing = -self.judge(made).float().mean()
                weight = balance(faithful, pleasing, last_weight(self.model))
                total = faithful + plan.discriminator * weight * pleasing
                self.judge.requires_grad_(True)
                judged = hinge_loss(self.judge(pictures).float(), self.judge(made.detach()).float())
                told |= {"pleasing": float(pleasing.detach()), "judge": float(judged.detach())}
        for opt in self.opts:
            opt.zero_grad()
        total.backward()
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), plan.clip_norm))
        if not np.isfinite(norm):
            raise ValueError(
                f"the gradient is not finite at step {self.step}: resume with a lower training.lr"
            )
        self.opts[0].step()
        if adversarial:
            judged.backward()
            self.opts[1].step()
        self.update_ema()
        self.step += 1
        return told | {"norm": norm}

    def faithful(self, made: Tensor, pictures: Tensor) -> tuple[Tensor, dict[str, float]]:
        """L1 and LPIPS."""
        loss = F.l1_loss(made, pictures)
        told = {"l1": float(loss.detach())}
        if self.lpips is not None:
            looks = self.lpips(made, pictures)
            loss, told["lpips"] = loss + self.plan.perceptual * looks, float(looks.detach())
        return loss, told

    @torch.no_grad()
    def update_ema(self) -> None:
        """Move the average of the weights; statistics of batches are taken as they are."""
        pairs = zip(self.average.parameters(), self.model.parameters(), strict=True)
        for mean, now in pairs:
            mean.lerp_(now, 1 - min(self.plan.ema, (1 + self.step) / (10 + self.step)))
        for mean, now in zip(self.average.buffers(), self.model.buffers(), strict=True):
            mean.copy_(now)

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Of the average on held-out frames: PSNR in dB, and the latents' standard deviation, whose
        inverse `scaling_factor` should be.
        """
        pictures = clips(self.heldout, self.cfg.data, 8, [self.cfg.seed, 0]).to(self.device)
        latents = self.average.encode(pictures).latent
        error = self.average.decode(latents).sample.clamp(-1, 1) - pictures
        psnr = -10 * (error.square().mean((1, 2, 3)) / 4).clamp_min(1e-6).log10().mean()
        return {"psnr": float(psnr), "latent_std": float(latents.std())}

    def state(self) -> dict[str, Any]:
        """What goes on from here needs."""
        nets = {"model": self.model, "average": self.average, "judge": self.judge}
        return {name: net.state_dict() for name, net in nets.items()} | {
            "optimisers": [opt.state_dict() for opt in self.opts],
            "step": self.step,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Inverse of state."""
        for name, net in (("model", self.model), ("average", self.average), ("judge", self.judge)):
            net.load_state_dict(state[name])
        for opt, saved in zip(self.opts, state["optimisers"], strict=True):
            opt.load_state_dict(saved)
            for group in opt.param_groups:
                group["lr"] = self.plan.lr  # one that diverged is resumed with a lower one
        self.step = state["step"]


def last_weight(model: nn.Module) -> Tensor:
    """The weight of the decoder's last convolution."""
    last = model.decoder.conv_out
    return getattr(last, "conv", last).weight


def loop(run: AutoencoderRun, out: Path) -> None:
    """Train to the end; saves every few minutes."""
    saved = time.monotonic()
    with open(out / "log.jsonl", "a", buffering=1) as log:
        while run.step < run.plan.steps:
            told = run.one_step()
            log.write(json.dumps({"step": run.step} | told) + "\n")
            if run.step % 100 == 0:
                numbers = "  ".join(f"{name} {value:.4f}" for name, value in told.items())
                print(f"step {run.step}/{run.plan.steps}  {numbers}", flush=True)
            if time.monotonic() - saved > 60 * run.plan.save_minutes:
                save_training(out / "checkpoint.pt", run.state())
                log.write(json.dumps({"step": run.step} | run.measure()) + "\n")
                saved = time.monotonic()
    save_training(out / "checkpoint.pt", run.state())


def write_result(run: AutoencoderRun, out: Path) -> None:
    """Write the averaged weights, their settings beside them, and say how good they are."""
    weights = {name: t.detach().cpu().contiguous() for name, t in run.average.state_dict().items()}
    path = out / "autoencoder.safetensors"
    atomic_write(path, lambda scratch: save_file(weights, scratch))
    text = "# Beside the weights: their settings, as in the zoo.\n" + json.dumps(run.shape) + "\n"
    atomic_write(out / "autoencoder.yaml", lambda scratch: scratch.write_text(text))
    told = run.measure()
    with open(out / "log.jsonl", "a") as log:
        log.write(json.dumps({"step": run.step} | told) + "\n")
    print(
        f"{path}: held-out PSNR {told['psnr']:.2f} dB; the latents' standard deviation is "
        f"{told['latent_std']:.3f}, scaling_factor {run.shape['scaling_factor']} takes it to "
        f"{told['latent_std'] * run.shape['scaling_factor']:.3f}",
        flush=True,
    )
