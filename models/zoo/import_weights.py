"""Released FAR weights into a world folder, key by key. Knows the published names from
models/zoo/tensor_names.py, the shapes from the zoo's preset.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.build.world_folder import SPAWN_FRAMES, SPAWNS, write_spawns
from models.codec.dcae import empty_autoencoder
from models.far_published.network import FARReferenceConfig, FARReferenceNetwork
from models.zoo.presets import ZooEntry, autoencoder_config, zoo_entry, zoo_path
from models.zoo.tensor_names import from_published, to_published
from worldsim.actions import load_actions
from worldsim.data.store import EpisodeStore
from worldsim.paths import to_name
from worldsim.world.card import WorldCard
from worldsim.world.checkpoint import save_world
from worldsim.world.foreign_checkpoint import read_checkpoint

LICENCE = "as published with the weights"
SHOWN = 20


class Comparison(NamedTuple):
    """Tensors a file lacks, has too many, or has in another shape."""

    missing: list[str]
    surplus: list[str]
    misshapen: list[str]

    def lines(self) -> list[str]:
        """A table of all, the first few of each."""
        shown = []
        for kind, names in self._asdict().items():
            shown += [f"  {kind:<10}{name}" for name in names[:SHOWN]]
            if len(names) > SHOWN:
                shown.append(f"  {kind:<10}... and {len(names) - SHOWN} more")
        return shown


class Released(NamedTuple):
    """Where the parts of a world lie: the network's checkpoint and DC-AE's, each .pth or
    .safetensors, and a folder of episodes, one of which a dream starts from.
    """

    far: Path
    autoencoder: Path
    spawns: Path | None = None


def import_world(
    files: Released,
    kind: str,
    out: Path,
    plain: bool = False,
    overrides: tuple[str, ...] = (),
) -> None:
    """Write the world folder of released weights, and print how the files compare.

    Args:
        files: what was released, and starts.
        kind: a preset of the zoo, by name or path.
        out: the folder, new.
        plain: take the weights that are no average over training.
        overrides: settings of the preset, `play.guidance=1`.

    Raises:
        ValueError: a file that is no checkpoint, or one of another network.
    """
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} exists and is not empty: give a new folder")
    entry = zoo_entry(kind, overrides)
    config = autoencoder_config(kind, entry)
    card = make_published_card(to_name(out.resolve().name, kind), kind, entry, config)
    starts = check_spawns(files.spawns, card)
    network = select_fitting(files.far, network_shapes(entry.network), plain)
    codec = select_fitting(files.autoencoder, autoencoder_shapes(config), plain)
    weights = {f"codec.{name}": tensor for name, tensor in codec.items()}
    converted = from_published(network, entry.network)
    weights |= {f"dynamics.{name}": tensor for name, tensor in converted.items()}
    if starts is not None:
        write_spawns(starts, out / "spawns")
    save_world(out, dataclasses.asdict(card), weights)


def check_spawns(folder: Path | None, card: WorldCard) -> EpisodeStore | None:
    """The episodes to start from.

    Raises:
        ValueError: there are none in the folder, or they are not of the world's size and actions.
    """
    if folder is None:
        return None
    store = EpisodeStore(folder) if folder.is_dir() else ()
    if not len(store):
        raise ValueError(f"{folder} holds no episodes: give a folder that collect or import made")
    actions = len(load_actions(card.action_set))
    for episode in (store[i] for i in range(min(len(store), SPAWNS))):
        if episode.frames.shape[1:] != (card.frame_size, card.frame_size, 3):
            raise ValueError(f"the episodes in {folder} are not {card.frame_size} pixels wide")
        if episode.actions[:SPAWN_FRAMES].max(initial=0) >= actions:
            raise ValueError(f"the episodes in {folder} have actions that {card.name} has not")
    return store


def make_published_card(
    name: str, kind: str, entry: ZooEntry, autoencoder: dict[str, Any]
) -> WorldCard:
    """What is known about a published world."""
    halvings = len(autoencoder["encoder_block_out_channels"]) - 1
    return WorldCard(
        name=name,
        title=entry.title,
        fps=entry.fps,
        frame_size=entry.network.latent_size * 2**halvings,
        action_set=entry.action_set,
        engine="",
        licence=LICENCE,
        builder="far-reference",
        steps=entry.steps,
        settings={
            "network": dataclasses.asdict(entry.network),
            "play": dataclasses.asdict(entry.play),
            "autoencoder": autoencoder,
        },
        training={"published": zoo_path(kind).stem},
        figures={},
    )


def network_shapes(cfg: FARReferenceConfig) -> dict[str, torch.Size]:
    """Published name -> shape of every tensor of a network."""
    with torch.device("meta"):
        ours = FARReferenceNetwork(cfg).state_dict()
    return {name: tensor.shape for name, tensor in to_published(ours, cfg).items()}


def autoencoder_shapes(config: Mapping[str, Any]) -> dict[str, torch.Size]:
    """Published name -> shape of every tensor of an autoencoder."""
    with torch.device("meta"):
        model = empty_autoencoder(config)
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def compare(got: Mapping[str, Tensor], wanted: Mapping[str, torch.Size]) -> Comparison:
    """How a file's tensors compare with a network's."""
    misshapen = [
        f"{name} {list(got[name].shape)}, expected {list(shape)}"
        for name, shape in wanted.items()
        if name in got and got[name].shape != shape
    ]
    missing = [name for name in wanted if name not in got]
    return Comparison(missing, [name for name in got if name not in wanted], misshapen)


def select_fitting(path: Path, wanted: Mapping[str, torch.Size], plain: bool) -> dict[str, Tensor]:
    """The wanted tensors of a checkpoint in float32, after printing how they compare.

    Raises:
        ValueError: some are missing, or of another shape.
    """
    got = read_checkpoint(path, plain)
    comparison = compare(got, wanted)
    print(f"{path}: {len(wanted)} tensors expected, {len(got)} found")
    print("\n".join(comparison.lines()) or "  every name and shape fits")
    if comparison.missing or comparison.misshapen:
        raise ValueError(
            f"{path} is of another network: {len(comparison.missing)} tensors are missing and "
            f"{len(comparison.misshapen)} misshapen (table above); give another --kind"
        )
    return {
        name: got[name].float() if got[name].is_floating_point() else got[name] for name in wanted
    }
