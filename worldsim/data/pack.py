"""`worldsim data pack`, `unpack`, `check`: episode files into shards and back (shards.py).

A shard is written under another name and appears when it is whole; the index follows it. So a
packing that was killed goes on: a finished shard is never written again, one that the index does
not name yet is read for it. Packing again adds new episodes, as new shards.
"""

import functools
import io
import json
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from worldsim.atomic import atomic_write
from worldsim.data.shards import (
    AFRESH,
    FORMAT,
    INDEX,
    SHARD,
    Member,
    PackedFolder,
    Shard,
    check_name,
    check_size,
    is_packed,
    read_index,
)
from worldsim.data.store import EpisodeStore, read_length
from worldsim.data.video_folder import SPLITS
from worldsim.reading import ReadError, short_path
from worldsim.world.checkpoint import sha256

Say = Callable[[str], None]
STALE = 60  # seconds without a write, after which nobody is writing a file


def find_splits(source: Path, target: Path) -> list[tuple[EpisodeStore, Path]]:
    """The episodes of a folder, and where they go: those of a split, or those of all of its splits.

    Raises:
        ValueError: there are none, or the two folders are the same.
    """
    if not source.is_dir():
        raise ValueError(f"there is no folder {short_path(source)}.")
    if source.resolve() == target.resolve():
        raise ValueError(f"the target must be another folder than the source, got {target}.")
    splits = sorted(path for path in source.iterdir() if path.is_dir() and path.name[0] != ".")
    if any(source.glob("[!.]*.npz")) or is_packed(source):
        found = [(EpisodeStore(source), target)]
    else:
        found = [(EpisodeStore(path), target / path.name) for path in splits]
    found = [(store, path) for store, path in found if len(store)]
    if not found:
        raise ValueError(
            f"{short_path(source)} must hold episodes, or splits that hold them: "
            f"`worldsim collect` makes them."
        )
    return found


def pack(source: Path, target: Path, size: int, say: Say = print) -> Iterator[Shard]:
    """Pack a split, or all splits of a folder.

    Args:
        source: a split's folder, or one of splits.
        target: likewise; what is there is kept.
        size: bytes of episodes in a shard, at most, if it has more than one.
        say: is told of shards that were there.

    Yields:
        Each new shard.

    Raises:
        ValueError: no episodes, a damaged one, one that is in the target and is another there, or
            splits with a seed in common.
    """
    splits = find_splits(source, target)
    check_seeds(splits)
    for store, folder in splits:
        yield from pack_split(store, folder, size, say)


def check_seeds(splits: Sequence[tuple[EpisodeStore, Path]]) -> None:
    """Refuse splits with a seed in common, here or, for one that is called a split, beside it.

    Raises:
        ValueError: they have one.
    """
    seeds = {folder: store.seeds() for store, folder in splits}
    beside = [splits[0][1].with_name(name) for name in SPLITS if splits[0][1].name in SPLITS]
    for path in filter(is_packed, beside):
        seeds[path] = seeds.get(path, set()) | EpisodeStore(path).seeds()
    folders = sorted(seeds)
    for number, one in enumerate(folders):
        for other in folders[number + 1 :]:
            common = seeds[one] & seeds[other]
            if common:
                raise ValueError(
                    f"splits must have no seed in common, got {min(common)} in {one.name} and in "
                    f"{other.name}."
                )


def pack_split(store: EpisodeStore, folder: Path, size: int, say: Say) -> Iterator[Shard]:
    """Pack what a folder does not hold yet; raises as pack."""
    if any(folder.glob("[!.]*.npz")):
        raise ValueError(f"{short_path(folder)} must hold shards only, got episode files.")
    folder.mkdir(parents=True, exist_ok=True)
    clear_scratch(folder)
    shards = list_shards(folder, say)
    held = {member.name: member.size for shard in shards for member in shard.members}
    for name, there in zip(store.names(), store.sizes(), strict=True):
        check_name(name)
        if held.get(name, there) != there:
            raise ValueError(
                f"{name} has {there} bytes in {short_path(store.folder)} and {held[name]} in "
                f"{short_path(folder)}, where nothing is replaced: give another target."
            )
    missing = [i for i, name in enumerate(store.names()) if name not in held]
    first = 1 + max((int(shard.name[6:12]) for shard in shards), default=-1)
    for number, part in enumerate(divide(missing, store.sizes(), size), first):
        path = folder / f"shard-{number:06d}.tar"
        atomic_write(path, functools.partial(write_tar, store=store, numbers=part))
        shards.append(read_shard(path))
        write_index(folder, shards)
        yield shards[-1]


