"""Checkpoints of other projects: tensors by name, read without running code from the file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from worldsim.world.tensor_files import read_pickled, read_safetensors

AVERAGED = ("ema", "ema_state_dict", "params_ema", "model_ema", "ema_model")
PLAIN = ("state_dict", "model", "module", "params", "model_state_dict")
MOST_DEPTH = 8  # of checkpoints in checkpoints
PREFIXES = ("module.", "_orig_mod.", "ema_model.", "transformer.", "model.")


def read_checkpoint(path: Path, plain: bool) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name: the averaged ones if it has them, unless `plain`.

    Raises:
        ValueError: the file is no checkpoint.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if path.suffix == ".safetensors":
        return strip_prefixes(read_safetensors(path).tensors)
    advice = "fetch it again, or give a .pth of tensors or .safetensors"
    found = read_pickled(path, "checkpoint that can be read without running code from it", advice)
    return strip_prefixes(find_tensors(found, PLAIN + AVERAGED if plain else AVERAGED + PLAIN))


def find_tensors(found: Any, order: tuple[str, ...]) -> dict[str, Tensor]:
    """The tensors of a nested checkpoint, entering it by the first key of `order` that it has."""
    for _ in range(MOST_DEPTH):
        if not isinstance(found, Mapping):
            break
        inside = next((k for k in order if isinstance(found.get(k), Mapping)), None)
        if inside is None:
            return {str(k): v for k, v in found.items() if isinstance(v, Tensor)}
        print(f"taking the weights under {inside!r}")
        found = found[inside]
    raise ValueError(f"a checkpoint must hold tensors by name, got {type(found).__name__}")


def strip_prefixes(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without what wrapping a network (parallel, compiled, averaged) put before them all."""
    while weights:
        prefix = next((p for p in PREFIXES if all(name.startswith(p) for name in weights)), None)
        if prefix is None:
            break
        weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return weights
