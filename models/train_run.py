"""The training run: data, codec, dynamics, one flat loop, and the world at the end. See
train_world.py for the command.
"""

import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch

from models import parallel
from models.autoencoder import PatchAutoencoder, decoder_loss
from models.far_dynamics import FARDynamics
from models.far_loss import FARLoss
from models.training import TrainConfig, averaged, gather, optimisers, pick_precision, set_rate
from worldsim.actions import load_actions
from worldsim.checkpoint import load_training, save_training
from worldsim.config import load_config, to_dict
from worldsim.data.clips import ClipSampler
from worldsim.data.latents import cached_latents
from worldsim.data.store import EpisodeStore


def train(args) -> int:
    """Everything, in order."""
    cfg = load_config(args.config, TrainConfig, args.set)
    if args.threads:
        torch.set_num_threads(args.threads)
    out = args.out or Path("runs") / cfg.name
    out.mkdir(parents=True, exist_ok=True)
    device = torch.device(args.device)
    torch.manual_seed(cfg.seed)
    rank, _ = parallel.start()
    store = EpisodeStore(cfg.data.train)
    if rank == 0:
        prepare(cfg, store, out, device)
    parallel.barrier()
    codec, cache = prepare(cfg, store, out, device)
    run = DynamicsRun(cfg, codec, cache, out, device)
    run.resume()
    run.loop()
    return 0


def prepare(cfg: TrainConfig, store: EpisodeStore, out: Path, device: torch.device):
    """Codec and latents; made once, then read."""
    codec = train_codec(cfg, store, out, device)
    return codec, cached_latents(store, codec, codec.encoder_hash(), Path(cfg.data.cache))