def divide(numbers: Sequence[int], sizes: Sequence[int], most: int) -> Iterator[list[int]]:
    """Runs of numbers whose sizes add up to at most so much, or of one that is larger."""
    part: list[int] = []
    total = 0
    for number in numbers:
        if part and total + sizes[number] > most:
            yield part
            part, total = [], 0
        part.append(number)
        total += sizes[number]
    if part:
        yield part


def write_tar(path: Path, store: EpisodeStore, numbers: Sequence[int]) -> None:
    """Write episodes' files as they are; the same ones give the same tar."""
    names = store.names()
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for number in numbers:
            data, info = store.read_bytes(number), tarfile.TarInfo(names[number])
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def list_shards(folder: Path, say: Say = print) -> list[Shard]:
    """The finished shards of a folder: those of its index, and those that came after it.

    Raises:
        ValueError: one is missing or damaged.
    """
    shards = read_index(folder) if is_packed(folder) else []
    for shard in shards:
        check_size(folder, shard)
    named = {shard.name for shard in shards}
    others = [path for path in sorted(folder.glob("shard-*.tar")) if path.name not in named]
    for path in others:
        if SHARD.fullmatch(path.name):
            shards.append(read_shard(path))
            say(f"{path}: kept, {len(shards[-1].members)} episodes")
    if others:
        write_index(folder, shards)
    return shards


def read_shard(path: Path) -> Shard:
    """What the index says of a shard, from the shard.

    Raises:
        ReadError: it is no tar of episodes.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            members = tar.getmembers()
            lengths = [_count_frames(tar, info, path) for info in members]
    except (tarfile.TarError, ValueError) as error:
        raise ReadError(
            f"{short_path(path)} must be a tar of episodes ({error!s:.100}): delete it and pack "
            f"again"
        ) from error
    told = tuple(
        Member(info.name, info.offset_data, info.size, frames)
        for info, frames in zip(members, lengths, strict=True)
    )
    return Shard(path.name, path.stat().st_size, sha256(path), told)


def _count_frames(tar: tarfile.TarFile, info: tarfile.TarInfo, path: Path) -> int:
    check_name(info.name)
    file = tar.extractfile(info)
    if file is None:
        raise ValueError(f"{info.name!a:.60} must be a file")
    return read_length(file, path / info.name)


def write_index(folder: Path, shards: Sequence[Shard]) -> None:
    """Replace the index."""
    told = [
        {"name": s.name, "bytes": s.size, "sha256": s.sha256, "episodes": s.members} for s in shards
    ]
    text = json.dumps({"format": FORMAT, "shards": told})
    atomic_write(folder / INDEX, lambda scratch: scratch.write_text(text, encoding="utf-8"))


def clear_scratch(folder: Path) -> None:
    """Remove what a killed packing left half-made; one that was written to lately is being made."""
    for scratch in folder.glob(".shard-*.tar"):
        with suppress(OSError):
            if time.time() - scratch.stat().st_mtime > STALE:
                scratch.unlink()


def check(folder: Path) -> Iterator[Shard]:
    """Read every shard of a packed folder, or of its splits, and compare its SHA-256.

    Yields:
        Each shard that is whole.

    Raises:
        ValueError: one is not, or nothing is packed there.
    """
    found = [folder] if is_packed(folder) else sorted(p.parent for p in folder.glob(f"*/{INDEX}"))
    if not found:
        raise ValueError(f"{short_path(folder)} must hold shards or splits of shards, got none.")
    for split in found:
        for shard in read_index(split):
            check_size(split, shard)
            check_digest(split, shard)
            yield shard


def check_digest(folder: Path, shard: Shard) -> None:
    """Refuse a shard whose bytes are not those that were packed.

    Raises:
        ReadError: they are others.
    """
    digest = sha256(folder / shard.name)
    if digest != shard.sha256:
        raise ReadError(
            f"{short_path(folder / shard.name)} is damaged: its SHA-256 must be "
            f"{shard.sha256[:12]}, got {digest[:12]}: {AFRESH}"
        )


def unpack(source: Path, target: Path) -> Iterator[Path]:
    """Write the episode files of a packed folder, or of its splits; files that are there are left.

    Yields:
        The path of each new file.

    Raises:
        ValueError: a shard is damaged, or nothing is packed there.
    """
    for _ in check(source):
        pass
    for store, folder in find_splits(source, target):
        packed = PackedFolder(store.folder)
        for name in packed.names():
            if not (folder / name).exists():
                _write_file(folder / name, packed.read(name))
                yield folder / name


def _write_file(path: Path, data: bytes) -> None:
    atomic_write(path, lambda scratch: scratch.write_bytes(data))
