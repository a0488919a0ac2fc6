"""The training of a world of VideoAR with a memory in space, in order: tokenizer, depth network,
cache, dynamics, odometry, world folder. Samples, depth and odometry are those of the training with
a memory in space (spatial_run.py), tokenizer and flips those of VideoAR's (videoar_run.py).
"""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.build.networks import settings_to_dict
from models.build.videoar_spatial import make_network, weights_of
from models.build.world_folder import export_world, preview, world_size
from models.codec.multiscale_tokenizer import MultiscaleTokenizer
from models.memory.depth_network import DepthNetwork
from models.training.card import make_card
from models.training.codec import open_store
from models.training.ema import warm_up_ema
from models.training.loop import Run
from models.training.optim import make_optimisers, set_rate
from models.training.spatial_cache import SpatialEpisode
from models.training.spatial_parts import open_drawers, prepare_depth, teach_odometry
from models.training.spatial_run import flush_denormals
from models.training.spatial_samples import Samples
from models.training.start import Beginning, finish, learn, start_training
from models.training.videoar_run import row_seed, to_device
from models.training.videoar_spatial_config import VideoARSpatialConfig
from models.training.videoar_spatial_init import check_origin, network_of, take_parts
from models.training.videoar_tokenizer import train_tokenizer
from models.videoar.loss import draw
from models.videoar.network import initialise
from models.videoar_spatial.condition import describe_view
from models.videoar_spatial.dynamics import VideoARSpatialDynamics, VideoARSpatialModels
from models.videoar_spatial.loss import ViewClip, view_loss
from worldsim.config import to_dict
from worldsim.data.store import EpisodeStore
from worldsim.world.card import WorldCard
from worldsim.world.model import WorldModel
from worldsim.world.protocols import Parts

SMOKE = (
    "codec.channels=16",
    "codec.width=16",
    "codec_training.fit_frames=400",
    "codec_training.steps=10",
    "codec_training.batch=4",
    "quantizer.channels=16",
    "quantizer.codebook=32",
    "depth.width=32",
    "depth.layers=1",
    "depth_training.steps=12",
    "depth_training.batch=8",
    "network.width=32",
    "network.head_size=16",
    "network.layers=2",
    "network.window=4",
    "memory.slots=32",
    "memory.sources=3",
    "samples.lengths=[8, 24]",
    "samples.candidates=24",
    "training.steps=8",
    "training.batch=4",
    "odometry.width=32",
    "odometry.prototypes=8",
    "odometry_training.steps=12",
    "odometry_training.batch=8",
)


def train_videoar_spatial(args) -> int:
    """Tokenizer, depth network, cache, dynamics, odometry, world folder."""
    with flush_denormals():
        kind = Beginning(VideoARSpatialConfig, SMOKE, "depth", "--depth")
        cfg, out, device = start_training(args, kind, take_parts, prepare, check_origin)
        recipe = VideoARSpatialRecipe(cfg, *prepare(cfg, out, device), out, device)
        run = Run(recipe, out, device)
        try:
            origin = lambda: network_of(cfg, args.origin) or recipe.network.state_dict()  # noqa: E731
            learn(run, args, origin)
        finally:
            run.close()
        return finish(run)


def prepare(
    cfg: VideoARSpatialConfig, out: Path, device: torch.device
) -> tuple[MultiscaleTokenizer, DepthNetwork, list[SpatialEpisode]]:
    """Tokenizer, depth network, and the episodes with the depth that it reads off them; made
    once.
    """
    store = open_store(cfg, "--episodes 1200 --depth")
    tokenizer = train_tokenizer(cfg, store, out, device)
    return tokenizer, *prepare_depth(cfg, store, tokenizer.autoencoder, out)


