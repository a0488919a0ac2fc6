"""Saved states, checked against the network before they replace a running dream."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from worldsim.reading import check_number, parse_json, reading
from worldsim.upgrades import upgrade_tensors
from worldsim.world.arrays import Array, read_arrays, to_numpy
from worldsim.world.error import WorldError

if TYPE_CHECKING:
    from worldsim.world.base import World
    from worldsim.world.state import WorldState

KIND, WHAT, ADVICE = "worldsim state", "saved state", "give a file written by save"
MOST_DREAMS = 4096
MOST_COUNT = 2**40  # of frames: ids and numbers of frames lie below


def read_state_file(world: "World", path: str | Path) -> "WorldState":
    """The state in a file written by `WorldState.save`. A step is tried on a copy of it, so that
    what it returns can be dreamt on.

    Raises:
        WorldError: not a state, one of another world, or one that does not fit its network.
    """
    one = world.dynamics.initial(1).tensors()
    with reading(path, WHAT, ADVICE, WorldError):
        meta, tensors = read_arrays(path, WHAT, ADVICE, like=next(iter(one.values())))
    tensors = upgrade_tensors(tensors, one)
    if meta.get("kind") != KIND:
        raise WorldError(f"{path} is a safetensors file, but no saved state: {ADVICE}")
    if meta.get("world") != world.hash:
        raise WorldError(
            f"{path} was saved in another world ({meta.get('world', '?')[:12]}), this is "
            f"{world.card.name} ({world.hash[:12]}): load it there"
        )
    with reading(path, WHAT, ADVICE, WorldError):
        seeds, counts = (_check_numbers(meta, name) for name in ("seeds", "counts"))
        if len(seeds) != len(counts):
            raise ValueError(f"{len(seeds)} seeds, {len(counts)} counts")
        _check_tensors(tensors, *_expect_shapes(world, len(seeds)))
        state = world.restore_state_of(tensors, seeds, counts)
        world.step(state.fork(), [0] * len(seeds))
        return state


def _check_numbers(meta: dict[str, str], name: str) -> list[int]:
    numbers = parse_json(meta.get(name, "null"))
    if not isinstance(numbers, list) or not 1 <= len(numbers) <= MOST_DREAMS:
        raise ValueError(f"{name} must list a number for each of 1 to {MOST_DREAMS} dreams")
    least, most = (0, MOST_COUNT) if name == "counts" else (-(2**63), 2**64)
    return [check_number(number, name, least, most, whole=True) for number in numbers]


def _expect_shapes(world: "World", dreams: int) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """The types and shapes of the memory of so many dreams, none of it made: they follow from
    those of one and of two.
    """
    one, two = (world.dynamics.initial(count).tensors() for count in (1, 2))
    shapes = {
        name: [n + (dreams - 1) * (m - n) for n, m in zip(a.shape, two[name].shape, strict=True)]
        for name, a in one.items()
    }
    return {name: tensor.dtype for name, tensor in one.items()}, shapes


def _check_tensors(
    found: dict[str, Array], dtypes: dict[str, Any], shapes: dict[str, list[int]]
) -> None:
    """Names, types, shapes and values; an axis that is empty in a fresh memory grows."""
    missing, surplus = sorted(set(shapes) - set(found)), sorted(set(found) - set(shapes))
    if missing or surplus:
        odd = f"lacks {missing[0]}" if missing else f"has {surplus[0][:60]!a} too many"
        raise ValueError(f"it {odd}")
    for name, tensor in found.items():
        shape = shapes[name]
        fits = tensor.ndim == len(shape) and all(
            n == m or m == 0 for n, m in zip(tensor.shape, shape, strict=True)
        )
        if tensor.dtype != dtypes[name] or not fits:
            kind, wanted = (str(t).removeprefix("torch.") for t in (tensor.dtype, dtypes[name]))
            raise ValueError(f"{name} must be {wanted} {shape}, got {kind} {list(tensor.shape)}")
        _check_values(name, tensor)


def _check_values(name: str, tensor: Array) -> None:
    values = to_numpy(tensor)
    if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
        raise ValueError(f"{name} holds numbers that are not finite")
    if values.dtype == np.int64 and values.size and int(np.abs(values).max()) > MOST_COUNT:
        raise ValueError(f"{name} holds numbers beyond {MOST_COUNT}")
