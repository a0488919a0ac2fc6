"""Tiny worlds of published kinds: the golden files' weights, a world folder around them."""

import dataclasses
from pathlib import Path

from models.far_published.dynamics import ReferencePlay
from models.zoo.golden import read_golden
from models.zoo.import_weights import make_published_card
from models.zoo.presets import ZooEntry, far_config
from models.zoo.tensor_names import from_published
from worldsim.world.checkpoint import save_world

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
KINDS = {
    "dmlab": ("far_long", "dmlab-published", {"classes": (0, 1, 2), "action_delay": 1}),
    "minecraft": ("far_long", "minecraft", {"classes": (1, 2, 3), "first": 0}),
    "uncond": ("far_uncond_slope02", "watch", {"classes": (-1,)}),
    "label": ("far_label", "watch", {"classes": (5,), "first": 5}),
}


def write_published_world(folder: Path, kind: str) -> Path:
    """A world of 64 pixels that was never trained, as `worldsim convert import` would write it."""
    golden, action_set, play = KINDS[kind]
    far, dcae = (read_golden(GOLDEN / f"{name}.safetensors") for name in (golden, "dcae_8x"))
    network = far_config(far.meta["config"])
    entry = ZooEntry(
        title="A tiny one",
        parameters=0,
        autoencoder="tiny",
        network=network,
        play=ReferencePlay(**play),
        action_set=action_set,
        fps=7.5,
    )
    card = make_published_card(f"tiny-{kind}", "far-b", entry, dcae.meta["config"])
    weights = {f"codec.{name}": tensor for name, tensor in dcae.weights.items()}
    weights |= {f"dynamics.{n}": t for n, t in from_published(far.weights, network).items()}
    save_world(folder, dataclasses.asdict(card), weights)
    return folder
