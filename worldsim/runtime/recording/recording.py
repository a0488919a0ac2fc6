"""A recording on disk: what is in its folder, how one is made from a journal, how one is read.

    recordings/<name>/episode.npz   frames, actions, rewards, poses, controls: an Episode, training
                                    data as is
    recordings/<name>/start.zip     numpy arrays: the context or seed it began from, and the moves
                                    between that start and its first frame
    recordings/<name>/meta.json     world, seed, sampler steps, versions, a hash for every frame
    recordings/<name>/preview.webp  to look at; lossy, and nothing reads it
    recordings/<name>.journal       a recording that is being made, or that was cut short
    recordings/<name>.journal.bad   one that could not be finished, set aside: `worldsim replay` on
                                    it tries again and says why

A folder appears whole or not at all. Each recording is one straight line of play, so that it can
be made again from its start, bit for bit.
"""

import hashlib
import json
import math
import os
import platform
import re
import shutil
import struct
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from worldsim.controls import NO_CONTROL
from worldsim.data.npz import MAX_BYTES
from worldsim.data.store import EpisodeStore, read_episode
from worldsim.reading import (
    ReadError,
    check_number,
    check_text,
    read_bytes,
    read_json,
    reading,
    short_path,
)
from worldsim.runtime.core.moves import (
    MOST_BYTES,
    NO_NOISE,
    Move,
    Moves,
    Point,
    Step,
    read_control,
    unpack,
)
from worldsim.runtime.core.playable_env import Identity
from worldsim.runtime.recording.journal import MAGIC, claim_journal, is_journal, read_journal
from worldsim.types import Episode, EpisodeMeta

EPISODE, START, META, JOURNAL = "episode.npz", "start.zip", "meta.json", ".journal"
MOST_THREADS = 1024
BAD, TRIES, MOST_TRIES = ".bad", ".tries", 2
SCRATCH = {EPISODE, START, META, "preview.webp"}
PREVIEW, PREVIEW_QUALITY, PREVIEW_FRAMES = "preview.webp", 80, 256
_STAMP = re.compile(r"-(\d{8}-\d{6})-(\d+)$")  # record.py ends names so
_CUT_SHORT = {"ended": "cut short", "recovered": True, "dropped": 0, "terminated": False}
_STEP = struct.Struct("<iiif?3f")  # the move, reward, whether there is a pose, the pose
_CONTROL = np.dtype("<f4")  # two of them end the record of a continuous action


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A recording that was read.

    Attributes:
        episode: frames and actions.
        point: where it began, and the way there.
        steps: int `[T]`, sampler steps of each frame.
        noise: int `[T]`, the noise each frame is remembered with, in per cent.
        identity: the world.
        hashes: sha256 of each frame.
        fps: its pace.
        threads: how many threads the network ran on; None where there was none.
        name: what to call it.
    """

    episode: Episode
    point: Point
    steps: np.ndarray
    noise: np.ndarray
    identity: Identity
    hashes: tuple[str, ...]
    fps: float
    threads: int | None
    name: str

    @cached_property
    def moves(self) -> list[Move]:
        """The moves that led from the first frame to the last."""
        columns = np.stack((self.episode.actions, self.steps, self.noise), axis=1)
        return list(Moves(columns, self.episode.controls))


def hash_frame(frame: np.ndarray) -> str:
    """The sha256 of a frame's pixels."""
    return hashlib.sha256(np.ascontiguousarray(frame).data).hexdigest()


def pack_step(step: Step) -> bytes:
    """A step as a journal's record."""
    pose = (0.0, 0.0, 0.0) if step.pose is None else map(float, step.pose)
    head = _STEP.pack(*step.move[:3], step.reward, step.pose is not None, *pose)
    control = () if step.move.control is None else step.move.control
    pixels = zlib.compress(np.ascontiguousarray(step.frame).data, 1)
    return head + pixels + np.array(control, _CONTROL).tobytes()


@dataclass(frozen=True, kw_only=True)
class _Row:
    move: Move
    reward: float
    pose: np.ndarray | None
    frame: np.ndarray


