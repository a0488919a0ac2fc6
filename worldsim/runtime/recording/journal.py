"""An append-only file of records that survives kill -9 at any moment.

    magic, then for each record: length (uint32), CRC-32 of the payload (uint32), payload

A record is written by one write; a reader takes every whole record up to the first that is not.
While a journal is being written its file is locked, so that nobody else takes it for a left-over.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAGIC = b"worldsim journal 2\n"
_HEAD = struct.Struct("<II")
_MOST = 1 << 30


class Journal:
    """A journal that is being written.

    Args:
        path: a file that does not exist yet.

    Raises:
        OSError: it exists, or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
        self._size = 0
        try:
            _lock(self._file)
            self._write(MAGIC)
        except OSError:
            os.close(self._file)
            path.unlink(missing_ok=True)
            raise

    def append(self, payload: bytes) -> None:
        """Write one record; after an error the file holds the records before it, whole.

        Raises:
            OSError: the disk is full, or the file went away.
        """
        self._write(_HEAD.pack(len(payload), zlib.crc32(payload)) + payload)

    def sync(self) -> None:
        """Bring it to the disk."""
        os.fsync(self._file)

    def close(self) -> None:
        """Unlock it."""
        os.close(self._file)

    def _write(self, data: bytes) -> None:
        try:
            written = os.write(self._file, data)
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        self._size += len(data)


def read_journal(path: Path) -> Iterator[bytes]:
    """The whole records of a journal, in order; a torn or damaged end is left out.

    Raises:
        ValueError: it is no journal.
    """
    with open(path, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError(f"{path} is not a journal of a recording.")
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, checksum = _HEAD.unpack(head)
            payload = file.read(length) if length <= _MOST else b""
            if len(payload) < length or zlib.crc32(payload) != checksum:
                return
            yield payload


def is_journal(path: Path) -> bool:
    """Whether a file begins as a journal does."""
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


@contextmanager
def claim_journal(path: Path) -> Iterator[bool]:
    """Lock a left-over journal while it is dealt with.

    Yields:
        Whether it is ours: False while a living process writes it, or once it is gone.
    """
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _try_lock(file) and path.exists()
    finally:
        os.close(file)


def _try_lock(file: int) -> bool:
    try:
        _lock(file)
    except OSError:
        return False
    return True


def _lock(file: int) -> None:
    """Lock a file until it is closed; the kernel lets go of it when the process dies."""
    try:
        import fcntl
    except ImportError:  # Windows refuses to delete an open file, which serves as well
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
