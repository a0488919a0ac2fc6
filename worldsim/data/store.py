"""Episodes on disk: one `.npz` file each, in the folder of their split.

Layout: `<data>/<split>/<name>.npz`, e.g. `data/maze/train/0000000017.npz` for seed 17; an
EpisodeStore is opened on a split's folder. A file is a plain zip of numpy arrays (numpy.load reads
it), deflated at level 1, which is lossless and costs 0.2 ms a frame:

    frames   uint8   [T+1, H, W, 3]   RGB
    actions  int64   [T]              actions[t] led to frames[t + 1]
    rewards  float32 [T]
    poses    float32 [T+1, 3]         x, y in cells, heading in radians; absent where unknown
    meta     uint8   [n]              UTF-8 JSON of EpisodeMeta

A file appears whole or not at all: it is written beside its place under a name that starts with a
dot, flushed, and linked to its name, which never replaces another. Many processes may append to
one folder. What is read is not trusted: member names, types, shapes and sizes are checked before
a byte is unpacked.
"""

import dataclasses
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from worldsim.types import Episode, EpisodeMeta

MAX_BYTES = 2 << 30
"""The most an episode may unpack to: ten hours of 64 px at 7.5 Hz and more."""
_LEVEL = 1
_MEMBERS = {"frames": "|u1", "actions": "<i8", "rewards": "<f4", "poses": "<f4", "meta": "|u1"}
_OPTIONAL = {"poses"}
_JSON_BYTES = 1 << 20


