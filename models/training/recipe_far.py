"""The training of our own worlds: data, codec, dynamics, and the world at the end. The loop is in
loop.py, published FAR's training in recipe_published.py; train_world.py is the command.
"""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.build.networks import far_settings, far_weights
from models.build.world_folder import export_world, in_memory, preview, world_size
from models.codec.patch_autoencoder import PatchAutoencoder
from models.far.dynamics import FARDynamics
from models.far.loss import FARLoss
from models.heads.reward import OutcomeHead
from models.training.card import make_card
from models.training.codec import prepare, take_codec
from models.training.config import TrainConfig
from models.training.config_published import is_published
from models.training.ema import warm_up_ema
from models.training.init_from import dynamics_of
from models.training.loop import Run
from models.training.optim import make_optimisers, set_rate
from models.training.recipe_published import train_published
from models.training.reward import steps_of, train_outcome
from models.training.start import Beginning, finish, learn, start_training
from worldsim.actions import load_actions
from worldsim.config import to_dict
from worldsim.data.clips import Clip, ClipSampler
from worldsim.data.store import EpisodeStore
from worldsim.world.card import WorldCard

SMOKE = (
    "codec.channels=16",
    "codec.width=16",
    "codec_training.fit_frames=400",
    "codec_training.steps=10",
    "codec_training.batch=4",
    "dynamics.network.latent_channels=16",
    "dynamics.network.width=64",
    "dynamics.network.head_size=32",
    "dynamics.network.layers=2",
    "loss.targets=6",
    "data.longest=80",
    "training.steps=12",
    "training.batch=2",
    "training.shortcuts_from=0.3",
    "training.error_injection_from=0.2",
    "training.self_forcing_from=0.5",
)


def train(args) -> int:
    """Everything, in order."""
    if is_published(args.config):
        return train_published(args)
    cfg, out, device = start_training(
        args, Beginning(TrainConfig, SMOKE, "latents"), take_codec, prepare
    )
    run = DynamicsRun(cfg, *prepare(cfg, out, device), out, device)
    learn(run, args, lambda: dynamics_of(args.origin, run.recipe.actions))
    return finish(run)


class SlidingRecipe:
    """How our own worlds are trained: the sliding layout, x-prediction, Muon."""

    def __init__(self, cfg: TrainConfig, codec: PatchAutoencoder, cache, device: torch.device):
        self.cfg, self.plan, self.codec, self.device = cfg, cfg.training, codec, device
        self.config = json.dumps(to_dict(cfg))
        self.actions = load_actions(cfg.action_set)
        torch.manual_seed(cfg.seed)
        self.network = FARDynamics(cfg.dynamics, self.actions.turns).network.to(device)
        self.opts = make_optimisers(self.network, self.plan)
        self.cache = cache
        self.mirror = copy.deepcopy(codec).cpu().mirror  # clips are drawn on the CPU
        # Read now: the folder may have grown when the training is done.
        self.judged = steps_of(EpisodeStore(cfg.data.train), cache)

    def open_share(self, number: int, count: int) -> "SlidingShare":
        """A share of every batch, with random numbers of its own."""
        return SlidingShare(self, number, count)

    def set_rate(self, step: int) -> None:
        """Warm-up, constant, decay."""
        set_rate(self.opts, self.plan, step)

    def update_ema(self, average: nn.Module, step: int) -> None:
        """Faster at the start."""
        warm_up_ema(average, self.network, self.plan.ema, step)

    def preview(self, average: nn.Module, path: Path) -> dict[str, float]:
        """Dreams from held-out episodes."""
        world = in_memory(make_far_card(self.cfg, {}), self.codec, average)
        return preview(world, EpisodeStore(self.cfg.data.heldout), path)

    def export(self, average: nn.Module, folder: Path, step: int) -> str:
        """Write the world folder."""
        trained = {"steps": step, "episodes": len(self.cache)}
        plan, count = self.cfg.outcome_training, len(self.actions)
        head, told = train_outcome(self.judged, self.cache, count, plan, self.cfg.seed)
        trained |= {"outcome": told} if head else {}
        weights = far_weights(self.codec, average, head)
        card = make_far_card(self.cfg, trained, head)
        world_hash = export_world(card, weights, EpisodeStore(self.cfg.data.heldout), folder)
        return f"{folder}: {world_size(folder):.1f} MB, {world_hash[:12]}"


class SlidingShare:
    """A share of every batch: clips, and old errors to corrupt their context with."""

    def __init__(self, recipe: SlidingRecipe, number: int, count: int):
        cfg, self.recipe = recipe.cfg, recipe
        seed = cfg.seed + 1000 * number
        self.far_loss = FARLoss(cfg.dynamics, cfg.loss)
        self.rng = torch.Generator(recipe.device).manual_seed(seed)
        self.sampler = ClipSampler(
            recipe.cache,
            recipe.actions,
            batch=max(cfg.training.batch // count, 1),
            shortest=cfg.loss.targets + 1,
            longest=cfg.data.longest,
            short_length=cfg.data.short_length,
            short=cfg.data.short,
            rests=cfg.data.rests,
            mirror=recipe.mirror,
            seed=seed,
        )

    def draw(self, step: int) -> Clip:
        """The next clips."""
        return self.sampler.draw().to(self.recipe.device)

    def loss(self, average: nn.Module, batch: Clip, step: int) -> tuple[Tensor, dict[str, float]]:
        """Of what this step's stage asks for."""
        stage = self.recipe.plan.curriculum(step)
        return self.far_loss(self.recipe.network, average, batch, stage, self.rng)

    def state(self) -> dict[str, Any]:
        """Where the random numbers stand, and old errors."""
        return {
            "sampler": json.dumps(self.sampler.state_dict()),
            "rng": self.rng.get_state(),
            "residuals": self.far_loss.residuals,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Inverse of state."""
        self.sampler.load_state_dict(json.loads(state["sampler"]))
        self.rng.set_state(state["rng"])
        old = state["residuals"]
        self.far_loss.residuals = None if old is None else old.to(self.recipe.device)

    def close(self) -> None:
        """Nothing: it draws when it is asked."""


class DynamicsRun(Run):
    """The training of a sliding-layout dynamics."""

    def __init__(
        self, cfg: TrainConfig, codec: PatchAutoencoder, cache, out: Path, device: torch.device
    ):
        super().__init__(SlidingRecipe(cfg, codec, cache, device), out, device)


def make_far_card(
    cfg: TrainConfig, trained: dict[str, Any], head: OutcomeHead | None = None
) -> WorldCard:
    """What a training knows about its world."""
    return make_card(cfg, "far", far_settings(cfg.codec, cfg.dynamics, head), trained)
