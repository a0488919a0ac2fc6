"""Which memory objects keep alive: every buffer once, however many of them share it.

Follows containers, named tuples and the attributes of plain objects down to arrays and tensors, and
views to the array that owns their memory. Knows no network and no environment.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np

_PLAIN = (str, int, float, complex, bool, type(None), np.generic, np.dtype, ModuleType)


def measure_storages(*things: Any) -> dict[int, int]:
    """The buffers that things keep alive.

    Returns:
        Bytes by a number that is the buffer's own as long as it lives.
    """
    found: dict[int, int] = {}
    seen: set[int] = set()
    waiting = list(things)
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, _PLAIN) or callable(one):
            continue
        seen.add(id(one))
        if isinstance(one, np.ndarray):
            owner = _owner(one)
            found[id(owner)] = owner.nbytes
            waiting += list(one.flat) if one.dtype == object else []
        elif isinstance(one, bytes | bytearray):
            found[id(one)] = len(one)
        elif hasattr(one, "untyped_storage"):  # a tensor; torch need not be imported for it
            storage = one.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
        else:
            waiting += _inside(one)
    return found


def measure_bytes(*things: Any) -> int:
    """How many bytes the things keep alive together."""
    return sum(measure_storages(*things).values())


def _owner(array: np.ndarray) -> np.ndarray:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _inside(one: Any) -> Iterator[Any]:
    if isinstance(one, Mapping):
        yield from one.values()
    elif isinstance(one, list | tuple | set | frozenset):
        yield from one
    else:
        yield from getattr(one, "__dict__", {}).values()
        for kind in type(one).__mro__:
            slots = getattr(kind, "__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                yield getattr(one, name, None)


class Ledger:
    """What many objects hold, each counted as it comes and goes; shared buffers count once.

    Attributes:
        bytes: held now.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._holders: Counter[int] = Counter()

    def add(self, parts: Mapping[int, int]) -> None:
        """An object came that holds these parts."""
        for part, size in parts.items():
            self.bytes += 0 if self._holders[part] else size
            self._holders[part] += 1

    def remove(self, parts: Mapping[int, int]) -> None:
        """It went."""
        for part, size in parts.items():
            self._holders[part] -= 1
            if not self._holders[part]:
                del self._holders[part]
                self.bytes -= size
