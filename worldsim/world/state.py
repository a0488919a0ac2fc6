"""The state of the dreams of a world at one moment: forked, selected, saved."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from worldsim.atomic import atomic_write
from worldsim.world.arrays import copy_array, save_arrays, select_rows, to_numpy
from worldsim.world.protocols import Carry


class WorldState:
    """B dreams at one moment. Consumed by WorldModel.step: fork() first to keep it."""

    def __init__(self, carry: Carry, seeds: list[int], counts: list[int], world_hash: str):
        self.carry, self.seeds, self.counts, self.world_hash = carry, seeds, counts, world_hash

    @property
    def batch(self) -> int:
        """How many dreams."""
        return len(self.seeds)

    @property
    def frame_count(self) -> np.ndarray:
        """int64 `[B]`: frames dreamt since reset."""
        return np.array(self.counts, np.int64)

    @property
    def poses(self) -> np.ndarray | None:
        """float32 `[B,3]` where the dreamer thinks it stands, relative to the first context frame;
        None where the dynamics keeps no pose.
        """
        poses = getattr(self.carry, "poses", None)
        return None if poses is None else to_numpy(poses)

    @property
    def seen(self) -> np.ndarray | None:
        """bool `[B,H,W]` which pixels of the newest frame memory showed, the others are invented;
        None where the dynamics has no memory in space.
        """
        seen = getattr(self.carry, "seen", None)
        return None if seen is None else to_numpy(seen)

    @property
    def outcomes(self) -> np.ndarray | None:
        """float32 `[B,2]` what the newest step gained, and the chance (0 to 1) that it ended the
        episode; None where the world has not learnt it.
        """
        outcomes = getattr(self.carry, "outcomes", None)
        return None if outcomes is None else to_numpy(outcomes)

    def fork(self, seeds: Sequence[int] | None = None) -> "WorldState":
        """An independent copy: both continue with the same frames under the same actions.

        Args:
            seeds: one a row; the copy continues with other noise than the original.
        """
        return WorldState(
            self.carry.map(lambda part, _: copy_array(part)),
            [int(seed) for seed in (self.seeds if seeds is None else seeds)],
            list(self.counts),
            self.world_hash,
        )

    def select(self, rows: Sequence[int]) -> "WorldState":
        """A copy of some of the dreams."""
        carry = self.carry.map(lambda part, axis: select_rows(part, axis, rows))
        return WorldState(
            carry, [self.seeds[i] for i in rows], [self.counts[i] for i in rows], self.world_hash
        )

    def save(self, path: str | Path) -> None:
        """Write a safetensors file that `WorldModel.load_state` reads.

        Raises:
            OSError: full disk, no permission.
        """
        from safetensors import SafetensorError

        meta = {
            "seeds": json.dumps(self.seeds),
            "counts": json.dumps(self.counts),
            "world": self.world_hash,
            "kind": "worldsim state",
        }
        parts = self.carry.tensors()
        try:
            atomic_write(Path(path), lambda scratch: save_arrays(scratch, parts, meta))
        except SafetensorError as error:  # how it tells of a full disk
            raise OSError(f"{path} cannot be written: {error}") from error
