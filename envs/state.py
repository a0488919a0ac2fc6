"""A moment of a dream: kept in memory, or written to a file. It knows what nobody else can make.

Moments of one env share what they have in common (worldsim/world/snapshot.py), may be copied and
pickled, and go on with the same frames in any env and process of their world.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from worldsim.world.model import WorldModel
    from worldsim.world.snapshot import Snapshot
    from worldsim.world.state import WorldState

_ARRAYS = {"frame": "|u1", "memory": "|u1"}


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


def write_state(path: str | Path, memory: "WorldState", frame: np.ndarray) -> None:
    """Write a moment to a file, whole or not at all.

    Raises:
        OSError: full disk, no permission.
    """
    from worldsim.atomic import atomic_write

    with tempfile.TemporaryDirectory() as folder:
        memory.save(Path(folder) / "memory")
        written = np.fromfile(Path(folder) / "memory", np.uint8)

    def write(scratch: Path) -> None:
        with open(scratch, "wb") as file:  # given a name instead, savez would add a suffix to it
            np.savez(file, frame=frame, memory=written)

    atomic_write(Path(path), write)


def read_state(path: str | Path, world: "WorldModel") -> tuple["WorldState", np.ndarray]:
    """The memory and the frame of a moment that was written.

    Raises:
        ValueError: the file is damaged, or of another world.
    """
    from worldsim.data.npz import read_arrays

    arrays = read_arrays(path, _ARRAYS)
    size = world.card.frame_size
    if arrays["frame"].shape != (size, size, 3):
        raise ValueError(f"{path} is damaged: its frame is {list(arrays['frame'].shape)}.")
    with tempfile.TemporaryDirectory() as folder:
        arrays["memory"].tofile(Path(folder) / "memory")
        try:
            return world.load_state(Path(folder) / "memory"), arrays["frame"]
        except ValueError as error:
            told = str(error).replace(str(Path(folder) / "memory"), str(path))
            raise type(error)(told) from error
