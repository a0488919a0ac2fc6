"""The tensors of a sharded training's checkpoint: a folder of safetensors files, one a process,
written and read by torch.distributed.checkpoint. A process that reads takes what is its own of all
files, so any number of processes goes on. Nothing here runs code from a file.

Only tensors of one dimension and more: numbers, texts and settings are in the checkpoint itself
(worldsim/world/checkpoint.py), which lists these files with their checksums and is written last.
"""

import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributed.checkpoint import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
    load,
    save,
)

from models.training import distributed
from worldsim.reading import reading
from worldsim.world.checkpoint import AGAIN, sha256

KIND = "folder of a training checkpoint of ours"
UNFINISHED = ".unfinished"


class Parts(NamedTuple):
    """Where tensors lie.

    Attributes:
        folder: its name, beside the checkpoint.
        files: sha256 of each file in it.
    """

    folder: str
    files: dict[str, str]

    def told(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return self._asdict()


def write_parts(folder: Path, tensors: dict[str, Tensor]) -> Parts:
    """Write tensors, each process its own part of those that are sharded; all processes call this.
    They lie in an unfinished folder until the checkpoint that names them is written
    (finish_parts); what was left unfinished before is removed.

    Args:
        folder: there must be none.
        tensors: the same names in every process.
    """
    unfinished = _unfinished(folder)
    if distributed.rank() == 0:
        for left in folder.parent.glob(f"*{UNFINISHED}"):
            shutil.rmtree(left)
        unfinished.mkdir(parents=True)
    distributed.barrier()
    writer = HuggingFaceStorageWriter(str(unfinished), save_distributed=True)
    with _quiet():
        save(tensors, storage_writer=writer)
    return Parts(folder.name, _hash_files(unfinished))


def finish_parts(folder: Path) -> None:
    """Give a folder its name, now that a checkpoint holds it; in one process."""
    if not folder.exists() and _unfinished(folder).exists():
        _unfinished(folder).replace(folder)


def _unfinished(folder: Path) -> Path:
    return folder.with_name(folder.name + UNFINISHED)


def read_parts(folder: Path, tensors: dict[str, Tensor]) -> None:
    """Fill tensors, or this process' parts of them; all processes call this, with the same names.

    Args:
        folder: checked (check_parts).
        tensors: of the shapes that shapes_of tells.
    """
    with _quiet():
        load(tensors, storage_reader=HuggingFaceStorageReader(str(folder)))


def shapes_of(folder: Path) -> dict[str, Tensor]:
    """Tensors without numbers of the names, shapes and types that a folder holds."""
    metadata = HuggingFaceStorageReader(str(folder)).read_metadata()
    return {
        name: torch.empty(told.size, dtype=told.properties.dtype, device="meta")
        for name, told in metadata.state_dict_metadata.items()
    }


def check_parts(checkpoint: Path, told: Mapping[str, Any]) -> Path:
    """The folder of a checkpoint's tensors; each process has read some of its files.

    Args:
        checkpoint: the checkpoint's path.
        told: what it holds (Parts.told).

    Raises:
        WorldError: files are missing or damaged.
    """
    parts = Parts(**told)
    folder = checkpoint.with_name(Path(parts.folder).name)
    if distributed.rank() == 0:
        finish_parts(folder)  # a process that was killed had no time to
    distributed.barrier()
    problems = distributed.gather_objects(_find_problem(folder, parts.files))
    problem = next((each for each in problems if each), None)
    with reading(folder, KIND, AGAIN):
        if problem:
            raise ValueError(problem)
    return folder


def _find_problem(folder: Path, files: Mapping[str, str]) -> str | None:
    for name in _own_share(list(files)):
        path = folder / Path(name).name
        if not path.is_file():
            return f"{name} is missing"
        if sha256(path) != files[name]:
            return f"the checksum of {name} does not fit, it was damaged"
    return None


def _hash_files(folder: Path) -> dict[str, str]:
    names = sorted(path.name for path in folder.iterdir())
    hashed = {name: sha256(folder / name) for name in _own_share(names)}
    found: dict[str, str] = {}
    for part in distributed.gather_objects(hashed):
        found |= part
    return dict(sorted(found.items()))


def _own_share(names: list[str]) -> list[str]:
    return names[distributed.rank() :: distributed.count()]


@contextmanager
def _quiet() -> Iterator[None]:
    """torch warns where one process alone reads, which is meant here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
