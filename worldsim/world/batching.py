"""Dreams come and go in a running batch, each at its own frame; and a dream wakes up: true frames
go on its memory.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from worldsim.world.arrays import Array, put_rows

if TYPE_CHECKING:
    from worldsim.world.model import WorldModel
    from worldsim.world.state import WorldState


def insert(dreams: "WorldState", rows: Sequence[int], others: "WorldState") -> None:
    """Let other dreams go on in some of the rows, whatever frame they are at.

    Args:
        dreams: the batch; changed.
        rows: one for each of the others.
        others: of the same world; left as they are.

    Raises:
        ValueError: memories whose size depends on the frame they are at.
    """
    for (tensor, dim), (source, _) in zip(
        _list_tensors(dreams), _list_tensors(others), strict=True
    ):
        wanted = (*tensor.shape[:dim], len(rows), *tensor.shape[dim + 1 :])
        if source.shape != wanted:
            raise ValueError(
                f"a dream's memory is {list(source.shape)} where the batch needs {list(wanted)}: "
                f"this network's dreams cannot be at different frames in one batch."
            )
        put_rows(tensor, dim, rows, source)
    for row, seed, count in zip(rows, others.seeds, others.counts, strict=True):
        dreams.seeds[row], dreams.counts[row] = seed, count


def concat(states: Sequence["WorldState"]) -> "WorldState":
    """One batch of the dreams of several states, in their order; copies.

    Raises:
        ValueError: as put.
    """
    batch, start = states[0].select([0] * sum(state.batch for state in states)), 0
    for state in states:
        insert(batch, range(start, start + state.batch), state)
        start += state.batch
    return batch


def observe(
    world: "WorldModel",
    state: "WorldState",
    frames: np.ndarray,
    actions: Sequence[int] | np.ndarray,
) -> "WorldState":
    """Take in what truly happened instead of dreaming it. Consumes `state`; fork() to keep it.

    Args:
        world: who dreams.
        state: B dreams.
        frames: uint8 `[B,H,W,3]`.
        actions: those that led to them, by their ids; or all as numbers, float `[B,2]`.

    Raises:
        ValueError: frames or actions that don't fit; nothing has changed then.
    """
    frames, size = np.asarray(frames), world.card.frame_size
    if frames.dtype != np.uint8 or frames.shape != (state.batch, size, size, 3):
        raise ValueError(
            f"frames must be uint8 [{state.batch}, {size}, {size}, 3], got "
            f"{frames.dtype} {list(frames.shape)}."
        )
    chosen = world.check_actions(state, actions)
    told = {} if chosen.controls is None else {"controls": chosen.controls}
    state.carry = world.observe(state.carry, frames, chosen.ids, **told)
    return state


def _list_tensors(state: "WorldState") -> list[tuple[Array, int]]:
    """Every tensor of the memory with its batch dimension."""
    found: list[tuple[Array, int]] = []

    def note(tensor: Array, dim: int) -> Array:
        found.append((tensor, dim))
        return tensor

    state.carry.map(note)
    return found