def _unpack_step(data: bytes, shape: tuple[int, ...]) -> _Row:
    action, steps, noise, reward, posed = (found := _STEP.unpack_from(data))[:5]
    size = math.prod(shape)
    unpacker = zlib.decompressobj()
    pixels = unpacker.decompress(data[_STEP.size :], size)  # no more than a frame, whatever it says
    if len(pixels) != size or unpacker.decompress(unpacker.unconsumed_tail, 1):
        raise ValueError(f"a step holds another frame than {list(shape)}")
    frame = np.frombuffer(pixels, np.uint8).reshape(shape)
    return _Row(
        move=Move(action, steps, noise, _unpack_control(unpacker.unused_data)),
        reward=reward,
        pose=np.array(found[5:], np.float32) if posed else None,
        frame=frame,
    )


def _unpack_control(data: bytes) -> tuple[float, float] | None:
    if not data:
        return None
    if len(data) != 2 * _CONTROL.itemsize:
        raise ValueError(f"a step's control must be 8 bytes, got {len(data)}")
    return read_control(np.frombuffer(data, _CONTROL))


def finish(journal: Path, facts: dict[str, Any]) -> Path | None:
    """Make a recording's folder from its journal, and remove the journal.

    Args:
        journal: nobody writes to it any more.
        facts: what else to keep in the meta, e.g. why it ended; JSON values only.

    Returns:
        The folder; None where not a single step was recorded, and nothing is kept.

    Raises:
        OSError: the disk is full; the journal stays.
        ValueError: it is no journal.
    """
    folder = journal.with_name(journal.name.removesuffix(BAD)).with_suffix("")
    if (folder / META).exists():  # the last thing that failed was removing the journal
        journal.unlink(missing_ok=True)
        return folder
    records = read_journal(journal)
    first = next(records, None)
    if first is None and journal.stat().st_size > len(MAGIC):
        raise ValueError(f"{journal} is damaged: its first record cannot be read.")
    if first is None:
        journal.unlink(missing_ok=True)
        return None
    point, header = unpack(first, str(journal))
    with reading(journal, "journal that can be finished", "keep it, the part before is lost"):
        _check_header(header)
        rows = _unpack_steps(records, point.frame.shape)
        header |= facts
        episode = _build_episode(point, header, rows) if rows else None
    if episode is not None:
        _write_folder(folder, first, episode, rows, header)
    journal.unlink(missing_ok=True)
    return folder if rows else None


def _unpack_steps(records: Iterator[bytes], shape: tuple[int, ...]) -> list[_Row]:
    rows: list[_Row] = []
    most = MAX_BYTES // math.prod(shape)
    for record in records:
        if len(rows) == most:
            raise ValueError(f"it holds more than {MAX_BYTES >> 20} MiB of frames")
        rows.append(_unpack_step(record, shape))
    return rows


def _check_header(header: dict[str, Any]) -> None:
    """What the meta and the episode take from a journal's header, or from a meta."""
    check_number(header["fps"], "fps", 1e-3, 1e6)
    check_text(header["environment"], "environment", 200)
    check_text(header["action_set"], "action_set", 200)
    Identity.from_json(header)


def _build_episode(point: Point, header: dict[str, Any], rows: list[_Row]) -> Episode:
    poses = [point.pose, *(row.pose for row in rows)]
    known = all(pose is not None for pose in poses)
    return Episode(
        frames=np.stack([point.frame, *(row.frame for row in rows)]),
        actions=np.array([row.move.action for row in rows], np.int64),
        rewards=np.array([row.reward for row in rows], np.float32),
        poses=np.stack(poses).astype(np.float32) if known else None,
        controls=_stack_controls(rows),
        meta=EpisodeMeta(
            source=header["environment"],
            action_set=header["action_set"],
            fps=header["fps"],
            seed=point.start.seed,
            world=header["world"],
            world_hash=header["world_hash"],
            terminated=header["terminated"],
        ),
    )


def _stack_controls(rows: list[_Row]) -> np.ndarray | None:
    told = [row.move.control for row in rows]
    if not any(told):
        return None
    return np.array([control or NO_CONTROL for control in told], np.float32)


