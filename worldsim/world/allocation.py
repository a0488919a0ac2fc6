"""A bound on what may be made while a network is built from a file that claims its sizes."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

SLACK, GROWTH = 1 << 30, 8
"""Bytes a network may take: so many, and this often the bytes of its weights."""
CALLS_A_TENSOR = 20
"""Tensors made while building, for each of the weights."""
_MAKERS = ("empty", "zeros", "ones", "full", "arange", "linspace", "rand", "eye", "new_")


@contextmanager
def limit_allocation(most: int, calls: int) -> Iterator[None]:
    """Inside, tensors may be made of `most` bytes in all, and at most `calls` of them.

    Raises:
        ValueError: more is asked for; what is too large is not touched, so it costs no memory.
    """
    with _Bound(most, calls):
        yield


class _Bound(TorchFunctionMode):
    def __init__(self, most: int, calls: int) -> None:
        super().__init__()
        self._most, self._calls = most, calls
        self._bytes = self._made = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        makes = getattr(func, "__name__", "").startswith(_MAKERS)
        if makes:
            self._count(args)
        made = func(*args, **(kwargs or {}))
        if makes and isinstance(made, torch.Tensor):
            self._bytes += made.numel() * made.element_size()
            self._refuse(self._bytes)
        return made

    def _count(self, args: Any) -> None:
        """Refuse a tensor by its shape, before it is made."""
        self._made += 1
        shape = next((a for a in args if isinstance(a, list | tuple)), None)
        sizes = args if shape is None else shape
        sizes = [n for n in sizes if isinstance(n, int)]
        self._refuse(self._bytes + math.prod(max(1, n) for n in sizes))
        if self._made > self._calls:
            raise ValueError(f"it would make more than {self._calls} tensors")

    def _refuse(self, total: int) -> None:
        if total > self._most:
            raise ValueError(f"its networks would take more than {self._most >> 20} MiB")