class EpisodeStore:
    """The episodes of one folder, in order of their names; append-only.

    Reading is lazy: the folder is listed when the store is opened and on `refresh`, a file is read
    when it is indexed, and nothing is kept.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        """Open a folder; it is made by the first append.

        Raises:
            ValueError: the path is a file, or a folder of splits and no split itself.
        """
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"episode folder {self.folder} is a file.")
        self.refresh()
        splits = sorted(path.parent.name for path in self.folder.glob("[!.]*/[!.]*.npz"))
        if splits and not self._names:
            raise ValueError(
                f"{self.folder} holds splits ({', '.join(dict.fromkeys(splits))}): "
                f"open one of them, e.g. {self.folder / splits[0]}."
            )

    def refresh(self) -> None:
        """List the folder again, to see what others have appended."""
        self._names = sorted(path.name for path in self.folder.glob("[!.]*.npz"))

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Episode:
        """Read an episode.

        Raises:
            IndexError: no such episode.
            ValueError: the file is damaged or not an episode.
        """
        return read_episode(self.folder / self._names[index])

    def __iter__(self) -> Iterator[Episode]:
        return (self[index] for index in range(len(self)))

    def paths(self) -> list[Path]:
        """The files, in the order of their episodes."""
        return [self.folder / name for name in self._names]

    def meta(self, index: int) -> EpisodeMeta:
        """Where an episode came from, without reading its frames."""
        path = self.folder / self._names[index]
        with _open(path) as archive:
            return _parse_meta(path, _member(path, archive, "meta"))

    def seeds(self) -> set[int]:
        """The seeds that are here already, told from the file names."""
        stems = (name.removesuffix(".npz").split("-")[0] for name in self._names)
        return {int(stem) for stem in stems if stem.isascii() and stem.isdigit()}

    def append(self, episode: Episode, name: str | None = None) -> Path:
        """Write an episode to a new file.

        Args:
            episode: what to write.
            name: the file's name without `.npz`; None takes the seed, or `episode` where there is
                none. A name that is taken gets `-1`, `-2`...

        Returns:
            The path of the file.

        Raises:
            ValueError: a name that would leave the folder.
            OSError: the disk is full or not writable; nothing is left behind.
        """
        seed = episode.meta.seed
        stem = name or ("episode" if seed is None else f"{seed:010d}")
        if stem != Path(stem).name or stem.startswith(".") or "\\" in stem or "\0" in stem:
            raise ValueError(f"episode name {stem!r} would leave or hide in {self.folder}.")
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(prefix=".writing-", suffix=".tmp", dir=self.folder)
        try:
            with os.fdopen(handle, "wb") as file:
                _write(file, episode)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(scratch, 0o644)  # mkstemp's files are private
            path = _claim(self.folder, stem, scratch)
        finally:
            Path(scratch).unlink(missing_ok=True)
        self.refresh()
        return path


def read_episode(path: str | os.PathLike) -> Episode:
    """Read one episode file.

    Raises:
        ValueError: the file is missing, damaged, too large or not an episode; one sentence.
    """
    path = Path(path)
    with _open(path) as archive:
        present = _check_members(path, archive)
        arrays = {name: _member(path, archive, name) for name in present}
    meta = _parse_meta(path, arrays.pop("meta"))
    try:
        return Episode(**arrays, meta=meta)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _claim(folder: Path, stem: str, scratch: str) -> Path:
    """Give a finished file its name; a link fails where a rename would replace."""
    number = 0
    while True:
        path = folder / (f"{stem}-{number}.npz" if number else f"{stem}.npz")
        number += 1
        try:
            os.link(scratch, path)
        except FileExistsError:
            continue
        except OSError:  # a file system without hard links
            if path.exists():
                continue
            os.rename(scratch, path)
        _sync_folder(folder)
        return path


def _sync_folder(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(file: BinaryIO, episode: Episode) -> None:
    text = json.dumps(dataclasses.asdict(episode.meta), sort_keys=True)
    arrays = {name: getattr(episode, name) for name in _MEMBERS if name != "meta"}
    arrays["meta"] = np.frombuffer(text.encode(), dtype=np.uint8)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for name, array in arrays.items():
            if array is None:
                continue
            # a fixed date: the same episode is the same file
            member = zipfile.ZipInfo(f"{name}.npy")
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as out:
                np.lib.format.write_array(out, np.ascontiguousarray(array), allow_pickle=False)


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise ValueError(f"there is no episode file {path}.") from error
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ValueError(f"{path} is no readable episode file: {error}.") from error


def _check_members(path: Path, archive: zipfile.ZipFile) -> list[str]:
    names = [info.filename for info in archive.infolist()]
    known = {f"{name}.npy" for name in _MEMBERS}
    needed = known - {f"{name}.npy" for name in _OPTIONAL}
    if len(names) != len(set(names)) or not needed <= set(names) <= known:
        raise ValueError(f"{path} should hold {', '.join(_MEMBERS)}, it holds {', '.join(names)}.")
    if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
        raise ValueError(f"{path} would unpack to more than {MAX_BYTES >> 20} MiB.")
    return [name for name in _MEMBERS if f"{name}.npy" in names]


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Read one array, after its header was compared with its size."""
    try:
        size = archive.getinfo(f"{name}.npy").file_size
        with archive.open(f"{name}.npy") as file:
            shape = _header(file, name)
            count = int(np.prod(shape, dtype=object))
            dtype = np.dtype(_MEMBERS[name])
            limit = _JSON_BYTES if name == "meta" else MAX_BYTES
            if count * dtype.itemsize > min(size, limit):
                raise ValueError(f"the header of {name} claims {shape}, the member has {size} bytes")
            array = np.empty(shape, dtype)
            if file.readinto(memoryview(array).cast("B")) != array.nbytes or file.read(1):
                raise ValueError(f"{name} has another size than its header says")
            return array
    except KeyError as error:
        raise ValueError(f"{path} has no {name}.") from error
    except (ValueError, EOFError, OSError, zlib.error, zipfile.BadZipFile, RuntimeError) as error:
        raise ValueError(f"{path} is damaged or no episode: {error}.") from error


def _header(file: BinaryIO, name: str) -> tuple[int, ...]:
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"{name} is in numpy format {version}, not (1, 0)")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.str != _MEMBERS[name] or fortran or any(n < 0 for n in shape):
        raise ValueError(f"{name} should be {_MEMBERS[name]} in C order, it is {dtype.str}")
    return shape


def _parse_meta(path: Path, raw: np.ndarray) -> EpisodeMeta:
    try:
        return EpisodeMeta(**json.loads(raw.tobytes()))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} has an unreadable meta: {error}.") from error
