"""Who holds what a training changes: the network, its average and its optimisers' state.

`WholeWeights`: every process has all of it. `ShardedWeights`: FSDP2 (torch.distributed.fsdp) gives
each of P processes one P-th; a block's weights are gathered when it computes. The first writes one
file, the second a small one and a folder of parts (checkpoint_parts.py), in the same names and
numbers; both read both, so that a training goes on either way, with any number of processes.
"""

import copy
import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from models.training import distributed
from models.training.checkpoint_parts import (
    check_parts,
    finish_parts,
    read_parts,
    shapes_of,
    write_parts,
)
from worldsim.world.checkpoint import load_into, load_training, save_training

MODULES = ("network", "average")
PARTS = "parts"  # of a checkpoint: where its tensors are
Optimisers = list[torch.optim.Optimizer]
GATHERED = StateDictOptions(full_state_dict=True, cpu_offload=True)
# Not strict: an optimiser has no state for what never had a gradient.
DEALT_OUT = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True, strict=False)


class Weights(Protocol):
    """The network, its average and its optimisers' state; all processes call each method."""

    average: nn.Module

    def load(self, path: Path) -> dict[str, Any]:
        """Read a checkpoint; the rest of it.

        Raises:
            ValueError: it is damaged, or of another network.
        """

    def begin_with(self, weights: dict[str, Tensor]) -> None:
        """Take weights for the network and for its average.

        Raises:
            ValueError: they are of another network.
        """

    def save(self, path: Path, rest: dict[str, Any]) -> None:
        """Write a checkpoint of them and of the rest, `step` among it."""

    def sum_gradients(self) -> None:
        """Add up every process' gradients."""

    def clip_gradients(self, most: float) -> float:
        """Make the gradient at most so long; how long it was."""

    def whole_average(self) -> nn.Module | None:
        """The average to play with, in the first process; None in the others."""


class WholeWeights:
    """Every process has all of it, and one message adds up the gradients."""

    def __init__(self, network: nn.Module, average: nn.Module, opts: Optimisers):
        self.network, self.average, self.opts = network, average, opts
        self.parts: Path | None = None

    def load(self, path: Path) -> dict[str, Any]:
        """As Weights says."""
        state, self.parts = load_whole(path)
        load_into(self.network, state.pop("network"), path)
        load_into(self.average, state.pop("average"), path)
        for opt, saved in zip(self.opts, state.pop("optimisers"), strict=True):
            opt.load_state_dict(saved)
        return state

    def begin_with(self, weights: dict[str, Tensor]) -> None:
        """As Weights says."""
        for module in (self.network, self.average):
            load_into(module, weights, "the world to begin with")

    def save(self, path: Path, rest: dict[str, Any]) -> None:
        """As Weights says."""
        if distributed.rank() == 0:
            save_training(path, tell_state(self.network, self.average, self.opts) | rest)
            remove_parts(self.parts)
            self.parts = None

    def sum_gradients(self) -> None:
        """As Weights says."""
        distributed.sum_gradients(list(self.network.parameters()))

    def clip_gradients(self, most: float) -> float:
        """As Weights says."""
        return float(nn.utils.clip_grad_norm_(self.network.parameters(), most))

    def whole_average(self) -> nn.Module | None:
        """As Weights says."""
        return None if distributed.rank() else self.average


