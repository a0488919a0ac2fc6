"""The codec's part of a training: find the encoder, teach the decoder, encode the data."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.codec.patch_autoencoder import PatchAutoencoder, decoder_loss
from models.training.base_config import WorldConfig
from worldsim.config import to_dict
from worldsim.data.latents import load_or_encode_latents
from worldsim.data.store import EpisodeStore
from worldsim.data.video_folder import UNKNOWN
from worldsim.upgrades import drop_removed
from worldsim.world.card import read_card
from worldsim.world.checkpoint import (
    CARD,
    WEIGHTS,
    check_world,
    load_into,
    load_training,
    load_weights,
    save_training,
)
from worldsim.world.model import world_folder

NO_ENGINE = "none"  # what a world from videos was learnt from


def prepare(cfg: WorldConfig, out: Path, device: torch.device):
    """Codec and latents; made once, then read."""
    store = open_store(cfg, "--episodes 1200")
    codec = train_codec(cfg, store, out, device)
    return codec, load_or_encode_latents(store, codec, codec.encoder_hash(), Path(cfg.data.cache))


def open_store(cfg: WorldConfig, how: str) -> EpisodeStore:
    """The episodes to learn from.

    Args:
        cfg: where they lie, and which actions they should have.
        how: options of `worldsim collect` that make such episodes.

    Raises:
        ValueError: there are none, or they are of another kind or size of world.
    """
    store = EpisodeStore(cfg.data.train)
    if not len(store):
        raise ValueError(
            f"{cfg.data.train} holds no episodes: {advise_making(cfg, cfg.data.train, how)}"
        )
    metas = [store.meta(i) for i in range(len(store))]
    sets = {meta.action_set for meta in metas} - {cfg.action_set}
    if sets:
        raise ValueError(
            f"{cfg.data.train} holds episodes with the actions {', '.join(sorted(sets))}, "
            f"{cfg.name} has {cfg.action_set}: give episodes of one kind of world"
        )
    if any(meta.extra.get("actions") == UNKNOWN for meta in metas):
        raise ValueError(
            f"{cfg.data.train} holds episodes whose actions are not known: let `worldsim data "
            f"actions` infer them"
        )
    size = store[0].frames.shape[1]
    if size != cfg.codec.frame_size:
        raise ValueError(
            f"{cfg.data.train} has frames of {size} pixels, the codec of {cfg.codec.frame_size}: "
            f"set codec.frame_size, or give other episodes"
        )
    return store


def advise_making(cfg: WorldConfig, folder: str, options: str) -> str:
    """How the episodes of a split's folder are made, with these options of `worldsim collect`."""
    target = Path(folder).parent
    if cfg.engine == NO_ENGINE:
        return f"make them with `worldsim data video VIDEOS {target}` first"
    how = f"worldsim collect --env {cfg.engine} {options}".rstrip()
    return f"run `{how} --out {target}` first"


def train_codec(
    cfg: WorldConfig, store: EpisodeStore, out: Path, device: torch.device
) -> PatchAutoencoder:
    """Find the encoder, teach the decoder; resumes and saves in `out/codec.pt`."""
    codec = PatchAutoencoder(cfg.codec)
    path, rng = out / "codec.pt", np.random.default_rng(cfg.seed)
    plan, done, optimiser_state = cfg.codec_training, 0, None
    if path.exists():
        state = load_training(path)
        load_into(codec, state["codec"], path)
        done, optimiser_state = state["step"], state["optimiser"]
    frames = (
        some_frames(store, plan.fit_frames, rng) if done < plan.steps or not path.exists() else None
    )
    if not path.exists():
        codec.fit_encoder(frames)
        save_training(path, {"codec": codec.state_dict(), "step": 0, "optimiser": None})
    codec.to(device)  # the encoder is found in float64 on the CPU
    optimiser = torch.optim.AdamW([p for p in codec.parameters() if p.requires_grad], lr=plan.lr)
    if optimiser_state:
        optimiser.load_state_dict(optimiser_state)
    generator = torch.Generator().manual_seed(cfg.seed + done)
    for step in range(done, plan.steps):
        for group in optimiser.param_groups:
            group["lr"] = plan.lr * min(1, (step + 1) / 50, 3 * (1 - step / plan.steps))
        batch = frames[torch.randint(0, len(frames), (plan.batch,), generator=generator)]
        loss = decoder_loss(codec, batch.to(device), generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 50 == 49 or step + 1 == plan.steps:
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


def take_codec(cfg: WorldConfig, world: str, out: Path) -> None:
    """The codec of another world, if it is shaped as asked for: its latents are what that world's
    dynamics knows. Else the training finds its own, and the dynamics learns a new alphabet.
    """
    theirs = check_origin(world)
    if theirs == to_dict(cfg.codec) and not (out / "codec.pt").exists():
        codec = PatchAutoencoder(cfg.codec)
        codec.load_state_dict(world_weights(world, "codec."))
        state = {"codec": codec.state_dict(), "step": cfg.codec_training.steps, "optimiser": None}
        save_training(out / "codec.pt", state)


def check_origin(world: str) -> dict[str, Any]:
    """The settings of the codec of a world to begin with.

    Raises:
        ValueError: there is no such world, or it has no codec of ours, or needs what is gone.
    """
    theirs = drop_removed(read_card(world_folder(world) / CARD).settings).get("codec")
    if theirs is None:
        raise ValueError(f"{world} is of the published layout: --from takes a world of our own.")
    return theirs


def world_weights(world: str, prefix: str) -> dict[str, torch.Tensor]:
    """The float32 weights of one part of a world."""
    folder = world_folder(world)
    check_world(folder)
    weights = load_weights(folder / WEIGHTS)
    return {k.removeprefix(prefix): v.float() for k, v in weights.items() if k.startswith(prefix)}
