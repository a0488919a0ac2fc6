"""Who holds what a training changes: the network, its average and its optimisers' state.

`WholeWeights`: every process has all of it. `ShardedWeights`: FSDP2 (torch.distributed.fsdp) gives
each of P processes one P-th; a block's weights are gathered when it computes. Both read and write
the same checkpoint, whole and in the names and numbers of one process, so that a training goes on
either way.
"""

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from models.training import distributed
from worldsim.world.checkpoint import load_into, load_training

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

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of them; in the first process."""

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

    def load(self, path: Path) -> dict[str, Any]:
        """As Weights says."""
        state = load_training(path)
        load_into(self.network, state.pop("network"), path)
        load_into(self.average, state.pop("average"), path)
        for opt, saved in zip(self.opts, state.pop("optimisers"), strict=True):
            opt.load_state_dict(saved)
        return state

    def begin_with(self, weights: dict[str, Tensor]) -> None:
        """As Weights says."""
        for module in (self.network, self.average):
            load_into(module, weights, "the world to begin with")

    def state(self) -> dict[str, Any]:
        """As Weights says."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [opt.state_dict() for opt in self.opts],
        }

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
        self._choose_foreach()

    def _choose_foreach(self) -> None:
        """One call for all parts: by default it is one a part, several times as slow (LOG.md)."""
        for group in (group for opt in self.opts for group in opt.param_groups):
            group["foreach"] = True

    def load(self, path: Path) -> dict[str, Any]:
        """As Weights says; the first process reads, and hands out the parts."""
        state = {} if distributed.rank() else load_training(path)
        for name, module in (("network", self.network), ("average", self.average)):
            self._load_module(module, state.pop(name, {}), path)
        saved = state.pop("optimisers", [{}] * len(self.opts))
        for opt, told in zip(self.opts, saved, strict=True):
            self._load_optimiser(opt, told)
        self._choose_foreach()
        return distributed.take_from_first(state)

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

    def state(self) -> dict[str, Any]:
        """As Weights says; gathered into the first process' main memory, weight by weight."""
        modules = {"network": self.network, "average": self.average}
        told = {
            name: get_model_state_dict(module, options=GATHERED) for name, module in modules.items()
        }
        states = [
            get_optimizer_state_dict(self.network, opt, options=GATHERED) for opt in self.opts
        ]
        if distributed.rank():
            return {}
        return told | {"optimisers": list(self._as_of_one_process(states))}

    def _as_of_one_process(self, states: list[Any]) -> Iterator[dict[str, Any]]:
        for state, implementations in zip(states, self.implementations, strict=True):
            names = [name for group in state["param_groups"] for name in group["params"]]
            told = rename_parts(state, {name: number for number, name in enumerate(names)})
            for group, foreach in zip(told["param_groups"], implementations, strict=True):
                group["foreach"] = foreach
            yield told

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
