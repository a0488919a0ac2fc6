"""The tokenizer of a world of VideoAR: patches in closed form, codebooks by k-means, and a decoder
that learns to paint what the labels say.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.build.videoar import make_tokenizer
from models.codec.multiscale_tokenizer import MultiscaleTokenizer
from models.codec.patch_autoencoder import paint_loss
from models.training.codec import some_frames
from models.training.videoar_config import VideoARConfig
from worldsim.data.store import EpisodeStore
from worldsim.world.checkpoint import load_into, load_training, save_training

TRUNCATED = 0.15  # share of frames whose finer scales are left out
WARMUP, SAVE_EVERY, CHUNK = 50, 50, 256


def train_tokenizer(
    cfg: VideoARConfig, store: EpisodeStore, out: Path, device: torch.device
) -> MultiscaleTokenizer:
    """Resumes and saves in `out/codec.pt`."""
    tokenizer, path = make_tokenizer(cfg.codec, cfg.quantizer), out / "codec.pt"
    plan, done, optimiser_state = cfg.codec_training, 0, None
    if path.exists():
        state = load_training(path)
        load_into(tokenizer, state["codec"], path)
        done, optimiser_state = state["step"], state["optimiser"]
    if done < plan.steps or not path.exists():
        frames = some_frames(store, plan.fit_frames, np.random.default_rng(cfg.seed))
        if not path.exists():
            fit_tokenizer(tokenizer, frames, torch.Generator().manual_seed(cfg.seed))
        teach_decoder(cfg, tokenizer.to(device), frames, path, (done, optimiser_state))
    return tokenizer.to(device).requires_grad_(False).eval()


@torch.no_grad()
def fit_tokenizer(
    tokenizer: MultiscaleTokenizer, frames: Tensor, generator: torch.Generator
) -> None:
    """Find the encoder, and the codebooks where there are any, from frames uint8 `[N,H,W,3]`."""
    tokenizer.autoencoder.fit_encoder(frames)
    if tokenizer.cfg.kind == "codebook":
        features = [tokenizer.autoencoder.encode(part) for part in frames.split(CHUNK)]
        tokenizer.quantizer.fit_codebooks(torch.cat(features), generator)


def teach_decoder(
    cfg: VideoARConfig,
    tokenizer: MultiscaleTokenizer,
    frames: Tensor,
    path: Path,
    begun: tuple[int, dict | None],
) -> None:
    """Train the decoder on quantised features; `begun`: steps done, and the optimiser then."""
    plan, (done, state) = cfg.codec_training, begun
    decoder, device = tokenizer.autoencoder, tokenizer.autoencoder.basis.device
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=plan.lr)
    if state:
        optimiser.load_state_dict(state)
    generator = torch.Generator().manual_seed(cfg.seed + done)
    for step in range(done, plan.steps):
        rate = plan.lr * min(1, (step + 1) / WARMUP, 3 * (1 - step / plan.steps))
        optimiser.param_groups[0]["lr"] = rate
        chosen = torch.randint(0, len(frames), (plan.batch,), generator=generator)
        batch = frames[chosen].to(device)
        loss = paint_loss(decoder, truncated(tokenizer, batch, generator), batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == plan.steps:
            print(f"codec {step + 1}/{plan.steps}  loss {loss.item():.4f}", flush=True)
            parts = {"codec": tokenizer.state_dict(), "optimiser": optimiser.state_dict()}
            save_training(path, parts | {"step": step + 1})


@torch.no_grad()
def truncated(tokenizer: MultiscaleTokenizer, frames: Tensor, generator: torch.Generator) -> Tensor:
    """Quantised features `[B,d,h,w]` of frames; some lack their finer scales, as where few steps
    are taken.
    """
    sums = tokenizer.quantizer.build_pyramid(tokenizer.autoencoder.encode(frames)).sums
    last, count = len(sums) - 1, len(frames)
    cut = torch.rand(count, generator=generator) < TRUNCATED
    scale = torch.where(cut, torch.randint(0, last + 1, (count,), generator=generator), last)
    rows = torch.arange(count)
    return torch.stack(sums)[scale, rows]
