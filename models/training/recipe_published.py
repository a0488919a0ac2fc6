"""Published FAR's own training (arXiv 2503.19325) on the published data.

    python train_world.py assets/configs/published/far-b-long-dmlab.yaml --device cuda

The settings are in published_config.py, the loss in far_reference_loss.py, the loop in
loop.py. Every draw is a function of seed,
step and row, so that `torchrun --nproc-per-node N` trains on the batches that one process would.
"""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.build.world_folder import SPAWNS, preview, world_size, write_heads
from models.far_published.dynamics import FARReferenceDynamics
from models.far_published.loss import Drawn, draw, flow_loss, initialise_as_published
from models.far_published.network import NULL, FARReferenceNetwork
from models.training import distributed
from models.training.codec import world_weights
from models.training.config_published import SMOKE, PublishedConfig, small
from models.training.data_published import Encoder, encode_frames, latents_of, open_encoder, shrunk
from models.training.ema import update_ema
from models.training.loop import Run, check_batch, count_shares, start_folder
from models.training.start import finish, learn, read_settings
from models.training.weights import place
from models.zoo.import_weights import make_published_card
from models.zoo.presets import ZooEntry, autoencoder_config, zoo_entry
from worldsim.config import to_dict
from worldsim.data.crop import square
from worldsim.data.published.clip_files import find_clips
from worldsim.data.published.formats import Layout, find_layout
from worldsim.data.published.windows import FrameSource, LatentSource, Row, Source, Stretches
from worldsim.types import Episode
from worldsim.world.card import WorldCard
from worldsim.world.checkpoint import check_world, save_world
from worldsim.world.model import WorldModel
from worldsim.world.protocols import Parts


def train_published(args) -> int:
    """Everything, in order; `args` as train_world.py parses them."""
    rank, _ = distributed.start()
    cfg, out = read_settings(args, PublishedConfig, SMOKE)
    cfg = small(cfg, out) if args.smoke else cfg
    device = distributed.own_device(args.device)
    check_batch(cfg.training, count_shares(cfg.training))
    entry = zoo_entry(cfg.kind, cfg.preset)
    encoder = encoder_of(cfg, entry, device, untrained=args.smoke)
    if rank == 0:
        check_clips(cfg, entry)
        start_folder(out, args.fresh)
        source_of(cfg, entry, encoder)  # the others find the latents ready
    distributed.barrier()
    recipe = PublishedRecipe(cfg, entry, encoder, device)
    run = Run(recipe, out, device, sharded=cfg.training.sharded)
    learn(run, args, lambda: world_weights(args.origin, "dynamics."))
    return finish(run)


def encoder_of(
    cfg: PublishedConfig, entry: ZooEntry, device: torch.device, untrained: bool
) -> Encoder:
    """The config's autoencoder; in a smoke run a small untrained one."""
    config = autoencoder_config(cfg.kind, entry)
    config, weights = (shrunk(config), None) if untrained else (config, Path(cfg.autoencoder))
    return open_encoder(config, weights, device, entry.network.latent_size)


def source_of(cfg: PublishedConfig, entry: ZooEntry, encoder: Encoder) -> Source:
    """The training clips.

    Raises:
        ValueError: none, damaged ones, or a network that is conditioned on something else.
    """
    data, layout = cfg.data, find_layout(cfg.data.layout)
    check_condition(entry, layout)
    clips = find_clips(data.train, layout, data.root)
    delay = entry.play.action_delay
    if data.latents is not None:
        return LatentSource(latents_of(clips, layout, encoder, Path(data.latents)), delay)
    size = encoder.codec.frame_size
    return FrameSource(clips, layout, size=size, flip=data.flip, delay=delay)


def check_clips(cfg: PublishedConfig, entry: ZooEntry) -> None:
    """Look for all clips before a folder is made; raises as source_of does."""
    layout = find_layout(cfg.data.layout)
    check_condition(entry, layout)
    for source in (cfg.data.train, cfg.data.heldout):
        find_clips(source, layout, cfg.data.root)


def check_condition(entry: ZooEntry, layout: Layout) -> None:
    """Refuse a network that asks for what the data has not."""
    wanted, network = entry.network.condition, entry.network
    if wanted not in ("none", layout.condition):
        raise ValueError(
            f"{entry.title} is conditioned on a frame's {wanted}, {layout.name} has "
            f"{layout.condition}: choose another kind, or another data.layout"
        )
    if wanted == "action" and len(layout.classes) > network.classes:
        raise ValueError(
            f"{layout.name} has {len(layout.classes)} classes, {entry.title} {network.classes}"
        )


