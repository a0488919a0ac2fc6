"""How fast this machine multiplies matrices, and in which precision it should train."""

import contextlib
import functools
import time
from contextlib import AbstractContextManager

import torch


def matmul_seconds(
    dtype: torch.dtype, device: torch.device, size: int = 256, repeats: int = 5
) -> float:
    """Seconds of one size^3 matrix product: the best of a few, since other programs interfere."""
    a = torch.randn(size, size, device=device).to(dtype)
    (a @ a).sum().item()
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        (a @ a).sum().item()
        found.append(time.perf_counter() - start)
    return min(found)


@functools.cache  # two measurements may differ, and all parts of a training have to agree
def pick_precision(wish: str, device: torch.device) -> torch.dtype:
    """bfloat16 where this machine multiplies it faster than float32, by a measurement of
    milliseconds.
    """
    if wish != "auto":
        return getattr(torch, wish)
    faster = matmul_seconds(torch.bfloat16, device) < matmul_seconds(torch.float32, device)
    return torch.bfloat16 if faster else torch.float32


def autocast_to(precision: torch.dtype, device: torch.device) -> AbstractContextManager:
    """Inside, products are of this precision; nothing changes for float32."""
    if precision == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, precision)
