"""Episodes on disk: one `.npz` file each, in the folder of their split.

Layout: `<data>/<split>/<name>.npz`, e.g. `data/maze/train/0000000017.npz` for seed 17; an
EpisodeStore is opened on a split's folder. A file is a plain zip of numpy arrays (numpy.load reads
it), deflated at level 1, which is lossless and costs 0.2 ms a frame:

    frames   uint8   [T+1, H, W, 3]   RGB
    actions  int64   [T]              actions[t] led to frames[t + 1]
    rewards  float32 [T]
    poses    float32 [T+1, 3]         x, y in cells, heading in radians; absent where unknown
    depths   float16 [T+1, h, w]      along the viewing axis, in cells; absent where unknown
    heights  float32 [T+1]            above the start, in cells; absent where unknown
    controls float32 [T, 2]           turn in degrees and stride of continuous actions, of which
                                      actions are the nearest, else NaN; absent where all are
    meta     uint8   [n]              UTF-8 JSON of EpisodeMeta

A file appears whole or not at all and never replaces another, so many processes may append to one
folder. A folder that `worldsim data pack` made (shards.py) is read in place of one of files, with
the same names in the same order, and not appended to. What is read is not trusted; see npz.py. ::

    store = EpisodeStore("data/maze/train")
    store.append(episode)
    episode = store[0]
"""

import dataclasses
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from worldsim.actions import load_actions
from worldsim.data.npz import read_arrays, write_arrays
from worldsim.data.shards import INDEX, PackedFolder, is_packed
from worldsim.reading import ReadError, check_number, check_text, parse_json, short_path
from worldsim.types import NULL_ACTION, Episode, EpisodeMeta

_OPTIONAL = {"poses": "<f4", "depths": "<f2", "heights": "<f4", "controls": "<f4"}
_ARRAYS = {"frames": "|u1", "actions": "<i8", "rewards": "<f4", **_OPTIONAL, "meta": "|u1"}
_MOST_META = 4 << 20
_MOST_ACTIONS = 1 << 16


class EpisodeStore:
    """The episodes of one folder, in order of their names; append-only.

    Reading is lazy: the folder is listed when the store is opened and on `refresh`, a file is read
    when it is indexed, and nothing is kept.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        """Open a folder; it is made by the first append.

        Raises:
            ValueError: the path is a file, a folder of splits and no split itself, or a packed
                folder that is damaged.
        """
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"the episode folder {self.folder} is a file.")
        self.refresh()
        files = (*self.folder.glob("[!.]*/[!.]*.npz"), *self.folder.glob(f"[!.]*/{INDEX}"))
        splits = sorted({path.parent.name for path in files})
        if splits and not self._names:
            raise ValueError(
                f"{self.folder} holds splits ({', '.join(splits)}): "
                f"open one of them, e.g. {self.folder / splits[0]}."
            )

    def refresh(self) -> None:
        """List the folder again, to see what others have appended."""
        self._names = sorted(path.name for path in self.folder.glob("[!.]*.npz"))
        self._packed = PackedFolder(self.folder) if is_packed(self.folder) else None
        if self._packed and self._names:
            raise ValueError(
                f"{self.folder} must hold shards or episode files, got both: move the files to "
                f"another folder, and pack that into this one."
            )
        if self._packed:
            self._names = self._packed.names()

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: str) -> bool:
        """Whether there is an episode of that name (without `.npz`)."""
        return f"{name}.npz" in self._names

    def __getitem__(self, index: int) -> Episode:
        """Read an episode.

        Raises:
            IndexError: no such episode.
            ValueError: the file is damaged or not an episode.
        """
        if self._packed is None:
            return read_episode(self.path(index))
        data = io.BytesIO(self._packed.read(self._names[index]))
        arrays = read_arrays(data, _ARRAYS, _OPTIONAL, called=self.path(index))
        return _to_episode(arrays, self.path(index))

    def __iter__(self) -> Iterator[Episode]:
        return (self[index] for index in range(len(self)))

    def names(self) -> list[str]:
        """The names of the episodes' files, in order; an index into them is one into the store."""
        return list(self._names)

    def sizes(self) -> list[int]:
        """The bytes of the episodes' files."""
        if self._packed is None:
            return [(self.folder / name).stat().st_size for name in self._names]
        return [self._packed.member(name).size for name in self._names]

    def path(self, index: int) -> Path:
        """Where an episode is: its file, or its shard and its name there, for a sentence."""
        name = self._names[index]
        return self.folder / name if self._packed is None else self._packed.path(name)

    def paths(self) -> list[Path]:
        """The files, in the order of their episodes.

        Raises:
            ValueError: they are packed.
        """
        if self._packed is not None:
            raise ValueError(f"{self.folder} must hold episode files, it is packed: unpack it.")
        return [self.folder / name for name in self._names]

    def read_bytes(self, index: int) -> bytes:
        """An episode's file as it is; raises as indexing does."""
        if self._packed is None:
            return self.path(index).read_bytes()
        return self._packed.read(self._names[index])

    def meta(self, index: int) -> EpisodeMeta:
        """Where an episode came from, without reading its frames."""
        return _parse_meta(self.path(index), self._read(index, "meta")["meta"])

    def length(self, index: int) -> int:
        """The number of frames of an episode, T + 1, without reading them."""
        if self._packed is not None:
            return self._packed.member(self._names[index]).frames
        return read_length(self.path(index))

    def outcome(self, index: int) -> tuple[np.ndarray, bool]:
        """Rewards float32 `[T]` of an episode and whether it was terminated, without its frames."""
        arrays = self._read(index, "rewards", "meta")
        return arrays["rewards"], _parse_meta(self.path(index), arrays["meta"]).terminated

    def _read(self, index: int, *only: str) -> dict[str, np.ndarray]:
        path = self.path(index)
        if self._packed is None:
            return read_arrays(path, _ARRAYS, _OPTIONAL, only)
        with self._packed.open(self._names[index]) as file:
            return read_arrays(file, _ARRAYS, _OPTIONAL, only, called=path)

    def seeds(self) -> set[int]:
        """The seeds that are here already, told from the file names."""
        stems = (name.removesuffix(".npz").split("-")[0] for name in self._names)
        return {int(stem) for stem in stems if stem.isascii() and stem.isdigit()}

    def check_writable(self) -> None:
        """Refuse to append to shards.

        Raises:
            ValueError: the folder is packed.
        """
        if self._packed is not None:
            raise ValueError(
                f"{self.folder} must hold episode files to be appended to, it is packed: give "
                f"another folder, and `worldsim data pack` it into this one."
            )

    def append(
        self, episode: Episode, name: str | None = None, once: bool = False, small: bool = False
    ) -> Path:
        """Write an episode to a new file.

        Args:
            episode: what to write.
            name: the file's name without `.npz`; None takes the seed, or `episode` where there is
                none. A name that is taken gets `-1`, `-2`...
            once: leave an episode of that name as it is, and write none: for work that may be done
                twice.
            small: spend time to make the file small: for what is shipped.

        Returns:
            The path of the file.

        Raises:
            ValueError: a name that would leave the folder, meta that is no JSON, or a packed
                folder.
            OSError: the disk is full or not writable; nothing is left behind.
        """
        self.check_writable()
        seed = episode.meta.seed
        stem = name or ("episode" if seed is None else f"{seed:010d}")
        path = write_arrays(self.folder, stem, _to_arrays(episode), once=once, small=small)
        self.refresh()
        return path


