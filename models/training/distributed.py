"""Several processes training one network (torchrun): each draws its own shares of a batch,
gradients are added up. One process is the case of one.

On a CPU two processes of one thread are faster than one of two, whose threads wait for each other
after every operation (docs/LOG.md).
"""

import atexit
import gc
import os
import sys
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from worldsim.world.model import resolve_device


def start() -> tuple[int, int]:
    """Join the group torchrun set up; (rank, how many)."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count > 1 and not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        # The others wait while the first one encodes the data.
        dist.init_process_group(backend, timeout=timedelta(days=7))
    return int(os.environ.get("RANK", "0")), count


def own_device(name: str) -> torch.device:
    """The device of that name; of several processes on `cuda`, each has one of its own.

    Raises:
        ValueError: it cannot be used here.
    """
    if name == "cuda" and count() > 1:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return resolve_device(name)


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is."""
    return dist.get_rank() if dist.is_initialized() else 0


def sum_gradients(parameters: list[Tensor]) -> None:
    """Replace every gradient by its sum over the processes (one message)."""
    if count() == 1:
        return
    grads = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([grad.flatten() for grad in grads])
    dist.all_reduce(flat)
    torch._foreach_copy_(
        grads,
        [
            part.view_as(grad)
            for part, grad in zip(flat.split([g.numel() for g in grads]), grads, strict=True)
        ],
    )


def sum_of(numbers: Tensor) -> Tensor:
    """The sum of every process's `numbers`, on the CPU."""
    if count() > 1:
        numbers = numbers.clone()
        dist.all_reduce(numbers)
    return numbers


def gather_objects(thing: object) -> list:
    """Every process's `thing`, by rank."""
    if count() == 1:
        return [thing]
    things = [None] * count()
    dist.all_gather_object(things, thing)
    return things


def take_from_first(thing: Any) -> Any:
    """The first process's `thing`, in every process."""
    things = [thing]
    if count() > 1:
        dist.broadcast_object_list(things)
    return things[0]


def barrier() -> None:
    """Wait for the others."""
    if count() > 1:
        dist.barrier()


def leave(code: int = 0) -> int:
    """Wait for the others, and end the group: its threads would be killed with the program, which a
    process that is slower than the others takes for a failure of theirs.

    The process then ends without taking itself apart: a thread that torch's sharding left behind
    aborted that now and then, after all work was done.

    Args:
        code: what the process is to end with, given back.
    """
    if dist.is_initialized():
        gc.collect()  # a sharded network holds groups of its own, in cycles: they end before
        dist.barrier()
        dist.destroy_process_group()
        atexit.register(_end_at_once, code)
    return code


def _end_at_once(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
