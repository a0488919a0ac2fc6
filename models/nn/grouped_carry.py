"""A carry of tensors, some of them in groups of their own: changed, listed by name, and put
together again in one way for every dynamics.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Self

from torch import Tensor


class GroupedCarry:
    """Base of dataclasses with tensors (`PLAIN`) and groups of tensors (`GROUPS`); a group has
    `map` and `tensors` too.
    """

    PLAIN: ClassVar[tuple[str, ...]]
    GROUPS: ClassVar[tuple[str, ...]]

    def map(self, function: Callable[[Tensor, int], Tensor]) -> Self:
        """A new carry of `function(tensor, batch dimension)` of every tensor."""
        groups: dict[str, Any] = {name: getattr(self, name).map(function) for name in self.GROUPS}
        plain = {name: function(getattr(self, name), 0) for name in self.PLAIN}
        return type(self)(**groups, **plain)

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by a name that tells where it belongs."""
        found = {name: getattr(self, name) for name in self.PLAIN}
        for group in self.GROUPS:
            parts = getattr(self, group).tensors()
            found |= {f"{group}.{name}": tensor for name, tensor in parts.items()}
        return found

    @classmethod
    def split_tensors(
        cls, tensors: dict[str, Tensor]
    ) -> tuple[dict[str, dict[str, Tensor]], dict[str, Tensor]]:
        """The tensors of each group by its name, and the plain ones, of what `tensors` gives."""
        groups = {
            group: {
                name.removeprefix(f"{group}."): tensor
                for name, tensor in tensors.items()
                if name.startswith(f"{group}.")
            }
            for group in cls.GROUPS
        }
        return groups, {name: tensors[name] for name in cls.PLAIN}
