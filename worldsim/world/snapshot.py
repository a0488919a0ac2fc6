"""Moments of dreams that share what they have in common: a tree of a thousand costs memory for the
pages in which they differ.

A snapshot's bytes are cut into pages. The first holds them all; one taken with a `base` holds the
pages that changed since. Nobody writes into a snapshot, so any number of states may come of one,
and a copy of it is itself. Knows no network: a dynamics makes a carry of its tensors again.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from worldsim.world.arrays import Array, from_bytes, to_bytes

if TYPE_CHECKING:
    from worldsim.world.model import WorldModel
    from worldsim.world.state import WorldState

PAGE = 1024  # bytes; a frame's keys of one layer and head are a few of them
DEPTH = 8  # bases that are walked through to read a snapshot


class Snapshot:
    """One moment of B dreams. Made by `take`, read by `recall`; pickled, it is whole.

    Attributes:
        seeds: of the noise, one a dream.
        counts: frames dreamt, one a dream.
        world_hash: the world it belongs to.
        base: the snapshot it differs from; None where it holds everything.
    """

    def __init__(self, layout: tuple, pages: np.ndarray, facts: tuple, base: "Snapshot | None"):
        self.layout = layout  # (name, dtype, shape, pages) of every tensor
        self.seeds, self.counts, self.world_hash = facts
        self.base = base
        self.depth = 0 if base is None else base.depth + 1
        if base is None:
            self._where, self._pages = None, pages
        else:
            self._where = np.flatnonzero((pages != base.pages()).any(axis=1)).astype(np.int32)
            self._pages = pages[self._where]

    @property
    def nbytes(self) -> int:
        """Bytes it holds itself, its base's left out."""
        return self._pages.nbytes + (0 if self._where is None else self._where.nbytes)

    def rebase(self, base: "Snapshot") -> "Snapshot":
        """The same moment, as what differs from another one; whole where that does not fit, or has
        as many bases as may be.
        """
        fits = base.layout == self.layout and base.depth < DEPTH
        facts = (self.seeds, self.counts, self.world_hash)
        return Snapshot(self.layout, self.pages(), facts, base if fits else None)

    def root(self) -> "Snapshot":
        """The snapshot that holds everything."""
        return self if self.base is None else self.base.root()

    def pages(self) -> np.ndarray:
        """All its bytes, uint8 `[pages, PAGE]`; a whole snapshot's own, not to be written to."""
        if self.base is None:
            return self._pages
        pages = self.base.pages()
        pages = pages.copy() if self.base.base is None else pages
        pages[self._where] = self._pages
        return pages

    def tensors(self) -> dict[str, Array]:
        """The carry's tensors or arrays by name, fresh."""
        found, start, pages = {}, 0, self.pages()
        for name, dtype, shape, count in self.layout:
            size = dtype.itemsize * int(np.prod(shape))
            flat = pages[start : start + count].reshape(-1)[:size].copy()
            found[name] = from_bytes(flat, dtype, shape)
            start += count
        return found

    def __deepcopy__(self, memo: dict) -> "Snapshot":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        facts = (self.seeds, self.counts, self.world_hash)
        return Snapshot, (self.layout, self.pages(), facts, None)


def take(state: "WorldState", base: Snapshot | None = None) -> Snapshot:
    """A snapshot of a state, which may be stepped on.

    Args:
        state: any dreams.
        base: an earlier snapshot, to share what is the same; one that does not fit is not used.
    """
    tensors = state.carry.tensors()
    parts = [_split_pages(tensor) for tensor in tensors.values()]
    layout = tuple(
        (name, tensor.dtype, tuple(tensor.shape), len(part))
        for (name, tensor), part in zip(tensors.items(), parts, strict=True)
    )
    if base is not None and base.layout != layout:
        base = None
    elif base is not None and base.depth >= DEPTH:
        base = base.root()
    facts = (tuple(state.seeds), tuple(state.counts), state.world_hash)
    return Snapshot(layout, np.concatenate(parts), facts, base)


def recall(world: "WorldModel", snapshot: Snapshot) -> "WorldState":
    """A state that goes on from a snapshot as the dreams did that it was taken of.

    Raises:
        WorldError: a snapshot of another world.
    """
    world.check_state(snapshot)
    return world.restore_state_of(snapshot.tensors(), list(snapshot.seeds), list(snapshot.counts))


def _split_pages(part: Array) -> np.ndarray:
    """Its bytes as uint8 `[pages, PAGE]`, the last one filled up with zeros."""
    flat = to_bytes(part)
    pages = np.zeros((-(-len(flat) // PAGE), PAGE), np.uint8)
    pages.reshape(-1)[: len(flat)] = flat
    return pages
