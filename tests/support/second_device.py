"""A second device for machines without one: tensors that say they lie elsewhere and hold real
numbers, which the CPU computes.

Where a GPU would refuse, so does this: an operation on tensors of both devices, a CPU's generator
on the other device, an array of what lies there. What a GPU would wait for is counted: numbers that
the host reads, and shapes that depend on numbers. The device is called "meta", a name that torch
needs no driver for; its tensors are not empty while a SecondDevice is active.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

NAME = "meta"
aten = torch.ops.aten
# Operations of which the host must know the value, or the shape of the result, before it goes on.
READS = ("_local_scalar_dense", "equal", "nonzero", "masked_select", "_unique2", "unique_dim")
READS += ("bincount",)
INDEXING = ("index", "index_put", "index_put_", "_unsafe_index")
CREATIONS = (torch.tensor, torch.as_tensor, torch.asarray)
COPIES = (aten._to_copy.default, aten.copy_.default)
# Marks on the numbers, which a label does not carry: computed at once.
MARKS = {aten._conj.default: torch.conj_physical, aten._neg_view.default: torch.neg}


class Elsewhere(Tensor):
    """A tensor of the second device; `held` has its numbers, on the CPU."""

    held: Tensor
    is_meta = False  # torch takes meta tensors for empty

    @staticmethod
    def __new__(cls, held: Tensor):
        """A label on `held`."""
        layout = {"strides": held.stride(), "storage_offset": held.storage_offset()}
        with torch.inference_mode(False):  # else views of tensors from outside it would fail
            made = Tensor._make_wrapper_subclass(
                cls, held.shape, **layout, dtype=held.dtype, device=NAME
            )
        made.held = held
        return made

    def __repr__(self, **_) -> str:
        return f"Elsewhere({self.held})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec)

    def __reduce_ex__(self, protocol: int):
        return self.held.__reduce_ex__(protocol)  # files say nothing of this device

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        """Outside a SecondDevice: compute, and count nothing."""
        return _Operations(Counter()).compute(func, args, kwargs or {})


class SecondDevice:
    """While active, tensors may lie on the device NAME.

    Attributes:
        waits: how often the host would have waited, by the operation; `to host` and `to device` are
            copies from and to the device.
    """

    def __init__(self) -> None:
        self.waits: Counter[str] = Counter()
        self._modes = _Creations(self.waits), _Operations(self.waits)

    def __enter__(self) -> "SecondDevice":
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*error)

    def take(self, thing: Any) -> Any:
        """A structure of tensors on the CPU, not counted."""
        return tree_map(_held, thing)


class _Creations(TorchFunctionMode):
    """Tensors made of Python's numbers, and lists of tensors: torch does not dispatch these."""

    def __init__(self, waits: Counter[str]) -> None:
        super().__init__()
        self.waits = waits

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        first = args[0] if args else None
        if func in CREATIONS and _is_there(kwargs.get("device")):
            if isinstance(first, Elsewhere):
                return first.to(kwargs.get("dtype"))
            return self._create(first, {n: v for n, v in kwargs.items() if n != "device"})
        if isinstance(first, Elsewhere) and func is Tensor.new_tensor:
            return self._create(args[1], {"dtype": first.dtype} | kwargs)
        if isinstance(first, Elsewhere) and func is Tensor.numpy:
            raise TypeError("a tensor of the second device is not an array: copy it to the CPU")
        if isinstance(first, Elsewhere) and func is Tensor.tolist:
            self.waits["tolist"] += 1
            return first.held.tolist()
        return func(*args, **kwargs)

    def _create(self, numbers: Any, kwargs: dict) -> Tensor:
        self.waits["to device"] += 1
        return Elsewhere(torch.as_tensor(numbers, **kwargs))


class _Operations(TorchDispatchMode):
    """Everything else."""

    def __init__(self, waits: Counter[str]) -> None:
        super().__init__()
        self.waits = waits

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return self.compute(func, args, kwargs or {})

    def compute(self, func: Callable, args: tuple, kwargs: dict) -> Any:
        """The operation on the numbers that are held, and labels on what comes out."""
        leaves = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        device, there = kwargs.get("device"), any(isinstance(leaf, Elsewhere) for leaf in leaves)
        if not there and not _is_there(device):
            return func(*args, **kwargs)
        if torch.is_inference_mode_enabled() and _is_composite(func):
            with self:  # its parts are what a device is asked for
                return func.decompose(*args, **kwargs)
        if func in MARKS:
            return Elsewhere(MARKS[func](args[0].held))
        if func in COPIES:
            return self._copy(func, args, kwargs)
        _check(func, leaves, kwargs)
        self._count(func, args)
        out = _run(func, args, kwargs)
        if device is not None and not _is_there(device):
            return out
        return return_and_correct_aliasing(func, args, kwargs, tree_map(_label, out))

    def _copy(self, func: Callable, args: tuple, kwargs: dict) -> Tensor:
        """A copy, maybe to the other device."""
        in_place = func is aten.copy_.default
        source, device = args[in_place], kwargs.get("device")
        if in_place or device is None:
            to = isinstance(args[0], Elsewhere)
        else:
            to = _is_there(device)
        if to != isinstance(source, Elsewhere):
            self.waits["to device" if to else "to host"] += 1
        out = _run(func, args, {name: v for name, v in kwargs.items() if name != "device"})
        return args[0] if in_place else _label(out) if to else out

    def _count(self, func: Callable, args: tuple) -> None:
        name = func.overloadpacket.__name__
        if name in READS or (name == "repeat_interleave" and func._overloadname == "Tensor"):
            self.waits[name] += 1
        if name in INDEXING:
            masks = [part for part in args[1] if part is not None and part.dtype == torch.bool]
            # torch fills masked places with one number without asking where they are
            fills = name.startswith("index_put") and args[2].numel() == 1
            if masks and not fills:
                self.waits[f"{name} by a mask"] += 1


def _check(func: Callable, leaves: list[Tensor], kwargs: dict) -> None:
    """Refuse what a GPU refuses; numbers without dimensions may come from the CPU."""
    stray = [leaf for leaf in leaves if not isinstance(leaf, Elsewhere) and leaf.dim()]
    if stray:
        shapes = [tuple(leaf.shape) for leaf in stray]
        raise RuntimeError(f"{func} of tensors on two devices; on the CPU are those of {shapes}")
    if kwargs.get("generator") is not None:
        raise RuntimeError(f"{func} on the second device with a generator of the CPU")


def _run(func: Callable, args: tuple, kwargs: dict) -> Any:
    """On the CPU."""
    plain = {n: "cpu" if n == "device" and _is_there(v) else v for n, v in kwargs.items()}
    with torch.inference_mode(False), torch.no_grad():
        return func(*tree_map(_held, args), **tree_map(_held, plain))


def _is_composite(func: Callable) -> bool:
    """Whether an operation is made of others; attention is left whole, as a GPU has it."""
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    whole = func is aten.scaled_dot_product_attention.default
    return not whole and torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), key)


def _is_there(device: Any) -> bool:
    return device is not None and torch.device(device).type == NAME


def _held(leaf: Any) -> Any:
    return leaf.held if isinstance(leaf, Elsewhere) else leaf


def _label(leaf: Any) -> Any:
    return Elsewhere(leaf) if type(leaf) is Tensor else leaf
