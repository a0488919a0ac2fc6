"""The training of a world of VideoAR, in order: tokenizer, features, dynamics, world folder. The
loop is that of every training (loop.py).
"""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.build.networks import settings_to_dict
from models.build.videoar import settings_from_dict, weights_of
from models.build.world_folder import export_world, preview, world_size
from models.codec.multiscale_tokenizer import MultiscaleTokenizer
from models.training.card import make_card
from models.training.codec import open_store, world_weights
from models.training.ema import warm_up_ema
from models.training.loop import Run
from models.training.optim import make_optimisers, set_rate
from models.training.start import Beginning, finish, learn, start_training
from models.training.videoar_config import VideoARConfig
from models.training.videoar_tokenizer import train_tokenizer
from models.videoar.dynamics import VideoARDynamics
from models.videoar.loss import Drawn, draw, videoar_loss
from models.videoar.network import VideoARNetwork, initialise
from worldsim.actions import load_actions
from worldsim.config import to_dict
from worldsim.data.clips import Clip, ClipSampler
from worldsim.data.latents import LatentCache, load_or_encode_latents
from worldsim.data.store import EpisodeStore
from worldsim.world.card import WorldCard, read_card
from worldsim.world.checkpoint import CARD, save_training
from worldsim.world.model import WorldModel, world_folder
from worldsim.world.protocols import Parts

SMOKE = (
    "codec.channels=16",
    "codec.width=16",
    "codec_training.fit_frames=400",
    "codec_training.steps=10",
    "codec_training.batch=4",
    "quantizer.channels=16",
    "quantizer.codebook=32",
    "network.width=32",
    "network.head_size=16",
    "network.layers=2",
    "network.window=4",
    "data.frames=6",
    "training.steps=8",
    "training.batch=2",
)


def train_videoar(args) -> int:
    """Tokenizer, features, dynamics, world folder."""
    kind = Beginning(VideoARConfig, SMOKE, "latents")
    cfg, out, device = start_training(args, kind, take_tokenizer, prepare, check_origin)
    run = Run(VideoARRecipe(cfg, *prepare(cfg, out, device), device), out, device)
    learn(run, args, lambda: world_weights(args.origin, "network."))
    return finish(run)


def check_origin(cfg: VideoARConfig, world: str) -> None:
    """Refuse a world that this training cannot begin with.

    Raises:
        ValueError: one of another dynamics, or other settings of a part.
    """
    card = read_card(world_folder(world) / CARD)
    if card.builder != "videoar":
        raise ValueError(f"--from must name a world of VideoAR, got {world}, a {card.builder!r}")
    told = settings_from_dict(card.settings)
    for part in ("codec", "quantizer", "network"):
        theirs, mine = getattr(told, part), getattr(cfg, part)
        if theirs != mine:
            theirs, mine = to_dict(theirs), to_dict(mine)
            raise ValueError(f"{part} must be as {world} has it, {theirs}, got {mine}")


def take_tokenizer(cfg: VideoARConfig, world: str, out: Path) -> None:
    """The tokenizer of another world: its labels are what that world's dynamics knows."""
    if not (out / "codec.pt").exists():
        state = {"codec": world_weights(world, "codec."), "optimiser": None}
        save_training(out / "codec.pt", state | {"step": cfg.codec_training.steps})


def prepare(
    cfg: VideoARConfig, out: Path, device: torch.device
) -> tuple[MultiscaleTokenizer, LatentCache]:
    """The tokenizer, and features of every frame before they are quantised; made once, then
    read.
    """
    store = open_store(cfg, "--episodes 1200")
    tokenizer = train_tokenizer(cfg, store, out, device)
    codec = tokenizer.autoencoder
    cache = load_or_encode_latents(store, codec, codec.encoder_hash(), Path(cfg.data.cache))
    return tokenizer, cache


