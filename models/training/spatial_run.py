"""The training of a world with a memory in space, in order: codec, depth network, cache, dynamics,
decoder, odometry, world folder. The loop is that of every training (loop.py).
"""

import copy
import functools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.build.networks import settings_to_dict
from models.build.spatial import weights_of
from models.build.world_folder import preview, world_size, write_spawns
from models.codec.patch_autoencoder import PatchAutoencoder
from models.codec.view_decoder import ViewCodec, ViewDecoder
from models.memory.depth_network import DepthNetwork
from models.spatial.dynamics import SpatialDynamics, SpatialModels
from models.spatial.network import SpatialNetwork
from models.training import distributed
from models.training.card import make_card
from models.training.codec import open_store, train_codec
from models.training.ema import warm_up_ema
from models.training.loop import Run
from models.training.optim import make_optimisers, set_rate
from models.training.spatial_cache import SpatialEpisode
from models.training.spatial_chain import OwnFrames
from models.training.spatial_config import SpatialConfig
from models.training.spatial_init import network_of, take_parts
from models.training.spatial_loss import SpatialLoss, Stage
from models.training.spatial_parts import open_drawers, prepare_depth, teach_odometry
from models.training.spatial_samples import Samples
from models.training.start import Beginning, finish, learn, start_training
from models.training.view_decoder_run import SamplePool, ViewDecoderTraining, milder
from worldsim.config import to_dict
from worldsim.data.store import EpisodeStore
from worldsim.machine_speed import pick_precision
from worldsim.world.card import WorldCard
from worldsim.world.checkpoint import check_world, save_world
from worldsim.world.model import WorldModel
from worldsim.world.protocols import Parts

SMOKE = (
    "codec.channels=16",
    "codec.width=16",
    "codec_training.fit_frames=400",
    "codec_training.steps=10",
    "codec_training.batch=4",
    "depth.width=32",
    "depth.layers=1",
    "depth_training.steps=12",
    "depth_training.batch=8",
    "network.latent_channels=16",
    "network.narrow=32",
    "network.wide=64",
    "network.head_size=32",
    "network.outer=1",
    "network.layers=2",
    "memory.slots=32",
    "memory.sources=3",
    "samples.candidates=24",
    "training.steps=12",
    "training.batch=4",
    "training.own_frames_from=0.2",
    "training.shortcuts_from=0.3",
    "decoder.eighth=16",
    "decoder.quarter=16",
    "decoder.half=8",
    "decoder_training.steps=6",
    "decoder_training.pool=8",
    "decoder_training.batch=2",
    "decoder_training.renew=2",
    "decoder_training.critic_from=2",
    "odometry.width=32",
    "odometry.prototypes=8",
    "odometry_training.steps=12",
    "odometry_training.batch=8",
)


def train_spatial(args) -> int:
    """Everything, in order."""
    with flush_denormals():
        return train_in_order(args)


