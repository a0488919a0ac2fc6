"""Files of tensors, read without trust: safetensors, and torch's own files of tensors alone.
Nothing here runs code from a file, and nothing larger than the file itself is unpacked.
"""

import warnings
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor

from worldsim.reading import ReadError, reading, short_path

DTYPES = (
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
)
"""What the networks can compute with; others, such as 8-bit floats, are refused."""


class Tensors(NamedTuple):
    """What a safetensors file holds: its metadata, and tensors by name."""

    meta: dict[str, str]
    tensors: dict[str, Tensor]


def read_safetensors(
    path: str | Path,
    what: str = "safetensors file",
    advice: str = "fetch it again",
    error: type[ReadError] = ReadError,
    device: str = "cpu",
) -> Tensors:
    """Read a safetensors file.

    Raises:
        error: it is none, or holds numbers of a kind that is not computed with here.
    """
    with reading(path, what, advice, error):
        with safe_open(path, "pt", device=device) as file:
            meta = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        for name, tensor in tensors.items():
            _check_dtype(path, name, tensor)
        return Tensors(meta, tensors)


def read_pickled(
    path: str | Path, what: str, advice: str, error: type[ReadError] = ReadError
) -> Any:
    """What torch.save wrote: tensors, numbers, strings, lists and dicts; no code of it is run.

    Raises:
        error: it is none, cut short, damaged, or wants to run code.
    """
    with reading(path, what, advice, error):
        _check_members(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what torch thinks of old or damaged files
            return torch.load(path, map_location="cpu", weights_only=True)


def _check_members(path: str | Path) -> None:
    """Torch writes zips whose members are stored as they are; a packed one could be a bomb."""
    with open(path, "rb") as file:
        if file.read(2) != b"PK":
            return
    with zipfile.ZipFile(path) as archive:
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise ReadError(f"{short_path(path)} holds packed members, as torch never writes them")


def _check_dtype(path: str | Path, name: str, tensor: Tensor) -> None:
    if tensor.dtype not in DTYPES:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise ReadError(
            f"{short_path(path)} holds {name[:60]!a} as {kind}, which is not computed with here: "
            f"convert it to float16 or float32"
        )