def read_episode(path: str | os.PathLike) -> Episode:
    """Read one episode file.

    Raises:
        ValueError: the file is missing, damaged, too large or not an episode; one sentence.
    """
    return _to_episode(read_arrays(path, _ARRAYS, _OPTIONAL), path)


def read_length(
    file: str | os.PathLike | IO[bytes], called: str | os.PathLike | None = None
) -> int:
    """The number of frames of an episode's file, T + 1, without reading them; raises as
    read_episode.
    """
    arrays = read_arrays(file, _ARRAYS, _OPTIONAL, only=("actions",), called=called)
    return len(arrays["actions"]) + 1


def _to_episode(arrays: dict[str, np.ndarray], path: str | os.PathLike) -> Episode:
    meta = _parse_meta(path, arrays.pop("meta"))
    try:
        episode = Episode(**arrays, meta=meta)
        _check_actions(episode)
        return episode
    except ValueError as error:
        raise ReadError(f"{short_path(path)}: {error}") from error


def _check_actions(episode: Episode) -> None:
    """Actions become indices: all must be of the set that the meta names, or none at all."""
    try:
        count = len(load_actions(episode.meta.action_set))
    except ValueError:  # another package's set, or a data set's labels
        count = _MOST_ACTIONS
    actions = episode.actions
    if len(actions) and not NULL_ACTION <= actions.min() <= actions.max() < count:
        odd = actions[(actions < NULL_ACTION) | (actions >= count)][0]
        raise ValueError(f"actions must be in [{NULL_ACTION}, {count - 1}], got {odd}")


def read_meta(path: str | os.PathLike) -> EpisodeMeta:
    """Where an episode's file came from, without reading its frames; raises as read_episode."""
    return _parse_meta(path, read_arrays(path, _ARRAYS, _OPTIONAL, only=("meta",))["meta"])


def _to_arrays(episode: Episode) -> dict[str, np.ndarray]:
    try:
        text = json.dumps(dataclasses.asdict(episode.meta), sort_keys=True, allow_nan=False)
    except TypeError as error:
        raise ValueError(f"the meta of an episode must be JSON values: {error}.") from error
    arrays = {name: getattr(episode, name) for name in _ARRAYS if name != "meta"}
    arrays["meta"] = np.frombuffer(text.encode(), dtype=np.uint8)
    return {name: array for name, array in arrays.items() if array is not None}


def _parse_meta(path: str | os.PathLike, raw: np.ndarray) -> EpisodeMeta:
    try:
        if raw.size > _MOST_META:
            raise ValueError(f"it has {raw.size} bytes")
        meta = EpisodeMeta(**parse_json(raw.tobytes()))
        _check_meta(meta)
        return meta
    except Exception as error:
        raise ReadError(f"{short_path(path)} has an unreadable meta: {error!s:.120}.") from error


def _check_meta(meta: EpisodeMeta) -> None:
    check_text(meta.source, "source", 200)
    check_text(meta.action_set, "action_set", 200)
    check_number(meta.fps, "fps", 1e-3, 1e6)
    for name, value in (("world", meta.world), ("world_hash", meta.world_hash)):
        if value is not None:
            check_text(value, name, 200)
    if meta.seed is not None:
        check_number(meta.seed, "seed", -(2**63), 2**64, whole=True)
    if not isinstance(meta.extra, dict) or not isinstance(meta.terminated, bool):
        raise ValueError("extra must be named values, and terminated true or false")
