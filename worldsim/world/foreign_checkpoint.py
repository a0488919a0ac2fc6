"""Checkpoints of other projects: tensors by name, read without running code from the file."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

AVERAGED = ("ema", "ema_state_dict", "params_ema", "model_ema", "ema_model")
PLAIN = ("state_dict", "model", "module", "params", "model_state_dict")
PREFIXES = ("module.", "_orig_mod.", "ema_model.", "transformer.", "model.")


def read_checkpoint(path: Path, plain: bool) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name: the averaged ones if it has them, unless `plain`.

    Raises:
        ValueError: the file is no checkpoint.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        if path.suffix == ".safetensors":
            return without_prefixes(load_file(path))
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as error:
        raise ValueError(
            f"{path} is no checkpoint that can be read without running code from it "
            f"({type(error).__name__}): give a .pth of tensors, or .safetensors"
        ) from error
    return without_prefixes(tensors_in(found, PLAIN + AVERAGED if plain else AVERAGED + PLAIN))


def tensors_in(found: Any, order: tuple[str, ...]) -> dict[str, Tensor]:
    """The tensors of a nested checkpoint, entering it by the first key of `order` that it has."""
    while isinstance(found, Mapping):
        inside = next((k for k in order if isinstance(found.get(k), Mapping)), None)
        if inside is None:
            return {str(k): v for k, v in found.items() if isinstance(v, Tensor)}
        print(f"taking the weights under {inside!r}")
        found = found[inside]
    raise ValueError(f"the checkpoint holds a {type(found).__name__}: expected tensors by name")


def without_prefixes(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without what wrapping a network (parallel, compiled, averaged) put before them all."""
    for prefix in PREFIXES:
        if weights and all(name.startswith(prefix) for name in weights):
            return without_prefixes({n.removeprefix(prefix): t for n, t in weights.items()})
    return weights