class VideoARSpatialRecipe:
    """How VideoAR with a memory in space learns: single frames, Muon and AdamW."""

    def __init__(
        self,
        cfg: VideoARSpatialConfig,
        tokenizer: MultiscaleTokenizer,
        depth: DepthNetwork,
        episodes: list[SpatialEpisode],
        out: Path,
        device: torch.device,
    ):
        self.cfg, self.plan, self.tokenizer, self.device = cfg, cfg.training, tokenizer, device
        self.depth, self.episodes, self.out = depth, episodes, out
        self.config = json.dumps(to_dict(cfg))
        torch.manual_seed(cfg.seed)
        self.network = make_network(cfg.network, cfg.quantizer)
        initialise(self.network)
        self.network.to(device)
        self.opts = make_optimisers(self.network, self.plan)

    def open_share(self, number: int, count: int) -> "VideoARSpatialShare":
        """A share of every batch, with random numbers of its own."""
        return VideoARSpatialShare(self, number, count)

    def make_clip(self, samples: Samples) -> ViewClip:
        """Features of the newest frames and of the target, and what memory shows of it."""
        codec, newest = self.tokenizer.autoencoder, slice(self.cfg.network.window)
        before = samples.fine[:, newest].flip(1)  # oldest first
        frames = torch.cat((before, samples.frames.unsqueeze(1)), dim=1)
        known = samples.fine_known[:, newest].flip(1)
        view = describe_view(codec, samples.view).float()
        return ViewClip(codec.encode(frames).float(), known, view, samples.actions)

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
        models, _ = self._models(average)
        dynamics = VideoARSpatialDynamics(models, self.cfg.memory, self.cfg.play)
        parts = Parts(models.codec, dynamics)
        world = WorldModel(self._make_card({}), parts, "unsaved", device=str(self.device))
        return preview(world, EpisodeStore(self.cfg.data.heldout), path)

    def _make_card(self, trained: dict[str, Any]) -> WorldCard:
        return make_card(self.cfg, "videoar-spatial", settings_to_dict(self.cfg.settings), trained)

    def _models(self, average: nn.Module) -> tuple[VideoARSpatialModels, dict[str, float]]:
        """All networks; teaches odometry where it has not learnt yet. Copies: play changes them."""
        odometry, told = teach_odometry(self.cfg, self.episodes, self.out)
        models = (self.tokenizer, average, self.depth, odometry)
        copies = (copy.deepcopy(model).to(self.device).eval() for model in models)
        return VideoARSpatialModels(*copies), told

    def export(self, average: nn.Module, folder: Path, step: int) -> str:
        """Write the world folder."""
        models, told = self._models(average)
        trained = {"steps": step, "frames": step * self.plan.batch, "episodes": len(self.episodes)}
        card = self._make_card(trained | {"odometry": told})
        heldout = EpisodeStore(self.cfg.data.heldout)
        world_hash = export_world(card, weights_of(models), heldout, folder)
        return f"{folder}: {world_size(folder):.1f} MB, {world_hash[:12]}"


class VideoARSpatialShare:
    """A share of every batch: what draws it, and which of the rows' flips are its own."""

    def __init__(self, recipe: VideoARSpatialRecipe, number: int, count: int):
        cfg, self.recipe = recipe.cfg, recipe
        each = max(cfg.training.batch // count, 1)
        self.rows = range(number * each, (number + 1) * each)
        seed = cfg.seed + 1000 * number
        self.drawer = open_drawers(cfg, cfg.sampled_memory, cfg.samples, seed, each)

    def draw(self, step: int) -> Samples:
        """The next samples, on the device."""
        return self.drawer.draw().to(self.recipe.device)

    def loss(
        self, average: nn.Module, batch: Samples, step: int
    ) -> tuple[Tensor, dict[str, float]]:
        """Cross-entropy of all labels of the targets, some of them flipped."""
        recipe, cfg = self.recipe, self.recipe.cfg
        seeds = [row_seed(cfg.seed, step, row) for row in self.rows]
        drawn = draw(cfg.loss, cfg.quantizer, cfg.network.window + 1, seeds)
        clip, quantizer = recipe.make_clip(batch), recipe.tokenizer.quantizer
        return view_loss(recipe.network, quantizer, clip, to_device(drawn, recipe.device))

    def state(self) -> dict[str, Any]:
        """Where the random numbers stand; flips follow from seed and step."""
        return {"drawer": self.drawer.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Inverse of state."""
        self.drawer.load_state_dict(state["drawer"])

    def close(self) -> None:
        """End the processes that draw."""
        self.drawer.close()
