"""Episodes packed into a few large files: reading. pack.py writes them.

A packed folder takes the place of a split's folder of episode files:

    shard-000000.tar, shard-000001.tar...   plain POSIX tars of `<name>.npz`, uncompressed
    index.json                              where every episode lies

The npz files are what store.py wrote, byte for byte, so `tar -xf` gives them back, and libraries
for WebDataset's shards (`<key>.npz`) read them. The index has, of each shard, its size and SHA-256,
and of each of its episodes the name, where its bytes begin, how many they are, and its frames; so
one seek brings an episode. The index is not trusted: what it names must lie there.
"""

import io
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from worldsim.reading import ReadError, check_number, check_text, read_json, reading, short_path

INDEX, FORMAT = "index.json", "worldsim shards 1"
SHARD = re.compile(r"shard-\d{6}\.tar")
BLOCK = 512  # bytes of a tar's header
MOST_INDEX = 1 << 30  # bytes
MOST_NAME = 100  # bytes, what a tar's header holds
_BUFFER = 1 << 16
REPAIR = f"delete {INDEX} and pack again, shards that are there are kept"
AFRESH = f"copy it again, or delete it and {INDEX} and pack again"


class Member(NamedTuple):
    """An episode in a shard: its file's name, where its bytes begin, how many there are; frames."""

    name: str
    offset: int
    size: int
    frames: int


class Shard(NamedTuple):
    """A shard: the name and size of its file, its SHA-256 in hex, its episodes."""

    name: str
    size: int
    sha256: str
    members: tuple[Member, ...]


class PackedFolder:
    """The episodes of a packed folder by the names of their files.

    Raises:
        ReadError: the index is damaged, or a shard is missing or of another size.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shards = read_index(folder)
        for shard in shards:
            check_size(folder, shard)
        self._places = {member.name: (s, member) for s in shards for member in s.members}
        if len(self._places) != sum(len(shard.members) for shard in shards):
            raise ReadError(f"{short_path(folder / INDEX)} names an episode twice: {REPAIR}")

    def names(self) -> list[str]:
        """The names of the episodes' files, sorted."""
        return sorted(self._places)

    def member(self, name: str) -> Member:
        """What the index says of an episode."""
        return self._places[name][1]

    def path(self, name: str) -> Path:
        """Its shard and its name there, for a sentence."""
        return self.folder / self._places[name][0].name / name

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """An episode's file, of which only what is asked for is read.

        Raises:
            ReadError: the shard is missing, or something else lies in that place.
        """
        with self._open_member(name) as (file, member):
            yield io.BufferedReader(Section(file, member.offset, member.size), _BUFFER)

    def read(self, name: str) -> bytes:
        """An episode's file, read at once; raises as open."""
        with self._open_member(name) as (file, member):
            return file.read(member.size)  # not cut off one larger read: a copy takes longer

    @contextmanager
    def _open_member(self, name: str) -> Iterator[tuple[BinaryIO, Member]]:
        """An episode's shard, at the episode's first byte."""
        shard, member = self._places[name]
        with open_shard(self.folder / shard.name) as file:
            file.seek(member.offset - BLOCK)
            check_header(self.folder, shard, member, file.read(BLOCK))
            yield file, member


class Section(io.RawIOBase):
    """A part of an open file, as a file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place of the part."""
        self._at = (0, self._at, self._size)[whence] + offset
        if self._at < 0:
            raise ValueError(f"a place must be >= 0, got {self._at}")
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read up to the end of the part."""
        self._file.seek(self._start + self._at)
        data = self._file.read(max(min(len(buffer), self._size - self._at), 0))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def is_packed(folder: Path) -> bool:
    """Whether a folder holds shards and their index."""
    return (folder / INDEX).is_file()


def read_index(folder: Path) -> list[Shard]:
    """The shards that a folder's index names.

    Raises:
        ReadError: it is no index.
    """
    path, what = folder / INDEX, "index of shards"
    with reading(path, what, REPAIR):
        told = read_json(path, what, REPAIR, most=MOST_INDEX)
        if not isinstance(told, dict) or told.get("format") != FORMAT:
            raise ValueError(f"its format must be {FORMAT!r}")
        return [_parse_shard(shard) for shard in told["shards"]]


def _parse_shard(told: dict[str, Any]) -> Shard:
    if not SHARD.fullmatch(check_text(told["name"], "a shard's name", MOST_NAME)):
        raise ValueError(f"a shard's name must be like shard-000000.tar, got {told['name']!a}")
    size = check_number(told["bytes"], "a shard's bytes", 0, 2**50, whole=True)
    digest = check_text(told["sha256"], "a shard's sha256", 64)
    members = tuple(_parse_member(row, size) for row in told["episodes"])
    return Shard(told["name"], size, digest, members)


def _parse_member(row: list[Any], most: int) -> Member:
    name, offset, size, frames = row
    check_name(name)
    check_number(offset, "where an episode begins", BLOCK, most, whole=True)
    check_number(size, "an episode's bytes", 1, most - offset, whole=True)
    check_number(frames, "an episode's frames", 1, 2**40, whole=True)
    return Member(name, offset, size, frames)


def check_name(name: str) -> None:
    """Refuse the name of an episode's file that a shard cannot hold.

    Raises:
        ValueError: it is too long, would leave a folder, or is hidden there.
    """
    good = isinstance(name, str) and name.endswith(".npz") and not name.startswith(".")
    if not good or set(name) & set("/\\\0") or len(name.encode()) > MOST_NAME:
        raise ValueError(
            f"the name of an episode's file must end in .npz and have at most {MOST_NAME} bytes "
            f"and no slash, got {name!a:.120}"
        )


def check_size(folder: Path, shard: Shard) -> None:
    """Refuse a shard that is missing, or not as large as the index says.

    Raises:
        ReadError: it is.
    """
    path = folder / shard.name
    if not path.is_file():
        raise ReadError(
            f"{short_path(path)} is missing, with {len(shard.members)} episodes that {INDEX} "
            f"names: copy it again, or {REPAIR}"
        )
    size = path.stat().st_size
    if size != shard.size:
        raise ReadError(
            f"{short_path(path)} must have {shard.size} bytes as {INDEX} says, got {size}: {AFRESH}"
        )


def check_header(folder: Path, shard: Shard, member: Member, header: bytes) -> None:
    """Refuse an episode that does not lie where the index says.

    Raises:
        ReadError: its header in the tar is not there.
    """
    try:
        found = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        fits = (found.name, found.size) == (member.name, member.size)
    except (tarfile.HeaderError, UnicodeError):
        fits = False
    if not fits:
        raise ReadError(
            f"{short_path(folder / shard.name)} does not hold {member.name} at byte "
            f"{member.offset}, as {INDEX} says: {REPAIR}"
        )


def open_shard(path: Path) -> Any:
    """Open a shard unbuffered.

    Raises:
        ReadError: it is missing.
    """
    try:
        return open(path, "rb", buffering=0)
    except FileNotFoundError as error:
        raise ReadError(f"{short_path(path)} is missing: copy it again, or {REPAIR}") from error