def some_frames(
    store: EpisodeStore, count: int, rng: np.random.Generator, episodes: int = 200
) -> torch.Tensor:
    """uint8 `[count,H,W,3]` from random episodes."""
    chosen = rng.choice(len(store), min(episodes, len(store)), replace=False)
    each = -(-count // len(chosen))
    parts = []
    for index in chosen:
        frames = np.asarray(store[int(index)].frames)
        parts.append(frames[rng.choice(len(frames), min(each, len(frames)), replace=False)])
    return torch.from_numpy(np.concatenate(parts)[:count])


def train_codec(
    cfg: TrainConfig, store: EpisodeStore, out: Path, device: torch.device
) -> PatchAutoencoder:
    """Find the encoder, then teach the decoder; resumes and saves in `out/codec.pt`."""
    codec, path, rng = (
        PatchAutoencoder(cfg.codec).to(device),
        out / "codec.pt",
        np.random.default_rng(cfg.seed),
    )
    plan, done, optimiser_state = cfg.codec_training, 0, None
    if path.exists():
        state = load_training(path)
        codec.load_state_dict(state["codec"])
        done, optimiser_state = state["step"], state["optimiser"]
    frames = (
        some_frames(store, plan.fit_frames, rng) if done < plan.steps or not path.exists() else None
    )
    if not path.exists():
        codec.fit_encoder(frames)
        save_training(path, {"codec": codec.state_dict(), "step": 0, "optimiser": None})
    optimiser = torch.optim.AdamW([p for p in codec.parameters() if p.requires_grad], lr=plan.lr)
    if optimiser_state:
        optimiser.load_state_dict(optimiser_state)
    generator = torch.Generator().manual_seed(cfg.seed + done)
    for step in range(done, plan.steps):
        for group in optimiser.param_groups:
            group["lr"] = plan.lr * min(1, (step + 1) / 50, 3 * (1 - step / plan.steps))
        batch = frames[torch.randint(0, len(frames), (plan.batch,), generator=generator)]
        loss = decoder_loss(codec, batch, generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 50 == 49:
            print(f"codec {step + 1}/{plan.steps}  loss {loss.item():.4f}", flush=True)
            save_training(
                path,
                {
                    "codec": codec.state_dict(),
                    "step": step + 1,
                    "optimiser": optimiser.state_dict(),
                },
            )
    return codec.eval()


class DynamicsRun:
    """The state of a dynamics training and its loop."""

    def __init__(
        self, cfg: TrainConfig, codec: PatchAutoencoder, cache, out: Path, device: torch.device
    ):
        self.cfg, self.plan, self.codec, self.out, self.device = (
            cfg,
            cfg.training,
            codec,
            out,
            device,
        )
        self.actions = load_actions(cfg.action_set)
        self.network = FARDynamics(cfg.dynamics, self.actions.turns).network.to(device)
        self.average = averaged(self.network)
        self.opts = optimisers(self.network, self.plan)
        self.loss = FARLoss(cfg.dynamics, cfg.loss)
        seed = cfg.seed + 1000 * parallel.rank()
        self.rng = torch.Generator(device).manual_seed(seed)
        self.sampler = ClipSampler(
            cache,
            self.actions,
            batch=max(self.plan.batch // parallel.count(), 1),
            shortest=cfg.loss.targets + 1,
            longest=cfg.data.longest,
            short_length=cfg.data.short_length,
            short=cfg.data.short,
            mirror=codec.mirror,
            seed=seed,
        )
        self.step = 0
        self.precision = pick_precision(self.plan.precision, device)

    @property
    def path(self) -> Path:
        """The checkpoint."""
        return self.out / "checkpoint.pt"

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one."""
        if not self.path.exists():
            return
        state = load_training(self.path)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        for opt, saved in zip(self.opts, state["optimisers"], strict=True):
            opt.load_state_dict(saved)
        self.step = state["step"]
        if len(state["processes"]) == parallel.count():
            mine = state["processes"][parallel.rank()]
            self.sampler.load_state_dict(json.loads(mine["sampler"]))
            self.rng.set_state(mine["rng"])
            self.loss.residuals = mine["residuals"]
        print(f"resumed at step {self.step}", flush=True)

    def save(self) -> None:
        """Write the checkpoint."""
        mine = {
            "sampler": json.dumps(self.sampler.state_dict()),
            "rng": self.rng.get_state(),
            "residuals": self.loss.residuals,
        }
        processes = parallel.gathered(mine)
        if parallel.rank():
            return
        save_training(
            self.path,
            {
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimisers": [opt.state_dict() for opt in self.opts],
                "processes": processes,
                "step": self.step,
                "config": json.dumps(to_dict(self.cfg)),
            },
        )

    def loop(self) -> None:
        """Train to the end; saves every few minutes."""
        saved = started = time.monotonic()
        first = self.step
        with open(
            self.out / "log.jsonl" if parallel.rank() == 0 else os.devnull, "a", buffering=1
        ) as log:
            while self.step < self.plan.steps:
                measures = self.one_step()
                self.step += 1
                rate = (self.step - first) / (time.monotonic() - started)
                log.write(
                    json.dumps({"step": self.step, "steps_per_s": round(rate, 3)} | measures) + "\n"
                )
                if self.step % 20 == 0:
                    self.report(measures, rate)
                if any(parallel.gathered(time.monotonic() - saved > 60 * self.plan.save_minutes)):
                    self.save()
                    saved = time.monotonic()
        self.save()

    def report(self, measures: dict, rate: float) -> None:
        """A line that a person can read."""
        if parallel.rank() == 0:
            left = (self.plan.steps - self.step) / rate / 60
            numbers = "  ".join(f"{name} {value:.4f}" for name, value in measures.items())
            print(
                f"step {self.step}/{self.plan.steps}  {numbers}  {rate:.2f}/s  {left:.0f} min left",
                flush=True,
            )

    def one_step(self) -> dict:
        """One update."""
        set_rate(self.opts, self.plan, self.step)
        clip = self.sampler.draw().to(self.device)
        with torch.autocast(
            self.device.type, self.precision, enabled=self.precision != torch.float32
        ):
            loss, measures = self.loss(
                self.network, self.average, clip, self.plan.stage(self.step), self.rng
            )
        for opt in self.opts:
            opt.zero_grad()
        loss.backward()
        parallel.average_gradients(list(self.network.parameters()))
        norm = float(torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.clip_norm))
        if not math.isfinite(norm):
            raise ValueError(
                f"the gradient is not finite at step {self.step}: resume with a lower training.lr"
            )
        for opt in self.opts:
            opt.step()
        gather(self.average, self.network, self.plan.ema, self.step)
        return measures | {"norm": norm}