class PublishedRecipe:
    """How published FAR is trained."""

    def __init__(
        self, cfg: PublishedConfig, entry: ZooEntry, encoder: Encoder, device: torch.device
    ):
        self.cfg, self.entry, self.encoder, self.device = cfg, entry, encoder, device
        self.plan, self.config = cfg.training, json.dumps(to_dict(cfg))
        torch.manual_seed(cfg.seed)
        network = FARReferenceNetwork(entry.network)
        initialise_as_published(network)
        network.checkpointing = self.plan.checkpointing
        self.network = place(network, self.plan.sharded, device)
        self.opts = [
            torch.optim.AdamW(
                self.network.parameters(), self.plan.lr, weight_decay=self.plan.weight_decay
            )
        ]
        self.source = source_of(cfg, entry, encoder)

    def open_share(self, number: int, count: int) -> "PublishedShare":
        """As many rows of every batch as each share has."""
        check_batch(self.plan, count)
        return PublishedShare(self, number, self.plan.batch // count)

    def encoded(self, rows: list[Row]) -> tuple[Tensor, Tensor]:
        """Latents `[B,T,C,h,w]` and conditions `[B,T]` of rows."""
        pictures = torch.from_numpy(np.stack([row.pictures for row in rows]))
        conditions = torch.from_numpy(np.stack([row.conditions for row in rows]))
        if self.entry.network.condition == "none":
            conditions = torch.full_like(conditions, NULL)
        if pictures.dtype == torch.uint8:
            flat = encode_frames(pictures.flatten(0, 1), self.encoder.codec)
            pictures = flat.unflatten(0, conditions.shape)
        return pictures.to(self.device), conditions.to(self.device)

    def set_rate(self, step: int) -> None:
        """Warm-up, then constant."""
        self.opts[0].param_groups[0]["lr"] = self.plan.rate(step)

    def update_ema(self, average: nn.Module, step: int) -> None:
        """The exponential average."""
        update_ema(average, self.network, self.plan.keep(step))

    def card(self, step: int) -> WorldCard:
        """What the training knows about its world."""
        settings = to_dict(self.cfg)
        for folder in ("train", "heldout", "root", "latents"):  # nobody else's business
            del settings["data"][folder]
        del settings["autoencoder"]
        card = make_published_card(
            self.cfg.name, self.cfg.kind, self.entry, dict(self.encoder.config)
        )
        trained = {"published": self.cfg.kind, "steps": step, "config": settings}
        return replace(card, licence=self.cfg.licence, training=trained)

    def heldout(self, count: int) -> list[Episode]:
        """The first held-out clips that have frames, at the world's size."""
        layout, episodes = find_layout(self.cfg.data.layout), []
        for clip in find_clips(self.cfg.data.heldout, layout, self.cfg.data.root)[:count]:
            if clip.frames is not None:
                episode = clip.read_episode(layout)
                frames = square(episode.frames, self.encoder.codec.frame_size)
                episodes.append(replace(episode, frames=frames))
        return episodes

    def preview(self, average: nn.Module, path: Path) -> dict[str, float]:
        """Dreams from held-out clips."""
        network = copy.deepcopy(average)  # playing may change its precision
        dynamics = FARReferenceDynamics(network, self.entry.play).to(self.device)
        world = WorldModel(
            self.card(0), Parts(self.encoder.codec, dynamics), "unsaved", device=str(self.device)
        )
        data, episodes = self.cfg.data, self.heldout(4)
        return preview(world, episodes, path, context=data.context, length=data.predicted)

    def export(self, average: nn.Module, folder: Path, step: int) -> str:
        """Write the world folder."""
        write_heads(self.heldout(SPAWNS), folder / "spawns")
        parts = {"codec": self.encoder.codec.model, "dynamics": average}
        weights = {
            f"{part}.{name}": tensor.cpu()
            for part, module in parts.items()
            for name, tensor in module.state_dict().items()
        }
        save_world(folder, json.loads(json.dumps(vars(self.card(step)))), weights)
        return f"{folder}: {world_size(folder):.1f} MB, {check_world(folder)[:12]}"


class PublishedShare:
    """A share of every batch: its rows from `number * each` on."""

    def __init__(self, recipe: PublishedRecipe, number: int, each: int):
        cfg, self.recipe = recipe.cfg, recipe
        self.stretches = Stretches(
            recipe.source,
            frames=cfg.data.frames,
            interval=cfg.data.interval,
            shortest=recipe.entry.network.window if cfg.data.long else None,
            pad=find_layout(cfg.data.layout).condition != "action",
            batch=cfg.training.batch,
            seed=cfg.seed,
            rows=range(number * each, (number + 1) * each),
        )

    def draw(self, step: int) -> list[Row]:
        """Its rows."""
        return self.stretches.draw(step)

    def loss(
        self, average: nn.Module, batch: list[Row], step: int
    ) -> tuple[Tensor, dict[str, float]]:
        """Of its rows."""
        recipe, cfg = self.recipe, self.recipe.cfg
        latents, conditions = recipe.encoded(batch)
        seeds = [row_seed(cfg.seed, step, row) for row in self.stretches.rows]
        drawn = draw(recipe.entry.network, cfg.loss, latents.shape[1], seeds)
        drawn = Drawn(*(part.to(recipe.device) for part in drawn))
        loss = flow_loss(recipe.network, latents, conditions, drawn).mean()
        return loss, {"loss": loss.item(), "frames": latents.shape[1]}

    def state(self) -> dict[str, Any]:
        """Nothing: every draw follows from seed and step."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Inverse of state."""

    def close(self) -> None:
        """Nothing: it draws when it is asked."""


def row_seed(seed: int, step: int, row: int) -> int:
    """The seed of a row's noise."""
    return int(np.random.SeedSequence([seed, 4, step, row]).generate_state(1, np.uint64)[0] >> 1)
