"""Quick saves: files that survive the program, and belong to one world.

A save is a folder that appears whole or not at all: the line of play (start and moves) and, where
the world can write its state, the state. Without one the moves are made again from the start. ::

    saves/<world>/00000003/line.npz
    saves/<world>/00000003/state
"""

import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import numpy as np

from worldsim.runtime.line import Moves, Point, Start, pack, unpack
from worldsim.runtime.place import Identity, Outcome, Place
from worldsim.runtime.track import Track

LINE, STATE = "line.npz", "state"


class NoSaves:
    """Nowhere to save to."""

    def save(self, track: Track) -> Path:
        """Refuse."""
        raise ValueError("there is no folder for quick saves.")

    def load(self, place: Place) -> Generator[int, None, Track]:
        """Refuse."""
        raise ValueError("there is no folder for quick saves.")


class Saves:
    """Quick saves of any world in one folder.

    Args:
        folder: made when the first save is written.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    def save(self, track: Track) -> Path:
        """Write where the track is now; the newest save is the one that is loaded.

        Returns:
            The folder of the save.

        Raises:
            OSError: the disk is full or the folder cannot be written.
        """
        place = track.place
        home = self._home(place)
        home.mkdir(parents=True, exist_ok=True)
        older = self._all(place)
        temporary = Path(tempfile.mkdtemp(prefix=".save-", dir=home))
        try:
            (temporary / LINE).write_bytes(pack(track.point(), place.identity.as_json()))
            if place.saves_state:
                place.save(temporary / STATE)
            _sync(temporary)
            target = home / f"{int(older[-1].name) + 1 if older else 1:08d}"
            os.rename(temporary, target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        for folder in older:
            shutil.rmtree(folder, ignore_errors=True)
        return target

    def load(self, place: Place) -> Generator[int, None, Track]:
        """The way to the newest save; it is looked at now, and gone when it is iterated.

        Returns:
            Yields how many moves are left to be made again (nothing where the state was written),
            and returns the track as it was.

        Raises:
            ValueError: there is none, it is another world's, or it is damaged.
        """
        found = self._all(place)
        if not found:
            raise ValueError(f"There is no quick save of {place.identity} yet: F5 makes one.")
        return open_save(found[-1], place)

    def _home(self, place: Place) -> Path:
        name = place.identity.world or place.identity.environment
        return self._folder / "".join(c if c.isalnum() or c in "-_." else "_" for c in name)

    def _all(self, place: Place) -> list[Path]:
        return sorted(path for path in self._home(place).glob("[0-9]*") if path.name.isdigit())


def open_save(folder: Path, place: Place) -> Generator[int, None, Track]:
    """The way to one save; see `Saves.load`."""
    point, header = unpack((folder / LINE).read_bytes(), str(folder / LINE))
    saved = Identity.from_json(header)
    if not saved.same_world(place.identity):
        raise ValueError(f"{folder} is a save of {saved}, and this is {place.identity}.")
    return _go(folder, place, point)


def _go(folder: Path, place: Place, point: Point) -> Generator[int, None, Track]:
    moves = Moves(point.lead_in)
    if (folder / STATE).exists() and place.saves_state:
        frame = place.load(folder / STATE)
    else:
        frame = yield from _walk(place, point.start, moves)
    if not np.array_equal(frame, point.frame):
        raise ValueError(f"{folder} did not lead to the frame that was saved: it cannot be loaded.")
    return Track(place, point.start, Outcome(frame=point.frame, pose=point.pose), moves)


def _walk(place: Place, start: Start, moves: Moves) -> Generator[int, None, np.ndarray]:
    outcome = place.reset(start)
    for left, move in zip(range(len(moves) - 1, -1, -1), moves, strict=True):
        outcome = place.step(move)
        yield left
    return outcome.frame


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
