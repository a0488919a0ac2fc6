"""A moment of a dream as a file: what the network remembers, and the frame that is shown there."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from worldsim.world.base import World
    from worldsim.world.state import WorldState

_ARRAYS = {"frame": "|u1", "memory": "|u1"}


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


def read_state(path: str | Path, world: "World") -> tuple["WorldState", np.ndarray]:
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
