"""What a training with a memory in space takes over from a world (`--from`): the codec, and of a
world of its own kind the depth network, the odometry, the decoder and the dynamics too.
"""

from pathlib import Path

from torch import Tensor

from models.training.codec import take_codec, world_weights
from models.training.spatial_config import SpatialConfig
from worldsim.config import to_dict
from worldsim.upgrades import drop_removed
from worldsim.world.card import read_card
from worldsim.world.checkpoint import CARD, save_training
from worldsim.world.model import world_folder


def take_parts(cfg: SpatialConfig, world: str, out: Path) -> None:
    """Write the parts of a world that the configuration asks for in the same shape to `out`, where
    they are not there yet.
    """
    take_codec(cfg, world, out)
    plans = {
        "depth": ("network", cfg.depth_training),
        "odometry": ("odometry", cfg.odometry_training),
        "decoder": ("average", cfg.decoder_training),
    }
    for part, (name, plan) in plans.items():
        path = out / f"{part}.pt"
        # a decoder knows the latents of one codec
        fits = _fits(cfg, world, part) and (part != "decoder" or _fits(cfg, world, "codec"))
        if fits and not path.exists():
            state = {name: world_weights(world, f"{part}."), "step": plan.steps}
            save_training(path, state)


def network_of(cfg: SpatialConfig, world: str) -> dict[str, Tensor] | None:
    """Weights of a world's dynamics; None where it is of another kind or shape."""
    return world_weights(world, "network.") if _fits(cfg, world, "network") else None


def _fits(cfg: SpatialConfig, world: str, part: str) -> bool:
    theirs = drop_removed(read_card(world_folder(world) / CARD).settings).get(part)
    return theirs == to_dict(getattr(cfg, part))
