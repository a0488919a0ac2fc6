"""What dreams remember, as arrays: names, shapes and meanings are those of models/spatial/carry.py,
models/memory/frame_bank.py and models/spatial/context_cache.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from models.memory.sizes import EMPTY, KEPT_NEWEST, NOWHERE
from models.spatial.levels import LevelSpan


class Group:
    """Base of dataclasses of arrays; BATCH_AXIS names the arrays whose batch is not axis 0."""

    BATCH_AXIS = ()

    def map(self, function: Callable[[np.ndarray, int], np.ndarray]) -> Self:
        """A new group of `function(array, batch axis)` of every array."""
        return type(self)(
            **{
                name: function(part, int(name in self.BATCH_AXIS))
                for name, part in self.tensors().items()
            }
        )

    def tensors(self) -> dict[str, np.ndarray]:
        """Every array by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass
class Bank(Group):
    """Remembered frames, as FrameBank has them."""

    rgba: np.ndarray
    inverse_depth: np.ndarray
    poses: np.ndarray
    points: np.ndarray
    fresh: np.ndarray
    ids: np.ndarray
    true: np.ndarray

    def sources(self, row: int, slots: np.ndarray) -> tuple[np.ndarray, ...]:
        """The frames in `slots` `[S]` (EMPTY: none) of a dream as graphs take them: rgba,
        inverse_depth, poses and ids, each `[1,S,...]`.
        """
        at = row, slots.clip(min=0)
        ids = np.where(slots >= 0, self.ids[at], EMPTY)
        depth = self.inverse_depth[at].astype(np.float32)
        return self.rgba[at][None], depth[None], self.poses[at][None], ids[None]

    def free_slot(self, row: int, number: int) -> int:
        """An empty slot where there is one, else the one whose loss costs the least coverage, for
        frame `number`.
        """
        held = self.ids[row]
        worth = self.fresh[row].sum(axis=1)
        worth[(held > number - KEPT_NEWEST) & (held != EMPTY)] = np.inf
        worth[held == EMPTY] = -1.0
        return int(worth.argmin())


@dataclass
class Cache(Group):
    """Keys and values, as ContextCache has them."""

    k: np.ndarray
    v: np.ndarray
    ids: np.ndarray

    BATCH_AXIS = ("k", "v")

    def write(
        self, span: LevelSpan, row: int, place: int, context: list[np.ndarray], number: int
    ) -> None:
        """Store keys and values `[L,1,H,S,d]` of frame `number` at a place of a level."""
        start = span.slots.start + place * span.tokens
        for part, found in zip((self.k, self.v), context, strict=True):
            part[:, row, :, start : start + span.tokens] = found[:, 0]
        self.ids[row, span.frames.start + place] = number

    def visible(self, spans: dict[str, LevelSpan], row: int) -> np.ndarray:
        """Which slots hold something, bool `[1,slots]`."""
        known = self.ids[row] != EMPTY
        parts = [np.repeat(known[span.frames], span.tokens) for span in spans.values()]
        return np.concatenate(parts)[None]


@dataclass
class Carry:
    """Memory of B dreams, as SpatialCarry has it."""

    bank: Bank
    cache: Cache
    frame: np.ndarray
    pose: np.ndarray
    climb: np.ndarray
    stood: np.ndarray
    newest: np.ndarray
    seen: np.ndarray
    latents: np.ndarray
    inverse_depth: np.ndarray

    @property
    def poses(self) -> np.ndarray:
        """x, y and heading `[B,3]` of the newest frames."""
        return self.pose[:, :3]

    @property
    def rows(self) -> range:
        """Numbers of the dreams."""
        return range(len(self.frame))

    def map(self, function: Callable[[np.ndarray, int], np.ndarray]) -> "Carry":
        """A new carry of `function(array, batch axis)` of every array."""
        plain = {name: function(part, 0) for name, part in self._plain().items()}
        return Carry(self.bank.map(function), self.cache.map(function), **plain)

    def tensors(self) -> dict[str, np.ndarray]:
        """Every array by a name that tells where it belongs."""
        found = self._plain()
        for group in ("bank", "cache"):
            parts = getattr(self, group).tensors()
            found |= {f"{group}.{name}": part for name, part in parts.items()}
        return found

    def _plain(self) -> dict[str, np.ndarray]:
        names = (field.name for field in fields(self) if field.name not in ("bank", "cache"))
        return {name: getattr(self, name) for name in names}


def carry_from(arrays: dict[str, np.ndarray]) -> Carry:
    """Inverse of `Carry.tensors`."""
    groups: dict[str, dict[str, np.ndarray]] = {"bank": {}, "cache": {}, "": {}}
    for name, part in arrays.items():
        group, _, inside = name.rpartition(".")
        groups[group][inside] = part
    return Carry(Bank(**groups["bank"]), Cache(**groups["cache"]), **groups[""])


def empty_carry(shapes: dict[str, tuple[int, ...]], batch: int, far: float) -> Carry:
    """Dreams that have seen nothing.

    Args:
        shapes: of the arrays of one dream by name, as `Carry.tensors` names them.
        batch: B.
        far: depth of what is not known.
    """
    arrays = {}
    for name, shape in shapes.items():
        axis = int(name in ("cache.k", "cache.v"))
        full = (*shape[:axis], batch, *shape[axis + 1 :])
        arrays[name] = np.full(full, FILLS.get(name, 0), TYPES.get(name, np.float32))
    arrays["inverse_depth"][:] = 1 / far
    return carry_from(arrays)


FILLS = {"bank.ids": EMPTY, "cache.ids": EMPTY, "stood": NOWHERE}
TYPES = {
    "bank.rgba": np.uint8,
    "bank.inverse_depth": np.float16,
    "bank.ids": np.int64,
    "bank.true": np.bool_,
    "cache.ids": np.int64,
    "frame": np.int64,
    "newest": np.uint8,
    "seen": np.bool_,
}
