"""Files that appear whole or not at all: training checkpoints, and the world folder that is shipped
and shared.

A world folder: `card.json` (what it is, its network's shape, figures, licence),
`weights.safetensors`, `spawns/*.npz` (short episodes a dream can start from) and `manifest.json`
(sha256 of each of the others). What a world dreams follows from its weights and from some fields of
its card; its identity is a hash of those and of nothing else, so a title, a licence or figures may
change and saves and recordings still belong to it.
Nothing here runs code from a file, and torch is imported where tensors are read or written, not
before.
"""

import hashlib
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from worldsim.atomic import atomic_write
from worldsim.reading import read_json, reading
from worldsim.upgrades import flatten_groups, upgrade_settings
from worldsim.world.error import WorldError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

CARD, WEIGHTS, MANIFEST = "card.json", "weights.safetensors", "manifest.json"
# Fields of a card that decide what is dreamt, or how it is played.
BEHAVIOUR = ("builder", "settings", "steps", "action_set", "frame_size", "fps", "engine")
SPAWNS = "spawns"
RESTORE = "restore it from where you got the world"
NO_MANIFEST = "manifest: it is not readable as JSON"
MOST_MANIFEST = 1 << 20
SEAL = b"worldsim sha256 "  # then the digest of all that comes before
CHUNK = 1 << 20
AGAIN = "delete it to start again, or restore a copy"


def save_training(path: Path, state: dict) -> None:
    """Save a training state: tensors, numbers, strings, lists and dicts; a checksum ends it."""
    import torch

    def write(scratch: Path) -> None:
        torch.save(state, scratch)
        digest = bytes.fromhex(sha256(scratch))
        with open(scratch, "ab") as file:
            file.write(SEAL + digest)

    atomic_write(path, write)


def load_training(path: Path) -> dict:
    """Read a training state.

    Raises:
        WorldError: the file is not one.
    """
    from worldsim.world.tensor_files import read_pickled

    kind = "training checkpoint of ours"
    with reading(path, kind, AGAIN, WorldError):
        _check_seal(path)
        state = read_pickled(path, kind, AGAIN, WorldError)
        if not isinstance(state, dict):
            raise ValueError(f"it holds a {type(state).__name__}")
        return state


def _check_seal(path: Path) -> None:
    """Refuse a checkpoint with a flipped bit. One from before there were seals ends as zips do,
    and is told by the checksums of its members.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        file.seek(max(0, size - len(SEAL) - 32))
        end = file.read()
        file.seek(0)
        if end.startswith(SEAL):
            digest = hashlib.sha256()
            for start in range(0, size - len(end), CHUNK):
                digest.update(file.read(min(CHUNK, size - len(end) - start)))
            sound = digest.digest() == end[len(SEAL) :]
        else:
            with zipfile.ZipFile(file) as archive:
                sound = archive.testzip() is None and end[-22:-18] == b"PK\5\6"
    if not sound:
        raise ValueError("its checksum does not fit, it was damaged")


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_world(folder: Path, card: dict, weights: "dict[str, Tensor]") -> None:
    """Write card, weights and manifest; spawns already in `folder` are kept and listed."""
    from safetensors.torch import save_file

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
    return hash_world(folder / CARD, check_files(folder, (CARD, WEIGHTS))[WEIGHTS])


def check_files(folder: Path, needed: tuple[str, ...]) -> dict[str, str]:
    """Check every file of a folder against its manifest, which must list the `needed` ones, and
    give what it lists: name -> sha256.

    Raises:
        WorldError: what is missing or changed.
    """
    if not (folder / MANIFEST).is_file():
        raise WorldError(
            f"{folder} is not a world folder: it has no {MANIFEST}; give a folder made by "
            f"`worldsim train`, or the name of a bundled world"
        )
    with reading(folder / MANIFEST, NO_MANIFEST, RESTORE, WorldError):
        listed = read_listed(folder)
        for name, digest in listed.items():
            _check_file(folder, name, digest)
        for name in needed:
            if name not in listed:
                raise WorldError(f"{folder} is not a world folder: its manifest lists no {name}")
        _check_unlisted(folder, listed)
        return listed


def read_listed(folder: Path) -> dict[str, str]:
    """What a world's manifest lists: name -> sha256.

    Raises:
        WorldError: it is no manifest.
    """
    listed = read_json(folder / MANIFEST, NO_MANIFEST, RESTORE, WorldError, MOST_MANIFEST)
    if not isinstance(listed, dict) or not all(isinstance(d, str) for d in listed.values()):
        raise WorldError(f"{folder / MANIFEST} must list names and their sha256: {RESTORE}")
    return listed


def _check_file(folder: Path, name: str, digest: str) -> None:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise WorldError(
            f"{folder / MANIFEST} names {name!r:.80}, which lies outside the world: don't use this "
            f"world"
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


def _check_unlisted(folder: Path, listed: dict[str, str]) -> None:
    """The manifest lists what there may be: a start that it does not know is not loaded."""
    for path in sorted((folder / SPAWNS).glob("[!.]*.npz")):
        name = path.relative_to(folder).as_posix()
        if name not in listed:
            raise WorldError(
                f"{path} is in no manifest: remove it, or fetch the world again (starts are "
                f"written when a world is exported)"
            )


def hash_world(card: Path, weights_hash: str) -> str:
    """The identity of a world, 64 hex digits: of its weights, and of its card what BEHAVIOUR names.

    Args:
        card: the card's file.
        weights_hash: sha256 of the weights' file.

    Raises:
        WorldError: the file is no card.
    """
    with reading(card, "world card", "fetch the world again", WorldError):
        told = read_json(card, "world card", "fetch the world again", WorldError)
        behaviour = {name: told[name] for name in BEHAVIOUR}
        behaviour["settings"] = flatten_groups(upgrade_settings(told["settings"])[0])
    text = json.dumps({"weights": weights_hash, **behaviour}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def load_weights(path: Path) -> "dict[str, Tensor]":
    """Read a safetensors file.

    Raises:
        WorldError: it is not one, or holds numbers that are not finite.
    """
    from worldsim.world.tensor_files import read_safetensors

    weights = read_safetensors(path, error=WorldError).tensors
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


def load_into(
    module: "torch.nn.Module",
    weights: "dict[str, Tensor]",
    source: object,
    assign: bool = False,
) -> None:
    """Load weights into a module of the same shape; with `assign` they are its own then, and not
    copied.

    Raises:
        ValueError: they are of another shape; says where they are from.
    """
    try:
        module.load_state_dict(weights, assign=assign)
    except RuntimeError as error:
        last = str(error).splitlines()[-1].strip()
        raise ValueError(
            f"{source} is of another network ({last}): keep the settings it was begun with, or "
            f"begin afresh with --fresh"
        ) from error