class ShardedWeights:
    """Each process has a part of every weight.

    The network must have `blocks`, called as modules, and AdamW or another optimiser that treats
    every number by itself.

    Args:
        network: whole; it is divided in place, the average likewise.
        average: of the same shape.
        opts: without state; they go on with the network's parts.
        device: where the parts lie.
    """

    def __init__(
        self, network: nn.Module, average: nn.Module, opts: Optimisers, device: torch.device
    ):
        self.network, self.average, self.opts, self.device = network, average, opts, device
        self.shape = copy_shape(average)
        names = {id(part): name for name, part in network.named_parameters()}
        if device.type == "cuda":
            torch.cuda.set_device(device)  # where FSDP puts the parts
        mesh = init_device_mesh(device.type, (distributed.count(),))
        for module in (network, average):
            shard(module, mesh)
        parts = dict(network.named_parameters())
        self.implementations = [[group.get("foreach") for group in o.param_groups] for o in opts]
        for group in (group for opt in opts for group in opt.param_groups):
            group["params"] = [parts[names[id(part)]] for part in group["params"]]
        self.parts: Path | None = None
        self._choose_foreach()

    def _choose_foreach(self) -> None:
        """One call for all parts: by default it is one a part, several times as slow (LOG.md)."""
        for group in (group for opt in self.opts for group in opt.param_groups):
            group["foreach"] = True

    def load(self, path: Path) -> dict[str, Any]:
        """As Weights says; of a whole file, the first process reads and hands out the parts."""
        state = {} if distributed.rank() else load_training(path)
        found = distributed.take_from_first(state.get(PARTS))
        if found is None:
            self._deal_out(state, path)
        state = distributed.take_from_first(state)
        if found is not None:
            self.parts = check_parts(path, state.pop(PARTS))
            self._read_parts(state, self.parts)
        self._choose_foreach()
        return state

    def _deal_out(self, state: dict[str, Any], path: Path) -> None:
        for name in MODULES:
            self._load_module(getattr(self, name), state.pop(name, {}), path)
        saved = state.pop("optimisers", [{}] * len(self.opts))
        for opt, told in zip(self.opts, saved, strict=True):
            self._load_optimiser(opt, told)

    def _read_parts(self, small: dict[str, Any], folder: Path) -> None:
        shapes = shapes_of(folder)
        told: dict[str, Any] = {"optimisers": []}
        for name in MODULES:
            module = getattr(self, name)
            start = f"{name}."
            held = {k.removeprefix(start): v for k, v in shapes.items() if k.startswith(start)}
            fill_shape(self.shape, held | small[name], folder)  # only to refuse another network
            told[name] = module.state_dict()
            for key, number in small.pop(name).items():
                told[name].pop(key).copy_(number)
        moments = {
            name: self._make_moment(name, shape)
            for name, shape in shapes.items()
            if name.startswith("optimisers.")
        }
        read_parts(folder, take_tensors(told)[1] | moments)
        add_tensors(small, moments)
        for opt, saved in zip(self.opts, small.pop("optimisers"), strict=True):
            opt.load_state_dict(saved)

    def _make_moment(self, name: str, shape: Tensor) -> Tensor:
        """An empty tensor of an optimiser's state, divided as the weight that it is of."""
        _, number, part, _ = name.split(".")
        groups = self.opts[int(number)].param_groups
        weight = [part for group in groups for part in group["params"]][int(part)]
        if weight.shape == shape.shape:
            return torch.empty_like(weight, dtype=shape.dtype, requires_grad=False)
        return torch.empty_like(shape, device=self.device)

    def begin_with(self, weights: dict[str, Tensor]) -> None:
        """As Weights says."""
        for module in (self.network, self.average):
            self._load_module(module, {} if distributed.rank() else dict(weights), "the world")

    def _load_module(self, module: nn.Module, weights: dict[str, Tensor], source: object) -> None:
        if not distributed.rank():
            fill_shape(self.shape, weights, source)  # only to refuse those of another network
        set_model_state_dict(module, weights, options=DEALT_OUT)

    def _load_optimiser(self, opt: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
        parts = {part: name for name, part in self.network.named_parameters()}
        order = [parts[part] for group in opt.param_groups for part in group["params"]]
        named = rename_parts(saved, dict(enumerate(order))) if saved else {}
        known = distributed.take_from_first(set(named.get("state", ())))
        set_optimizer_state_dict(self.network, opt, named, options=DEALT_OUT)
        for part in list(opt.state):
            if parts[part] not in known:  # torch made one up
                del opt.state[part]

    def save(self, path: Path, rest: dict[str, Any]) -> None:
        """As Weights says; each process writes its parts."""
        told = tell_state(self.network, self.average, self.opts)
        for saved, implementations in zip(told["optimisers"], self.implementations, strict=True):
            for group, foreach in zip(saved["param_groups"], implementations, strict=True):
                group["foreach"] = foreach
        small, tensors = take_tensors(told)
        folder = distributed.take_from_first(free_folder(path, rest["step"]))
        parts = write_parts(folder, tensors)
        if distributed.rank() == 0:
            save_training(path, small | rest | {PARTS: parts.told()})
            finish_parts(folder)
            remove_parts(self.parts)
        self.parts = folder

    def sum_gradients(self) -> None:
        """As Weights says: done already, block by block within the backward pass."""

    def clip_gradients(self, most: float) -> float:
        """As Weights says."""
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), most)
        return float(norm.full_tensor())  # type: ignore[attr-defined]

    def whole_average(self) -> nn.Module | None:
        """As Weights says."""
        weights = get_model_state_dict(self.average, options=GATHERED)
        if distributed.rank():
            return None
        return fill_shape(self.shape, weights, "the average").to(self.device)


