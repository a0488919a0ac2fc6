"""Zips of numpy arrays that are written whole or not at all, and read without trust.

Used for episodes and for the published clips. A file from elsewhere may be cut short, flipped, a
bomb, or lie in its headers: each is one sentence, and nothing larger than announced is unpacked.
"""

import math
import os
import struct
import tempfile
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from worldsim.reading import ReadError, short_path

MAX_BYTES = 2 << 30
"""The most one file may unpack to: 150,000 frames of 64 px."""
_LEVEL = 1
# as numpy writes them, and as small files are
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)
_MOST_DICTIONARY = 64 << 20  # bytes that unpacking a member by LZMA may hold at once
_MOST_MEMBERS = 10_000


Dtypes = Mapping[str, str | tuple[str, ...]]


def read_arrays(
    path: str | os.PathLike | IO[bytes],
    dtypes: Dtypes,
    optional: Collection[str] = (),
    only: Collection[str] | None = None,
    others: bool = False,
    most: int | None = None,
    called: str | os.PathLike | None = None,
) -> dict[str, np.ndarray]:
    """Read arrays from an npz file.

    Args:
        path: the file, or an open one.
        dtypes: name -> dtype, as `numpy.dtype.str`, of every array it may hold; several where any
            of them will do.
        optional: names that may be absent.
        only: the names to read; None reads all that are there.
        others: whether it may hold arrays of other names, which are not read.
        most: bytes that it may unpack to; None for MAX_BYTES.
        called: what a sentence calls it; None for its path.

    Returns:
        name -> C-ordered array.

    Raises:
        ValueError: the file is missing, damaged, too large, or holds something else.
    """
    source = called or (path if isinstance(path, str | os.PathLike) else "the archive")
    try:
        with zipfile.ZipFile(path) as archive:
            limit = MAX_BYTES if most is None else most
            present = _check_members(archive, dtypes, optional, others, limit)
            wanted = present if only is None else [name for name in present if name in only]
            return {name: _read_member(archive, name, dtypes[name]) for name in wanted}
    except FileNotFoundError as error:
        raise ReadError(f"there is no file {short_path(source)}.") from error
    except Exception as error:  # a header made to choke the parser raises anything
        text = " ".join(str(error).split()) or type(error).__name__
        raise ReadError(
            f"{short_path(source)} is damaged or of another form: {text:.120}."
        ) from error


def _check_members(
    archive: zipfile.ZipFile, dtypes: Dtypes, optional: Collection[str], others: bool, most: int
) -> list[str]:
    infos = archive.infolist()
    if len(infos) > _MOST_MEMBERS:
        raise ValueError(f"it holds {len(infos)} members")
    odd = [i for i in infos if i.compress_type not in _PACKED or not i.filename.endswith(".npy")]
    if odd and not others:
        raise ValueError(
            f"its member {odd[0].filename[:60]!a} must be an .npy that is stored, deflated or "
            f"packed by LZMA"
        )
    names = [info.filename.removesuffix(".npy") for info in infos]
    missing = set(dtypes) - set(optional) - set(names)
    surplus = set() if others else set(names) - set(dtypes)
    if len(names) != len(set(names)) or missing or surplus:
        raise ValueError(f"it must hold {', '.join(dtypes)}, got {', '.join(names)[:200]}")
    if sum(info.file_size for info in infos) > most:
        raise ValueError(f"it would unpack to more than {most >> 20} MiB")
    return [name for name in names if name in dtypes]


def _read_member(archive: zipfile.ZipFile, name: str, dtypes: str | tuple[str, ...]) -> np.ndarray:
    """Read one array, once its header has been compared with its size."""
    info = archive.getinfo(f"{name}.npy")
    size = info.file_size
    if info.compress_type not in _PACKED:
        raise ValueError(f"{name} must be stored, deflated or packed by LZMA")
    if info.compress_type == zipfile.ZIP_LZMA:
        _check_dictionary(archive, info)
    with archive.open(f"{name}.npy") as file:
        shape, dtype = _read_header(file, name, dtypes)
        if math.prod(shape) * np.dtype(dtype).itemsize > size:
            raise ValueError(f"the header of {name} claims {shape}, there are {size} bytes")
        array = np.empty(shape, dtype)
        filled = file.readinto(array.reshape(-1).view(np.uint8))
        if filled != array.nbytes or file.read(1):  # reading to the end checks the CRC
            raise ValueError(f"{name} has another size than its header says")
        return array


