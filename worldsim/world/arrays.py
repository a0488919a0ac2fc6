"""A dream's memory may be torch's tensors or numpy's arrays: what both are asked for, in one place.

torch is imported only where it already is: a tensor brings it along.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""A tensor or an array."""


def copy_array(part: Array) -> Array:
    """A copy of its own."""
    return part.copy() if isinstance(part, np.ndarray) else part.clone()


def select_rows(part: Array, axis: int, rows: Sequence[int]) -> Array:
    """A copy of some of the rows along an axis."""
    if isinstance(part, np.ndarray):
        return part.take(list(rows), axis=axis)
    import torch

    index = torch.as_tensor(list(rows), dtype=torch.long, device=part.device)
    return part.index_select(axis, index)


def put_rows(part: Array, axis: int, rows: Sequence[int], source: Array) -> None:
    """Overwrite some of the rows along an axis."""
    if isinstance(part, np.ndarray):
        np.moveaxis(part, axis, 0)[list(rows)] = np.moveaxis(source, axis, 0)
        return
    import torch

    index = torch.as_tensor(list(rows), dtype=torch.long, device=part.device)
    with torch.inference_mode():  # as it was made
        part.index_copy_(axis, index, source)


def to_numpy(part: Array) -> np.ndarray:
    """A copy as a numpy array."""
    return part.copy() if isinstance(part, np.ndarray) else part.cpu().numpy().copy()


def to_bytes(part: Array) -> np.ndarray:
    """All its bytes, uint8 `[N]`; they may be its own."""
    if isinstance(part, np.ndarray):
        return np.ascontiguousarray(part).reshape(-1).view(np.uint8)
    import torch

    return part.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()


def from_bytes(flat: np.ndarray, dtype: Any, shape: tuple[int, ...]) -> Array:
    """What these bytes are of: an array for a dtype of numpy's, else a tensor."""
    if isinstance(dtype, np.dtype):
        return flat.view(dtype).reshape(shape)
    import torch

    return torch.from_numpy(flat).view(dtype).view(shape)


def save_arrays(path: str | Path, parts: dict[str, Array], metadata: dict[str, str]) -> None:
    """Write a safetensors file."""
    if all(isinstance(part, np.ndarray) for part in parts.values()):
        from safetensors.numpy import save_file as save_numpy

        whole = {name: np.ascontiguousarray(part) for name, part in parts.items()}
        save_numpy(whole, path, metadata=metadata)
        return
    from safetensors.torch import save_file

    save_file({name: part.contiguous() for name, part in parts.items()}, path, metadata=metadata)


def read_arrays(
    path: str | Path, what: str, advice: str, like: Array
) -> tuple[dict[str, str], dict[str, Array]]:
    """The metadata of a safetensors file, and what it holds by name: arrays if `like` is one, else
    tensors on its device.

    Raises:
        ReadError: it is none, or holds numbers of a kind that is not computed with here.
    """
    if not isinstance(like, np.ndarray):
        from worldsim.world.tensor_files import read_safetensors

        return read_safetensors(path, what, advice, device=str(like.device))
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        parts = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return dict(file.metadata() or {}), parts