def _write_folder(
    folder: Path, start: bytes, episode: Episode, rows: list[_Row], header: dict[str, Any]
) -> None:
    meta = header | {
        "frames": len(episode.frames),
        "steps": [row.move.steps for row in rows],
        "context_noise": [row.move.noise for row in rows],
        "sha256": [hash_frame(frame) for frame in episode.frames],
    }
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        EpisodeStore(temporary).append(episode, name=Path(EPISODE).stem)
        (temporary / START).write_bytes(start)
        lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in meta.items())
        (temporary / META).write_text("{" + ",\n ".join(lines) + "}\n", encoding="utf-8")
        for name in (START, META):
            with open(temporary / name, "rb+") as file:
                os.fsync(file.fileno())
        _write_preview(temporary / PREVIEW, episode)
        temporary.chmod(0o755)
        os.rename(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _write_preview(path: Path, episode: Episode) -> None:
    """For file managers and browsers, in fewer frames where there are many: leaving must not wait
    for it. A recording without one is whole too.
    """
    every = -(-len(episode.frames) // PREVIEW_FRAMES)
    animation = cv2.Animation()
    animation.frames = [np.ascontiguousarray(f[..., ::-1]) for f in episode.frames[::every]]
    animation.durations = [round(1000 * every / episode.meta.fps)] * len(animation.frames)
    quality = [cv2.IMWRITE_WEBP_QUALITY, PREVIEW_QUALITY]
    with suppress(OSError, cv2.error):
        good, data = cv2.imencodeanimation(".webp", animation, quality)
        if good:  # OpenCV must not see the path: it may be no UTF-8
            path.write_bytes(data.tobytes())


class Recovered(NamedTuple):
    """What came of the recordings that a crash cut short: the folders that were made, and the
    journals that were set aside.
    """

    made: list[Path]
    aside: list[Path]


def recover(folder: Path) -> Recovered:
    """Finish the recordings that a crash cut short.

    A journal that is damaged, or that took the program down with it each time before, is set aside
    (`.journal.bad`), so that the next start does not try it again. Where the disk is full or may
    not be written to, it stays.

    Args:
        folder: where recordings are; need not exist.
    """
    found = Recovered([], [])
    with suppress(OSError):
        _clear_scratch(folder)
    for journal in sorted(folder.glob(f"*{JOURNAL}")):
        with suppress(OSError), claim_journal(journal) as ours:
            if ours and is_journal(journal):
                _recover_one(journal, found)
    return found


def _clear_scratch(folder: Path) -> None:
    """Remove the half-made folders of programs that were killed while they finished a recording:
    their journals are there, and make them again. One whose journal is locked is being made.
    """
    for scratch in folder.glob(".*-*"):
        name = scratch.name[1:].rpartition("-")[0]
        journal = folder / f"{name}{JOURNAL}"
        if not _STAMP.search(name) or scratch.is_symlink() or not scratch.is_dir():
            continue
        if not _only_ours(scratch):
            continue
        with claim_journal(journal) as ours:
            if ours or not journal.exists():
                shutil.rmtree(scratch, ignore_errors=True)


def _only_ours(scratch: Path) -> bool:
    """Whether nothing lies there but our own files, finished or not."""
    names = {path.name for path in scratch.iterdir()} - SCRATCH
    return all(name.startswith(".writing-") and name.endswith(".tmp") for name in names)


def _recover_one(journal: Path, found: Recovered) -> None:
    tries = journal.with_name(f".{journal.name}{TRIES}")
    try:
        if _count_try(tries) > MOST_TRIES:
            raise ValueError("the program ended each time while it was being finished")
        made = finish(journal, _CUT_SHORT)
    except OSError:
        tries.unlink(missing_ok=True)
        raise
    except Exception:  # whatever is wrong with it, the journals after it are finished
        found.aside.append(journal.rename(journal.with_name(journal.name + BAD)))
    else:
        found.made.extend([made] if made else [])
    tries.unlink(missing_ok=True)


def _count_try(tries: Path) -> int:
    """How often a journal was tried, this time included; on the disk before it is tried."""
    with open(tries, "ab") as file:
        file.write(b".")
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def read_recording(folder: Path) -> Recording:
    """Read a recording's folder, or finish and read a journal that was left over.

    Raises:
        ValueError: it is none, or is damaged.
    """
    if folder.name.endswith((JOURNAL, JOURNAL + BAD)):
        folder = _finish_left_over(folder)
    if not (folder / META).is_file():
        raise ValueError(f"{folder} is not a recording: {_describe_expected(folder)}")
    try:
        meta = read_json(folder / META, "meta of a recording")
        start = read_bytes(folder / START, MOST_BYTES)
        point, _ = unpack(start, str(folder / START))
        check_number(meta["fps"], "fps", 1e-3, 1e6)
        steps = np.array(meta["steps"], np.int64)
        noise = meta.get("context_noise", [NO_NOISE] * len(steps))  # older recordings have none
        recording = Recording(
            episode=read_episode(folder / EPISODE),
            point=point,
            steps=steps,
            noise=np.array(noise, np.int64),
            identity=Identity.from_json(meta),
            hashes=tuple(meta["sha256"]),
            fps=float(meta["fps"]),
            threads=_check_threads(meta["made_by"].get("threads")),
            name=folder.name,
        )
    except Exception as error:
        told = error if isinstance(error, ReadError) else repr(error)
        raise ReadError(f"the recording {short_path(folder)} is damaged: {told!s:.150}.") from error
    frames = len(recording.episode.frames)
    lengths = {len(recording.steps) + 1, len(recording.noise) + 1, len(recording.hashes)}
    names = [recording.steps.shape, recording.noise.shape]
    if lengths != {frames} or names != [(frames - 1,)] * 2:
        raise ValueError(f"the recording {folder} is damaged: its meta is about other frames.")
    return recording


def _check_threads(told: object) -> int | None:
    """A number of threads that may be asked for: libgomp ends the process over a huge one."""
    return None if told is None else check_number(told, "threads", 1, MOST_THREADS, whole=True)


def _finish_left_over(journal: Path) -> Path:
    if not journal.is_file():
        raise ValueError(f"there is no journal {journal}.")
    with claim_journal(journal) as ours:
        if not ours:
            raise ValueError(f"{journal} is being recorded at this moment.")
        folder = finish(journal, _CUT_SHORT)
    if folder is None:
        raise ValueError(f"{journal} holds not a single step.")
    return folder


def _describe_expected(folder: Path) -> str:
    found = sorted(path.parent.name for path in folder.glob(f"*/{META}"))
    if found:
        return f"it holds {len(found)}, e.g. {folder / found[-1]}."
    journals = [*folder.glob(f"[!.]*{JOURNAL}"), *folder.glob(f"[!.]*{JOURNAL}{BAD}")]
    beside = folder.with_name(folder.name + JOURNAL)
    journal = beside if beside.is_file() else next(iter(sorted(journals)), None)
    if journal is not None:
        return f"it was cut short: `worldsim replay '{journal}' --headless` recovers it."
    return f"it must hold {EPISODE}, {START} and {META}."


def describe_versions() -> dict[str, Any]:
    """What made the frames: the versions, and the threads, that can change a picture's bits."""
    found: dict[str, Any] = {"python": platform.python_version()}
    for name in ("worldsim", "torch", "numpy", "gymnasium", "mujoco"):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    if "torch" in sys.modules:  # an engine needs none
        found["threads"] = sys.modules["torch"].get_num_threads()
    return found


def list_recordings(folder: Path) -> Iterator[Path]:
    """The recordings in a folder, oldest first: by the time in their names, which copies keep."""

    def made(path: Path) -> tuple[str, int, str]:
        stamp = _STAMP.search(path.name)
        return (stamp[1], int(stamp[2]), path.name) if stamp else ("", 0, path.name)

    return iter(sorted((path.parent for path in folder.glob(f"[!.]*/{META}")), key=made))
