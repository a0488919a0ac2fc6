"""What a training of VideoAR with a memory in space takes over from a world (`--from`): of a world
of its own kind everything, of one of VideoAR the tokenizer and the network, and of one of FAR with
a memory in space the depth network and the odometry.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.build.videoar_spatial import make_network
from models.training.codec import world_weights
from models.training.videoar_spatial_config import VideoARSpatialConfig
from worldsim.config import from_dict, to_dict
from worldsim.upgrades import drop_removed
from worldsim.world.card import read_card
from worldsim.world.checkpoint import CARD, save_training
from worldsim.world.model import world_folder

TAKEN = {
    "videoar-spatial": ("codec", "quantizer", "network", "depth", "odometry"),
    "videoar": ("codec", "quantizer", "network"),
    "far-spatial": ("depth", "odometry"),
}
"""Builder of a world -> the parts that are taken from it."""


def check_origin(cfg: VideoARSpatialConfig, world: str) -> None:
    """Refuse a world that this training cannot begin with.

    Raises:
        ValueError: one of another dynamics, or other settings of a part.
    """
    builder, told = read_origin(world)
    if builder not in TAKEN:
        raise ValueError(
            f"--from must name a world of builder {', '.join(TAKEN)}, got {world}, a {builder!r}"
        )
    for part in TAKEN[builder]:
        mine, theirs = getattr(cfg, part), told[part]
        if builder == "videoar" and part == "network":  # no weight depends on what it sees
            theirs = theirs | {"view_scales": mine.view_scales, "window": mine.window}
        if from_dict(type(mine), theirs) != mine:
            raise ValueError(f"{part} must be as {world} has it, {theirs}, got {to_dict(mine)}")


def read_origin(world: str) -> tuple[str, dict[str, Any]]:
    """The builder of a world, and the settings of its parts."""
    card = read_card(world_folder(world) / CARD)
    return card.builder, drop_removed(card.settings)


def take_parts(cfg: VideoARSpatialConfig, world: str, out: Path) -> None:
    """Write the parts of a world that learn before or after the network to `out`, where they are
    not there yet.
    """
    taken = TAKEN[read_origin(world)[0]]
    files = {
        "codec": ("codec", cfg.codec_training.steps),
        "depth": ("network", cfg.depth_training.steps),
        "odometry": ("odometry", cfg.odometry_training.steps),
    }
    for part, (name, steps) in files.items():
        path = out / f"{part}.pt"
        if part in taken and not path.exists():
            state = {name: world_weights(world, f"{part}."), "step": steps}
            save_training(path, state | ({"optimiser": None} if part == "codec" else {}))


def network_of(cfg: VideoARSpatialConfig, world: str) -> dict[str, Tensor] | None:
    """Weights of a world's network, to which views say nothing at first where it has never been
    told any; None where it has no network of this kind.
    """
    builder, _ = read_origin(world)
    if "network" not in TAKEN[builder]:
        return None
    weights = world_weights(world, "network.")
    if builder == "videoar":
        learning = make_network(cfg.network, cfg.quantizer).state_dict()
        views = {n: torch.zeros_like(t) for n, t in learning.items() if n.startswith("embed_view")}
        weights |= views
    return weights