def _check_dictionary(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    """A member packed by LZMA begins with a version, the size of its properties, one byte of them,
    and the size of the dictionary, which the decoder allocates whatever the file holds.
    """
    file = archive.fp
    if file is None:
        raise ValueError("the archive is closed")
    back = file.tell()
    file.seek(info.header_offset + 26)
    name, extra = struct.unpack("<HH", file.read(4))
    file.seek(name + extra, os.SEEK_CUR)
    _, _, dictionary = struct.unpack("<IBI", file.read(9))
    file.seek(back)
    if dictionary > _MOST_DICTIONARY:
        raise ValueError(
            f"an LZMA dictionary must be at most {_MOST_DICTIONARY >> 20} MiB, "
            f"got {dictionary >> 20} MiB"
        )


def _read_header(
    file: BinaryIO, name: str, dtypes: str | tuple[str, ...]
) -> tuple[tuple[int, ...], str]:
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"{name} is in numpy format {version}, not (1, 0)")
    shape, fortran, found = np.lib.format.read_array_header_1_0(file)
    wanted = (dtypes,) if isinstance(dtypes, str) else dtypes
    if found.str not in wanted or fortran or any(type(n) is not int or n < 0 for n in shape):
        kinds = " or ".join(wanted)
        raise ValueError(f"{name} must be {kinds} in C order, got {found.str}")
    return shape, found.str


def write_arrays(
    folder: Path,
    stem: str,
    arrays: Mapping[str, np.ndarray],
    replace: bool = False,
    once: bool = False,
    small: bool = False,
) -> Path:
    """Write arrays to a new npz file in a folder, which is made if need be.

    The file is written under a name that starts with a dot, flushed, and then given its name, so
    that no reader ever sees a part of it.

    Args:
        folder: where.
        stem: the name without `.npz`; a name that is taken gets `-1`, `-2`...
        arrays: name -> array.
        replace: take the place of a file of that name instead.
        once: leave a file of that name, and write none.
        small: pack by LZMA: two thirds of the size, ten times the time.

    Returns:
        The path of the file.

    Raises:
        ValueError: the name would leave the folder.
        OSError: full disk, no permission; nothing is left behind.
    """
    if stem != Path(stem).name or not stem or stem.startswith(".") or set(stem) & set("\\\0"):
        raise ValueError(f"the name {stem!r} would leave or hide in {folder}.")
    scratch = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(prefix=".writing-", suffix=".tmp", dir=folder)
        with os.fdopen(handle, "wb") as file:
            _write(file, arrays, zipfile.ZIP_LZMA if small else zipfile.ZIP_DEFLATED)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(scratch, 0o644)  # mkstemp's files are private
        if replace:
            path = _rename(scratch, folder / f"{stem}.npz")
        else:
            path = _claim(scratch, folder, stem, once)
        _sync_folder(folder)
        return path
    except OSError as error:  # a write knows no file name
        raise OSError(error.errno, error.strerror, str(folder / f"{stem}.npz")) from error
    finally:
        if scratch:
            Path(scratch).unlink(missing_ok=True)


def _write(file: BinaryIO, arrays: Mapping[str, np.ndarray], packed: int) -> None:
    with zipfile.ZipFile(file, "w", packed, compresslevel=_LEVEL) as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # its fixed date: same arrays, same file
            member.compress_type = packed
            with archive.open(member, "w", force_zip64=True) as out:
                np.lib.format.write_array(out, np.ascontiguousarray(array), allow_pickle=False)


def _rename(scratch: str, path: Path) -> Path:
    os.replace(scratch, path)
    return path


def _claim(scratch: str, folder: Path, stem: str, once: bool) -> Path:
    """Give a finished file the first free name; a link fails where a rename would replace. With
    `once` a file that has the name stays the only one.
    """
    number = 0
    while True:
        path = folder / (f"{stem}-{number}.npz" if number else f"{stem}.npz")
        number += 1
        try:
            os.link(scratch, path)
            return path
        except FileExistsError:
            if once:
                return path
        except OSError:  # a file system without hard links
            if not path.exists():
                return _rename(scratch, path)
            if once:
                return path


def _sync_folder(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
