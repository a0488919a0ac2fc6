"""Quick saves: files that survive the program, and belong to one world.

A save is a folder that appears whole or not at all: the line of play (start and moves) and, where
the world can write its state, the state. Without one the moves are made again from the start. A
newer one goes beside it before the older one goes, so that there is one at any moment. ::

    saves/<world>/00000003/line.npz           the quick save
    saves/<world>/00000003/state
    saves/<world>/00000003/picture.png        what was to be seen
    saves/<world>/slot-4/00000001/line.npz    slot 4, and so on
"""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from worldsim.data.picture import read_picture
from worldsim.paths import check_name, path_below, to_name
from worldsim.reading import read_bytes, reading
from worldsim.runtime.core.moves import MOST_BYTES, Moves, Point, Start, pack, unpack
from worldsim.runtime.core.playable_env import Identity, Outcome, PlayableEnv
from worldsim.runtime.core.track import Track
from worldsim.told import tell

LINE, STATE, PICTURE = "line.npz", "state", "picture.png"
SLOTS = range(1, 10)
NO_FOLDER = tell("There is no folder for quick saves.")
MOST_DIGITS = 18


class NoSaves:
    """Nowhere to save to."""

    def save(self, track: Track, slot: int = 0) -> Path:
        """Refuse."""
        raise ValueError(NO_FOLDER)

    def load(self, place: PlayableEnv, slot: int = 0) -> Generator[int, None, Track]:
        """Refuse."""
        raise ValueError(NO_FOLDER)

    def save_points(self, place: PlayableEnv) -> Path:
        """Refuse."""
        raise ValueError(NO_FOLDER)

    def pictures(self, place: PlayableEnv) -> dict[int, np.ndarray]:
        """None."""
        return {}


class Saves:
    """Quick saves of any world in one folder.

    Args:
        folder: made when the first save is written.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    def save(self, track: Track, slot: int = 0) -> Path:
        """Write where the track is now; the newest save is the one that is loaded.

        Args:
            track: what to save.
            slot: 1 to 9; 0 for the quick save.

        Returns:
            The folder of the save.

        Raises:
            OSError: the disk is full or the folder cannot be written.
        """
        place = track.place
        home = self._find_home(place, slot)
        home.mkdir(parents=True, exist_ok=True)
        older, number = _list_complete(home), _find_free_number(home)
        temporary = Path(tempfile.mkdtemp(prefix=".save-", dir=home))
        try:
            (temporary / LINE).write_bytes(pack(track.point(), place.identity.as_json()))
            (temporary / PICTURE).write_bytes(_encode_png(track.frame))
            if place.saves_state:
                place.save(temporary / STATE)
            _sync(temporary)
            target = home / f"{number:08d}"
            os.rename(temporary, target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        for folder in older:
            _remove(folder)
        return target

    def load(self, place: PlayableEnv, slot: int = 0) -> Generator[int, None, Track]:
        """The way to the newest save; it is looked at now, and gone when it is iterated.

        Args:
            place: where to go.
            slot: 1 to 9; 0 for the quick save.

        Returns:
            Yields how many moves are left to be made again (nothing where the state was written),
            and returns the track as it was.

        Raises:
            ValueError: there is none, it is another world's, or it is damaged.
        """
        found = _list_complete(self._find_home(place, slot))
        if not found and slot:
            raise ValueError(tell("Slot {slot} is empty: Ctrl+{slot} saves in it.", slot=slot))
        if not found:
            raise ValueError(
                tell("There is no quick save of {world} yet: F5 makes one.", world=place.identity)
            )
        return open_save(found[-1], place)

    def save_points(self, place: PlayableEnv) -> Path:
        """Write what a dream remembers of space, beside the quick saves; earlier files stay.

        Returns:
            The PLY file.

        Raises:
            ValueError: the world has no memory in space.
            OSError: the disk is full or the folder cannot be written.
        """
        home = self._find_home(place, 0)
        home.mkdir(parents=True, exist_ok=True)
        number = 1
        while (path := home / f"points-{number}.ply").exists():
            number += 1
        place.save_points(path)
        return path

    def pictures(self, place: PlayableEnv) -> dict[int, np.ndarray]:
        """What was to be seen in each slot that is not empty: uint8 `[H,W,3]` by slot."""
        newest = {slot: _list_complete(self._find_home(place, slot))[-1:] for slot in SLOTS}
        found = {slot: _read_picture(way[0] / PICTURE) for slot, way in newest.items() if way}
        return {slot: image for slot, image in found.items() if image is not None}

    def _find_home(self, place: PlayableEnv, slot: int) -> Path:
        assert slot == 0 or slot in SLOTS
        identity = place.identity
        name = check_name(identity.world, "a world's name") if identity.world else ""
        parts = [name or to_name(identity.environment), *([f"slot-{slot}"] if slot else [])]
        return path_below(self._folder, *parts)


def _list_saves(home: Path) -> list[Path]:
    found = [path for path in home.glob("[0-9]*") if _is_number(path.name)]
    return sorted(found, key=lambda path: int(path.name))


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) <= MOST_DIGITS


def _list_complete(home: Path) -> list[Path]:
    """The saves, oldest first; what else has a number for a name is left alone."""
    return [path for path in _list_saves(home) if (path / LINE).is_file() and not path.is_symlink()]


def _find_free_number(home: Path) -> int:
    numbered = _list_saves(home)
    return int(numbered[-1].name) + 1 if numbered else 1


def _remove(folder: Path) -> None:
    """Remove a save's own files, and the folder if nothing else is in it."""
    with suppress(OSError):
        for name in (STATE, PICTURE, LINE):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


def _read_picture(path: Path) -> np.ndarray | None:
    with suppress(OSError, ValueError):  # ours are small
        return read_picture(path)
    return None


def _encode_png(frame: np.ndarray) -> bytes:
    return cv2.imencode(".png", np.ascontiguousarray(frame[..., ::-1]))[1].tobytes()


def open_save(folder: Path, place: PlayableEnv) -> Generator[int, None, Track]:
    """The way to one save; see `Saves.load`."""
    with reading(folder, "save that can be loaded"):
        point, header = unpack(read_bytes(folder / LINE, MOST_BYTES), str(folder / LINE))
        saved = Identity.from_json(header)
    if not saved.is_same_world(place.identity):
        raise ValueError(
            tell(
                "{folder} is a save of {saved}, and this is {world}.",
                folder=folder,
                saved=saved,
                world=place.identity,
            )
        )
    return _go(folder, place, point)


def _go(folder: Path, place: PlayableEnv, point: Point) -> Generator[int, None, Track]:
    moves = point.moves
    if (folder / STATE).exists() and place.saves_state:
        frame = place.load(folder / STATE)
    else:
        frame = yield from _walk(place, point.start, moves)
    if not np.array_equal(frame, point.frame):
        raise ValueError(
            tell(
                "{folder} did not lead to the frame that was saved: it cannot be loaded.",
                folder=folder,
            )
        )
    return Track(place, point.start, Outcome(frame=point.frame, pose=point.pose), moves)


def _walk(place: PlayableEnv, start: Start, moves: Moves) -> Generator[int, None, np.ndarray]:
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
