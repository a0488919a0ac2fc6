"""Files that appear whole or not at all: training checkpoints, and the world folder that is shipped
and shared.

A world folder: `card.json` (what it is, its network's shape, figures, licence),
`weights.safetensors`, `spawns/*.npz` (short episodes a dream can start from) and `manifest.json`
(sha256 of each of the others). What a world dreams follows from its weights and from some fields of
its card; its identity is a hash of those and of nothing else, so a title, a licence or figures may
change and saves and recordings still belong to it.
Nothing here runs code from a file.
"""

import hashlib
import json
import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from worldsim.atomic import atomic_write

CARD, WEIGHTS, MANIFEST = "card.json", "weights.safetensors", "manifest.json"
# Fields of a card that decide what is dreamt, or how it is played.
BEHAVIOUR = ("builder", "settings", "steps", "action_set", "frame_size", "fps", "engine")


class WorldError(ValueError):
    """A world folder or checkpoint that cannot be used; the message says what to do."""


def save_training(path: Path, state: dict) -> None:
    """Save a training state: tensors, numbers, strings, lists and dicts."""
    atomic_write(path, lambda scratch: torch.save(state, scratch))


def load_training(path: Path) -> dict:
    """Read a training state.

    Raises:
        WorldError: the file is not one.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise WorldError(
            f"{path} is no training checkpoint of ours ({type(error).__name__}): delete it to "
            f"start again, or restore a copy"
        ) from error


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_world(folder: Path, card: dict, weights: dict[str, Tensor]) -> None:
    """Write card, weights and manifest; spawns already in `folder` are kept and listed."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(
        folder / WEIGHTS,
        lambda scratch: save_file(
            {name: tensor.contiguous() for name, tensor in weights.items()}, scratch
        ),
    )
    write_card(folder, card)


def write_card(folder: Path, card: dict) -> None:
    """Write the card of a world whose other files are there, and the manifest."""
    atomic_write(
        folder / CARD, lambda scratch: scratch.write_text(json.dumps(card, indent=2) + "\n")
    )
    write_manifest(folder)


def write_manifest(folder: Path) -> None:
    """List the sha256 of the world's files."""
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST and not path.name.startswith(".")
    )
    listed = {path.relative_to(folder).as_posix(): sha256(path) for path in files}
    atomic_write(
        folder / MANIFEST, lambda scratch: scratch.write_text(json.dumps(listed, indent=2) + "\n")
    )


def check_world(folder: Path) -> str:
    """Check every file of a world against its manifest, and give the world's identity.

    Raises:
        WorldError: what is missing or changed.
    """
    if not (folder / MANIFEST).is_file():
        raise WorldError(
            f"{folder} is no world: it has no {MANIFEST}; give a folder made by train_world.py, "
            f"or a name in assets/worlds"
        )
    try:
        listed = json.loads((folder / MANIFEST).read_text())
        pairs = [(str(name), str(digest)) for name, digest in listed.items()]
    except (ValueError, AttributeError) as error:
        raise WorldError(
            f"{folder / MANIFEST} is not readable as JSON: restore it from where you got the world"
        ) from error
    root = folder.resolve()
    for name, digest in pairs:
        path = folder / name
        if not path.resolve().is_relative_to(root):
            raise WorldError(
                f"{folder / MANIFEST} names {name!r}, which lies outside the world: don't use "
                f"this world"
            )
        if not path.is_file():
            raise WorldError(
                f"{path} is missing: fetch the world again (is it a git-lfs pointer that was "
                f"never pulled?)"
            )
        if sha256(path) != digest:
            raise WorldError(
                f"{path} is not the file that the manifest lists (sha256 differs): fetch the "
                f"world again"
            )
    for name in (CARD, WEIGHTS):
        if name not in listed:
            raise WorldError(f"{folder} is no world: its manifest lists no {name}")
    return world_identity(folder / CARD, listed[WEIGHTS])


def world_identity(card: Path, weights_hash: str) -> str:
    """The identity of a world, 64 hex digits: of its weights, and of its card what BEHAVIOUR names.

    Args:
        card: the card's file.
        weights_hash: sha256 of the weights' file.

    Raises:
        WorldError: the file is no card.
    """
    try:
        told = json.loads(card.read_text(encoding="utf-8"))
        behaviour = {name: told[name] for name in BEHAVIOUR}
    except (ValueError, KeyError, TypeError) as error:
        raise WorldError(f"{card} is no world card ({error!r}): fetch the world again") from error
    text = json.dumps({"weights": weights_hash, **behaviour}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        WorldError: it is not one, or holds numbers that are not finite.
    """
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WorldError(f"{path} is no safetensors file ({error}): fetch it again") from error
    bad = [
        name
        for name, tensor in weights.items()
        if tensor.is_floating_point() and not bool(tensor.isfinite().all())
    ]
    if bad:
        raise WorldError(
            f"{path} holds numbers that are not finite in {bad[0]}: the training went wrong; use "
            f"an earlier checkpoint"
        )
    return weights


def load_into(module: torch.nn.Module, weights: dict[str, torch.Tensor], source: object) -> None:
    """Load weights into a module of the same shape.

    Raises:
        ValueError: they are of another shape; says where they are from.
    """
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        last = str(error).splitlines()[-1].strip()
        raise ValueError(
            f"{source} is of another network ({last}): keep the settings it was begun with, or "
            f"begin afresh with --fresh"
        ) from error