@contextmanager
def flush_denormals() -> Iterator[None]:
    """Numbers too small for float32's normal range are zero inside; they are not outside.

    Momenta that die away would reach that range, where a product takes a hundred times as long.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def train_in_order(args) -> int:
    """Codec, depth network, cache, dynamics, odometry, world folder."""
    kind = Beginning(SpatialConfig, SMOKE, "depth", "--depth")
    cfg, out, device = start_training(args, kind, take_parts, prepare)
    recipe = SpatialRecipe(cfg, *prepare(cfg, out, device), out, device)
    run = Run(recipe, out, device)
    try:
        origin = lambda: network_of(cfg, args.origin) or recipe.network.state_dict()  # noqa: E731
        learn(run, args, origin)
        run.close()
        recipe.teach_decoder(run.average, run.shares[distributed.rank()].loss_of)
    finally:
        run.close()
    return finish(run)


def prepare(
    cfg: SpatialConfig, out: Path, device: torch.device
) -> tuple[PatchAutoencoder, DepthNetwork, list[SpatialEpisode]]:
    """Codec, depth network, and the episodes with the depth that it reads off them; made once."""
    store = open_store(cfg, "--episodes 1200 --depth")
    codec = train_codec(cfg, store, out, device)
    return codec, *prepare_depth(cfg, store, codec, out)


class SpatialRecipe:
    """How a dynamics with a memory in space learns: single frames, Muon and AdamW."""

    def __init__(
        self,
        cfg: SpatialConfig,
        codec: PatchAutoencoder,
        depth: DepthNetwork,
        episodes: list[SpatialEpisode],
        out: Path,
        device: torch.device,
    ):
        self.cfg, self.plan, self.codec, self.device = cfg, cfg.training, codec, device
        self.depth, self.episodes, self.out = depth, episodes, out
        self.config = json.dumps(to_dict(cfg))
        torch.manual_seed(cfg.seed)
        self.network = SpatialNetwork(cfg.network, cfg.memory.field_of_view).to(device)
        if self.plan.compile:
            self.network.compile(dynamic=False)
        self.opts = make_optimisers(self.network, self.plan)
        self.decoder = self._read_decoder().average

    def open_share(self, number: int, count: int) -> "SpatialShare":
        """A share of every batch, with random numbers of its own."""
        return SpatialShare(self, number, count)

    def _read_decoder(self) -> ViewDecoderTraining:
        """The decoder, as far as it has learnt; before that it shows what it is given."""
        cfg, codec = self.cfg, self.codec
        decoder = ViewDecoder(cfg.decoder, codec.frame_size, codec.latent_shape).to(self.device)
        precision = pick_precision(self.plan.precision, self.device)
        path = self.out / "decoder.pt"
        return ViewDecoderTraining(decoder, codec, cfg.decoder_training, path, cfg.seed, precision)

    def teach_decoder(self, average: nn.Module, loss_of: SpatialLoss) -> None:
        """Teach the decoder what the network samples, made ready by a loss; resumes."""
        training = self._read_decoder()
        if not training.is_done and distributed.rank() == 0:
            seed = self.cfg.seed + training.step
            damage, batch = milder(self.cfg.samples), self.plan.batch // 2
            drawers = open_drawers(self.cfg, self.cfg.memory, damage, seed, batch)
            predict_of = functools.partial(loss_of.make_predict, average)
            size, generator = self.cfg.decoder_training.pool, training.generator
            settings = (size, generator, self.device, training.precision, self.cfg.sampler.order)
            try:
                pool = SamplePool(drawers, predict_of, self.codec.latent_shape, *settings)
                training.run(pool)
            finally:
                drawers.close()
        self.decoder.load_state_dict(training.average.state_dict())

    def set_rate(self, step: int) -> None:
        """Warm-up, constant, decay."""
        set_rate(self.opts, self.plan, step)

    def update_ema(self, average: nn.Module, step: int) -> None:
        """Faster at the start."""
        warm_up_ema(average, self.network, self.plan.ema, step)

    def preview(self, average: nn.Module, path: Path) -> dict[str, float]:
        """Dreams from held-out episodes, where odometry has learnt already."""
        if not (self.out / "odometry.pt").exists():
            return {}
        world = self._in_memory(average)
        return preview(world, EpisodeStore(self.cfg.data.heldout), path)

    def _in_memory(self, average: nn.Module) -> WorldModel:
        """The world as it stands, without a folder."""
        models, _ = self._models(average)
        codec = ViewCodec(models.codec, models.decoder)
        parts = Parts(codec, SpatialDynamics(models, self.cfg.memory, self.cfg.sampler))
        return WorldModel(self._make_card({}), parts, "unsaved", device=str(self.device))

    def _make_card(self, trained: dict[str, Any]) -> WorldCard:
        return make_card(self.cfg, "far-spatial", settings_to_dict(self.cfg.settings), trained)

    def _models(self, average: nn.Module) -> tuple[SpatialModels, dict[str, float]]:
        """All networks; teaches odometry where it has not learnt yet. Copies: play changes them."""
        odometry, told = teach_odometry(self.cfg, self.episodes, self.out)
        models = (self.codec, average, self.depth, odometry, self.decoder)
        copies = (copy.deepcopy(model).to(self.device).eval() for model in models)
        return SpatialModels(*copies), told

    def export(self, average: nn.Module, folder: Path, step: int) -> str:
        """Write the world folder."""
        models, told = self._models(average)
        trained = {"steps": step, "frames": step * self.plan.batch, "episodes": len(self.episodes)}
        card = self._make_card(trained | {"odometry": told})
        write_spawns(EpisodeStore(self.cfg.data.heldout), folder / "spawns")
        save_world(folder, json.loads(json.dumps(vars(card))), weights_of(models))
        return f"{folder}: {world_size(folder):.1f} MB, {check_world(folder)[:12]}"


class SpatialShare:
    """A share of every batch: what draws it, and old errors to damage its memories with."""

    def __init__(self, recipe: SpatialRecipe, number: int, count: int):
        cfg, self.recipe = recipe.cfg, recipe
        seed = cfg.seed + 1000 * number
        self.generator = torch.Generator().manual_seed(seed)
        parts = recipe.codec, recipe.decoder, recipe.depth
        how = cfg.memory, cfg.loss.own_frames, self.generator, cfg.sampler.order
        own_frames = OwnFrames(*parts, *how)
        self.loss_of = SpatialLoss(cfg.loss, recipe.codec, own_frames, self.generator)
        batch = max(cfg.training.batch // count, cfg.samples.group)
        self.drawer = open_drawers(cfg, cfg.memory, cfg.samples, seed, batch)

    def draw(self, step: int) -> Samples:
        """The next samples, on the device."""
        return self.drawer.draw().to(self.recipe.device)

    def loss(self, average: nn.Module, batch: Samples, step: int) -> tuple[Tensor, dict]:
        """Of what this step's stage asks for."""
        plan = self.recipe.plan
        done = step / plan.steps
        begins = plan.error_injection_from, plan.own_frames_from, plan.shortcuts_from
        stage = Stage(*(done >= begin for begin in begins))
        return self.loss_of(self.recipe.network, average, batch, stage)

    def state(self) -> dict[str, Any]:
        """Where the random numbers stand, and old errors."""
        return {
            "drawer": self.drawer.state_dict(),
            "generator": self.generator.get_state(),
            "residuals": self.loss_of.residuals,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Inverse of state."""
        self.drawer.load_state_dict(state["drawer"])
        self.generator.set_state(state["generator"])
        old = state["residuals"]
        self.loss_of.residuals = None if old is None else old.to(self.recipe.device)

    def close(self) -> None:
        """End the processes that draw."""
        self.drawer.close()
