"""The training run: data, codec, dynamics, one flat loop, and the world at the end. See
train_world.py for the command.
"""

import json
import math
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from models import parallel
from models.autoencoder import PatchAutoencoder, decoder_loss
from models.export import export_world, in_memory, preview, world_size
from models.far_dynamics import FARDynamics
from models.far_loss import FARLoss
from models.training import TrainConfig, averaged, gather, optimisers, pick_precision, set_rate
from worldsim.actions import load_actions
from worldsim.checkpoint import (
    WEIGHTS,
    check_world,
    load_training,
    load_weights,
    save_training,
)
from worldsim.config import load_config, to_dict
from worldsim.data.clips import ClipSampler
from worldsim.data.latents import cached_latents
from worldsim.data.store import EpisodeStore
from worldsim.world import world_folder

SMOKE = (
    "codec.channels=16",
    "codec.width=16",
    "codec_training.fit_frames=400",
    "codec_training.steps=10",
    "codec_training.batch=4",
    "dynamics.latent_channels=16",
    "dynamics.width=64",
    "dynamics.head_size=32",
    "dynamics.layers=2",
    "loss.targets=6",
    "data.longest=80",
    "training.steps=12",
    "training.batch=2",
    "training.shortcuts_from=0.3",
    "training.residuals_from=0.2",
    "training.own_context_from=0.5",
)


def train(args) -> int:
    """Everything, in order."""
    rank, _ = parallel.start()
    if args.threads:
        torch.set_num_threads(args.threads)
    cfg = load_config(args.config, TrainConfig, [*args.set, *(SMOKE if args.smoke else ())])
    out = args.out or Path("runs") / (cfg.name + ("-smoke" if args.smoke else ""))
    cfg = with_data_in(cfg, out) if args.smoke else cfg
    device = torch.device(args.device)
    torch.manual_seed(cfg.seed)
    if rank == 0:
        start_folder(out, args.fresh)
        if args.smoke:
            collect_some(cfg)
        if args.origin:
            take_codec(cfg, args.origin, out)
        prepare(cfg, out, device)
    parallel.barrier()
    codec, cache = prepare(cfg, out, device)
    run = DynamicsRun(cfg, codec, cache, out, device)
    if not run.resume() and args.origin:
        run.begin_with(args.origin)
    if not args.export:
        run.loop()
    if rank == 0:
        run.export()
    return 0


def start_folder(out: Path, fresh: bool) -> None:
    """Make the run's folder; a fresh start moves the old checkpoints aside, so that nothing is
    lost.
    """
    out.mkdir(parents=True, exist_ok=True)
    if fresh:
        for name in ("checkpoint.pt", "codec.pt", "log.jsonl"):
            if (out / name).exists():
                (out / name).replace(out / f"{name}.old")


def take_codec(cfg: TrainConfig, world: str, out: Path) -> None:
    """The codec of another world: its latents are what that world's dynamics knows."""
    if not (out / "codec.pt").exists():
        codec = PatchAutoencoder(cfg.codec)
        codec.load_state_dict(world_weights(world, "codec."))
        state = {"codec": codec.state_dict(), "step": cfg.codec_training.steps, "optimiser": None}
        save_training(out / "codec.pt", state)


def world_weights(world: str, prefix: str) -> dict[str, torch.Tensor]:
    """The float32 weights of one part of a world."""
    folder = world_folder(world)
    check_world(folder)
    weights = load_weights(folder / WEIGHTS)
    return {k.removeprefix(prefix): v.float() for k, v in weights.items() if k.startswith(prefix)}


def with_data_in(cfg: TrainConfig, out: Path) -> TrainConfig:
    """The same training on data of its own, inside `out`."""
    folder = out / "data"
    data = replace(
        cfg.data,
        train=str(folder / "train"),
        heldout=str(folder / "heldout"),
        cache=str(out / "latents"),
    )
    return replace(cfg, data=data)


def collect_some(cfg: TrainConfig) -> None:
    """A handful of short episodes from the engine."""
    from worldsim.data.collect import main as collect

    for split, folder, episodes in (("train", cfg.data.train, 6), ("heldout", cfg.data.heldout, 2)):
        where = ["--out", str(Path(folder).parent), "--split", split]
        length = ["--episodes", str(episodes), "--steps", "125"]
        if collect(["--env", cfg.engine, *length, *where]):
            raise ValueError(f"collecting from {cfg.engine} failed: see the message above")


def prepare(cfg: TrainConfig, out: Path, device: torch.device):
    """Codec and latents; made once, then read."""
    store = EpisodeStore(cfg.data.train)
    if not len(store):
        raise ValueError(
            f"{cfg.data.train} holds no episodes: run `worldsim collect --env {cfg.engine} "
            f"--episodes 1200 --out {Path(cfg.data.train).parent}` first"
        )
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
        torch.manual_seed(cfg.seed)
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

    def begin_with(self, world: str) -> None:
        """Start from the dynamics of a world folder (or the name of a bundled one)."""
        weights = world_weights(world, "dynamics.")
        self.network.load_state_dict(weights)
        self.average.load_state_dict(weights)

    def resume(self) -> bool:
        """Continue from the checkpoint; False if there is none."""
        if not self.path.exists():
            return False
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
        return True

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
        saved = pictured = started = time.monotonic()
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
                if time.monotonic() - pictured > 60 * self.plan.sheet_minutes:
                    self.picture()
                    pictured = time.monotonic()
        self.save()
        self.picture()

    def report(self, measures: dict, rate: float) -> None:
        """A line that a person can read."""
        if parallel.rank() == 0:
            left = (self.plan.steps - self.step) / rate / 60
            numbers = "  ".join(f"{name} {value:.4f}" for name, value in measures.items())
            print(
                f"step {self.step}/{self.plan.steps}  {numbers}  {rate:.2f}/s  {left:.0f} min left",
                flush=True,
            )

    def picture(self) -> None:
        """A contact sheet of rollouts from held-out episodes, and their scores in the log."""
        if parallel.rank():
            return
        world = in_memory(self.cfg, self.codec, self.average)
        path = self.out / f"sheet-{self.step:07d}.png"
        scores = preview(world, EpisodeStore(self.cfg.data.heldout), path)
        with open(self.out / "log.jsonl", "a") as log:
            log.write(json.dumps({"step": self.step, "preview": scores}) + "\n")
        numbers = "  ".join(f"{name} {value:.2f}" for name, value in scores.items())
        print(f"step {self.step}  {numbers}  {path}", flush=True)

    def export(self) -> None:
        """Write the world folder."""
        folder = self.out / "world"
        trained = {"steps": self.step, "episodes": len(self.sampler.cache)}
        world_hash = export_world(self.cfg, self.codec, self.average, folder, trained)
        print(f"{folder}: {world_size(folder):.1f} MB, {world_hash[:12]}", flush=True)

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