def load_whole(path: Path) -> tuple[dict[str, Any], Path | None]:
    """A checkpoint with all its tensors, and the folder of its parts if it has any.

    Raises:
        ValueError: it is damaged.
    """
    state = load_training(path)
    if PARTS not in state:
        return state, None
    folder = check_parts(path, state.pop(PARTS))
    shapes = shapes_of(folder)
    tensors = {name: torch.empty_like(shape, device="cpu") for name, shape in shapes.items()}
    read_parts(folder, tensors)
    add_tensors(state, tensors)
    return state, folder


def tell_state(network: nn.Module, average: nn.Module, opts: Optimisers) -> dict[str, Any]:
    """What a checkpoint holds of them."""
    return {
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimisers": [opt.state_dict() for opt in opts],
    }


def take_tensors(state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A checkpoint's state without its tensors of one dimension and more, and those by name:
    "network.NAME", "average.NAME", "optimisers.NUMBER.WEIGHT.NAME".
    """
    small: dict[str, Any] = {"network": {}, "average": {}, "optimisers": []}
    tensors: dict[str, Tensor] = {}
    for module in MODULES:
        _take(state[module], module, small[module], tensors)
    for number, opt in enumerate(state["optimisers"]):
        small["optimisers"].append({**opt, "state": {}})
        for weight, told in opt["state"].items():
            rest = small["optimisers"][number]["state"][weight] = {}
            _take(told, f"optimisers.{number}.{weight}", rest, tensors)
    return small, tensors


def _take(
    told: Mapping[str, Any], within: str, rest: dict[str, Any], tensors: dict[str, Tensor]
) -> None:
    for name, value in told.items():
        if isinstance(value, Tensor) and value.dim():
            tensors[f"{within}.{name}"] = value
        else:
            rest[name] = value


def add_tensors(small: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Inverse of take_tensors."""
    for name, tensor in tensors.items():
        kind, rest = name.split(".", 1)
        if kind == "optimisers":
            number, weight, part = rest.split(".")
            small[kind][int(number)]["state"].setdefault(int(weight), {})[part] = tensor
        else:
            small[kind][rest] = tensor


def remove_parts(folder: Path | None) -> None:
    """Remove the parts of a checkpoint that another has replaced."""
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def free_folder(checkpoint: Path, step: int) -> Path:
    """Where a checkpoint's parts may go: no folder of an earlier one is written to."""
    names = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    folders = (checkpoint.with_name(f"{checkpoint.stem}-{step:07d}{name}") for name in names)
    return next(folder for folder in folders if not folder.exists())


def place(network: nn.Module, sharded: bool, device: torch.device) -> nn.Module:
    """Where a network begins: on the device; one that is to be divided in main memory, from which
    its parts go to the device, so that no GPU must hold all of it.
    """
    return network if sharded and distributed.count() > 1 else network.to(device)


def shard(network: nn.Module, mesh: DeviceMesh) -> None:
    """Divide a network's weights over processes, block by block; gradients are summed."""
    for block in network.blocks:  # type: ignore[union-attr]
        fully_shard(block, mesh=mesh)
    fully_shard(network, mesh=mesh)
    for module in network.modules():
        if isinstance(module, FSDPModule):
            # A share's loss is divided by their number already. Gloo knows no other kind of sum.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)


def copy_shape(network: nn.Module) -> nn.Module:
    """A copy with buffers and without weights."""
    made = copy.deepcopy(network)
    for module in made.modules():
        for name, part in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(part.to("meta"), requires_grad=False))
    return made


def fill_shape(shape: nn.Module, weights: dict[str, Tensor], source: object) -> nn.Module:
    """A network of a shape with weights, which are not copied.

    Raises:
        ValueError: they are of another network.
    """
    made = copy.deepcopy(shape)
    load_into(made, weights, source, assign=True)
    return made


def rename_parts(state: Mapping[str, Any], names: Mapping[Any, Any]) -> dict[str, Any]:
    """An optimiser's state with its parameters called otherwise: by number as torch.optim does, or
    by name.
    """
    return {
        "state": {names[part]: told for part, told in state["state"].items()},
        "param_groups": [
            {**group, "params": [names[part] for part in group["params"]]}
            for group in state["param_groups"]
        ],
    }
