"""A moment of a dream, kept in memory; worldsim/world/moment_file.py writes it to a file.

Moments of one env share what they have in common (worldsim/world/snapshot.py), may be copied and
pickled, and go on with the same frames in any env and process of their world.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from worldsim.world.model import WorldModel
    from worldsim.world.snapshot import Snapshot
    from worldsim.world.state import WorldState


@dataclass(frozen=True)
class DreamState:
    """A moment of a dream; it may be restored any number of times, in any env of its world.

    Attributes:
        world_hash: the world it belongs to.
        memory: what the network remembers; nobody writes to it.
        frame: uint8 `[H,W,3]`, the frame that is shown there.
    """

    world_hash: str
    memory: "Snapshot"
    frame: np.ndarray

    @property
    def nbytes(self) -> int:
        """Memory it takes besides what it shares with earlier moments, which it keeps alive too:
        `worldsim.held_memory.measure_bytes` weighs several as they are.
        """
        return self.memory.nbytes + self.frame.nbytes

    def rebase(self, base: "DreamState") -> "DreamState":
        """The same moment, which shares memory with another one instead of earlier ones."""
        return DreamState(self.world_hash, self.memory.rebase(base.memory), self.frame)

    def __deepcopy__(self, memo: dict) -> "DreamState":
        return self

    def check_world(self, world: "WorldModel") -> None:
        """Refuse another world: its weights would read a memory they never wrote.

        Raises:
            ValueError: the hashes differ.
        """
        if self.world_hash != world.hash:
            raise ValueError(
                f"the state belongs to the world {self.world_hash[:12]}, this one is "
                f"{world.hash[:12]}: make the environment with the state's own world."
            )


def outcomes(state: "WorldState") -> tuple[np.ndarray, np.ndarray]:
    """What the newest step of N dreams gained, float64 `[N]`, and whether it ended them, bool
    `[N]`: nothing and no, unless the world has learnt rewards and ends.
    """
    told = state.outcomes
    if told is None:
        return np.zeros(state.batch), np.zeros(state.batch, bool)
    return told[:, 0].astype(np.float64), told[:, 1] > 0.5