class VideoARRecipe:
    """How VideoAR learns a world: clips of one length, Muon and AdamW."""

    def __init__(
        self,
        cfg: VideoARConfig,
        tokenizer: MultiscaleTokenizer,
        cache: LatentCache,
        device: torch.device,
    ):
        self.cfg, self.plan, self.tokenizer, self.device = cfg, cfg.training, tokenizer, device
        self.config = json.dumps(to_dict(cfg))
        torch.manual_seed(cfg.seed)
        self.network = VideoARNetwork(cfg.network, cfg.quantizer)
        initialise(self.network)
        self.network.to(device)
        self.opts = make_optimisers(self.network, self.plan)
        self.cache, self.mirror = cache, copy.deepcopy(tokenizer.autoencoder).cpu().mirror

    def open_share(self, number: int, count: int) -> "VideoARShare":
        """A share of every batch, with random numbers of its own."""
        return VideoARShare(self, number, count)

    def set_rate(self, step: int) -> None:
        """Warm-up, constant, decay."""
        set_rate(self.opts, self.plan, step)

    def update_ema(self, average: nn.Module, step: int) -> None:
        """Faster at the start."""
        warm_up_ema(average, self.network, self.plan.ema, step)

    def preview(self, average: nn.Module, path: Path) -> dict[str, float]:
        """Dreams from held-out episodes."""
        tokenizer, network = copy.deepcopy(self.tokenizer), copy.deepcopy(average)
        dynamics = VideoARDynamics(network, tokenizer.quantizer, self.cfg.play)
        parts = Parts(tokenizer, dynamics)
        world = WorldModel(self._make_card({}), parts, "unsaved", device=str(self.device))
        return preview(world, EpisodeStore(self.cfg.data.heldout), path)

    def _make_card(self, trained: dict[str, Any]) -> WorldCard:
        return make_card(self.cfg, "videoar", settings_to_dict(self.cfg.settings), trained)

    def export(self, average: nn.Module, folder: Path, step: int) -> str:
        """Write the world folder."""
        trained = {"steps": step, "frames": step * self.plan.batch * self.cfg.data.frames}
        card = self._make_card(trained | {"episodes": len(self.cache)})
        weights = weights_of(self.tokenizer, average)
        world_hash = export_world(card, weights, EpisodeStore(self.cfg.data.heldout), folder)
        return f"{folder}: {world_size(folder):.1f} MB, {world_hash[:12]}"


class VideoARShare:
    """A share of every batch: clips of one length."""

    def __init__(self, recipe: VideoARRecipe, number: int, count: int):
        cfg, self.recipe = recipe.cfg, recipe
        each = max(cfg.training.batch // count, 1)
        self.rows = range(number * each, (number + 1) * each)
        self.sampler = ClipSampler(
            recipe.cache,
            load_actions(cfg.action_set),
            batch=each,
            shortest=cfg.data.frames,
            longest=cfg.data.frames,
            short=0.0,
            mirror=recipe.mirror,
            seed=cfg.seed + 1000 * number,
        )

    def draw(self, step: int) -> Clip:
        """The next clips."""
        return self.sampler.draw().to(self.recipe.device)

    def loss(self, average: nn.Module, batch: Clip, step: int) -> tuple[Tensor, dict[str, float]]:
        """Cross-entropy of all labels, some of them flipped."""
        recipe, cfg = self.recipe, self.recipe.cfg
        seeds = [row_seed(cfg.seed, step, row) for row in self.rows]
        drawn = draw(cfg.loss, cfg.quantizer, batch.actions.shape[1], seeds)
        features, quantizer = batch.latents.float(), recipe.tokenizer.quantizer
        drawn = to_device(drawn, recipe.device)
        return videoar_loss(recipe.network, quantizer, features, batch.actions, drawn)

    def state(self) -> dict[str, Any]:
        """Where the random numbers stand; errors follow from seed and step."""
        return {"sampler": json.dumps(self.sampler.state_dict())}

    def load_state(self, state: dict[str, Any]) -> None:
        """Inverse of state."""
        self.sampler.load_state_dict(json.loads(state["sampler"]))

    def close(self) -> None:
        """Nothing: it draws when it is asked."""


def row_seed(seed: int, step: int, row: int) -> int:
    """The seed of a row's flips and masks."""
    return int(np.random.SeedSequence([seed, 5, step, row]).generate_state(1, np.uint64)[0] >> 1)


def to_device(drawn: Drawn, device: torch.device) -> Drawn:
    """The same draws on a device."""
    flips = [part.to(device) for part in drawn.flips]
    rates, kept, dropped = (part.to(device) for part in (drawn.rates, drawn.kept, drawn.dropped))
    return Drawn(rates, flips, kept, dropped)
