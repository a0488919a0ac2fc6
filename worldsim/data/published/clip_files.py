"""The clips of a published data set on disk: found by a list or in a folder, and read.

Lists are FAR's JSON arrays, or lines of JSON: `{"video_path", "action_path"}`, `{"latent_path",
"action_path"}`, `{"video_path", "label"}` or a plain path; or UCF-101's own `trainlist01.txt`,
lines of `Class/video.avi 12`.
Folders are TECO's `<worker>/<i>.npz` or `<worker>/<i>.mp4` + `.npz`, UCF-101's `<Class>/<video>`
and BAIR's videos. What is read is not trusted: no pickle is opened, no path leaves the data's
folder, and damage is one sentence that names the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from worldsim.data.npz import read_arrays
from worldsim.data.published.formats import LABELS, Layout, shift_to_led, to_episode
from worldsim.data.video import read_video, video_length, video_rate
from worldsim.reading import ReadError, parse_json, read_text, reading, short_path
from worldsim.types import NULL_ACTION, Episode

VIDEOS = (".mp4", ".avi", ".mkv", ".webm")
_WHOLE = tuple(order + kind for order in "<>" for kind in ("i8", "i4", "i2", "u8", "u4", "u2"))
_ARRAYS = {"video": "|u1", "actions": (*_WHOLE, "|i1", "|u1", "|b1")}
_RATE_TOLERANCE = 0.02
_MOST_PATH, _MOST_PART = 4096, 255
_LATENT_BYTES = 2 << 30
_PATHS = ("video_path", "latent_path", "action_path")


@dataclass(frozen=True, kw_only=True)
class ClipFile:
    """One clip: where its frames (npz or video) or its latents (.pt) lie, and what goes with them.

    `actions` is an npz file, None where the frames' own file holds them or there are none.
    """

    name: str
    frames: Path | None = None
    latents: Path | None = None
    actions: Path | None = None
    label: int | None = None

    def read_frames(self, indices: Sequence[int] | None = None) -> np.ndarray:
        """Frames uint8 `[N,H,W,3]`, all or those of rising indices.

        Raises:
            ValueError: there are none, or the file is damaged.
        """
        if self.frames is None:
            raise ValueError(f"{self.latents} has no frames, only latents: give a list of videos.")
        if self.frames.suffix != ".npz":
            return read_video(self.frames, indices)
        video = _arrays(self.frames, "video")["video"]
        if video.ndim != 4 or video.shape[3] != 3:
            raise ValueError(
                f"{self.frames}: frames must be uint8 of shape TxHxWx3, got {video.shape}."
            )
        return video if indices is None else video[np.asarray(indices, np.int64)]

    def read_latents(self) -> Any:
        """The latents, a float32 tensor `[T,C,h,w]` as published: before any scaling.

        Raises:
            ValueError: the file is no tensor, or holds numbers that are not finite.
        """
        latents = _load_tensor(self.latents)
        if latents.ndim != 4 or not latents.is_floating_point() or not len(latents):
            raise ValueError(
                f"{self.latents} must hold latents [T,C,h,w], got {latents.dtype} of shape "
                f"{list(latents.shape)}."
            )
        if not bool(latents.isfinite().all()):
            raise ValueError(f"{self.latents} holds numbers that are not finite: encode it again.")
        return latents.float()

    def rate(self, layout: Layout) -> float:
        """Frames a second: the video's own where it tells another rate than the data set has."""
        if self.frames is None or self.frames.suffix == ".npz":
            return layout.fps
        told = video_rate(self.frames)
        near = told is None or abs(told / layout.fps - 1) <= _RATE_TOLERANCE
        return layout.fps if near else told

    def note(self, layout: Layout) -> str:
        """A sentence where its rate is not the data set's; empty where it is."""
        rate = self.rate(layout)
        if rate == layout.fps:
            return ""
        return (
            f"{self.frames} has {rate:.4g} frames a second, {layout.name} has {layout.fps:g}: "
            f"frames and actions are kept as they are, one after another"
        )

    def length(self) -> int:
        """The number of frames."""
        if self.frames is None:
            return len(self.read_latents())
        if self.frames.suffix == ".npz":
            return len(_arrays(self.frames, "actions")["actions"])
        return video_length(self.frames)

    def read_led(self, layout: Layout, length: int) -> np.ndarray:
        """The class that led to each of `length` frames and to the one after, int64 `[length+1]`.

        Raises:
            ValueError: missing or too few actions, or a label that the data set has not.
        """
        if layout.condition == "none":
            return np.full(length + 1, NULL_ACTION, np.int64)
        if layout.condition == "label":
            name = self.frames or self.latents
            if self.label is None or not 0 <= self.label < LABELS:
                raise ValueError(
                    f"{name}: its label must be in [0, {LABELS - 1}], got {self.label}"
                )
            return np.full(length + 1, self.label, np.int64)
        path = self.actions or self.frames
        if path is None or path.suffix != ".npz":
            raise ValueError(f"{self.frames or self.latents} has no actions beside it.")
        stored = _arrays(path, "actions")["actions"].astype(np.int64)
        try:
            return shift_to_led(layout, stored, length)
        except ValueError as error:
            raise ValueError(f"{path}: {error}.") from error

    def read_episode(self, layout: Layout) -> Episode:
        """The whole clip as an Episode.

        Raises:
            ValueError: the files are damaged, or are no such clip.
        """
        frames = self.read_frames()
        led = self.read_led(layout, len(frames))
        try:
            return to_episode(layout, frames, led, self.rate(layout))
        except ValueError as error:
            raise ValueError(f"{self.frames}: {error}.") from error


def _arrays(path: Path, wanted: str) -> dict[str, np.ndarray]:
    alone = wanted == "actions" and path.suffix == ".npz"
    optional = ("video",) if alone else ()
    return read_arrays(path, _ARRAYS, optional, only=(wanted,), others=alone)


def _load_tensor(path: Path) -> Any:
    import torch

    from worldsim.world.tensor_files import read_pickled

    if not path.is_file():
        raise ValueError(f"there is no file {path}.")
    if path.stat().st_size > _LATENT_BYTES:
        raise ValueError(
            f"{path} has more than {_LATENT_BYTES >> 20} MiB: a clip's latents have less."
        )
    found = read_pickled(path, "tensor that can be read without running code from it", "encode it")
    if not isinstance(found, torch.Tensor):
        raise ValueError(f"{path} must hold one tensor [T,C,h,w], got {type(found).__name__}.")
    return found


def find_clips(
    source: str | Path, layout: Layout, root: str | Path | None = None
) -> list[ClipFile]:
    """The clips of a published split.

    Args:
        source: a list (.json or .txt), or a folder.
        layout: which data set it is.
        root: the folder that a list's paths start from; None for the nearest folder above the
            list from which its first path leads to a file.

    Raises:
        ValueError: there are none, or the list is not as published.
    """
    source = Path(source)
    if not source.exists():
        raise ValueError(
            f"there is no {source}: give a split's folder, or a list of its clips (.json, .txt)."
        )
    if source.is_dir():
        clips = _find_in_folder(source, layout)
    elif source.suffix.lower() in (".json", ".jsonl"):
        with reading(source, "JSON list of clips"):
            clips = _read_json_list(source, layout, root)
    elif source.suffix.lower() == ".txt":
        with reading(source, "list of clips"):
            clips = _read_text_list(source, root)
    else:
        raise ValueError(f"{source} is neither a folder nor a .json or .txt list of clips.")
    if not clips:
        raise ValueError(f"{source} holds no clips of {layout.name}: is it the folder of a split?")
    return clips


# ---- folders ----


def _find_in_folder(folder: Path, layout: Layout) -> list[ClipFile]:
    if layout.name == "dmlab":
        return [
            ClipFile(name=f"dmlab-{path.parent.name}-{path.stem}", frames=path)
            for path in sorted(folder.glob("*/[!.]*.npz"))
        ]
    videos = sorted(
        path for path in folder.rglob("[!.]*") if path.suffix.lower() in VIDEOS and path.is_file()
    )
    labels = _number_labels(folder, videos) if layout.condition == "label" else {}
    return [
        ClipFile(
            name=_make_name(layout.name, path.relative_to(folder)),
            frames=path,
            actions=path.with_suffix(".npz") if layout.condition == "action" else None,
            label=labels.get(path.parent),
        )
        for path in videos
    ]


def _number_labels(folder: Path, videos: Sequence[Path]) -> dict[Path, int]:
    """A class folder's label: its place in UCF-101's order, by name whatever the case."""
    folders = sorted({path.parent for path in videos}, key=lambda path: path.name.lower())
    if folder in folders:
        raise ValueError(f"{folder} must hold <Class>/<video>, got videos outside class folders.")
    return {path: number for number, path in enumerate(folders)}


def _make_name(layout: str, path: Path) -> str:
    return "-".join((layout, *path.parent.parts, path.stem))


# ---- lists ----


def _read_json_list(source: Path, layout: Layout, root: str | Path | None) -> list[ClipFile]:
    rows = _parse_rows(source)
    root = Path(root) if root else _find_root(source, rows)
    clips = []
    for number, row in enumerate(rows):
        paths = {k: _resolve_inside(source, number, root, row[k]) for k in _PATHS if row.get(k)}
        frames, latents = paths.get("video_path"), paths.get("latent_path")
        if not (frames or latents):
            raise ValueError(
                f"{source}: entry {number} has neither a video_path nor a latent_path."
            )
        label = row.get("label")
        if label is not None and type(label) is not int:
            raise ValueError(f"{source}: the label of entry {number} is {label!r}, not a number.")
        clips.append(
            ClipFile(
                name=f"{layout.name}-{number:06d}",
                frames=frames,
                latents=latents,
                actions=paths.get("action_path") if layout.condition == "action" else None,
                label=label,
            )
        )
    return clips


def _parse_rows(source: Path) -> list[dict[str, Any]]:
    """The objects of a JSON array, or of JSON lines; a text alone is a video_path."""
    text = read_text(source)
    try:
        rows = parse_json(text)
    except ValueError:
        rows = _parse_json_lines(text)
    if isinstance(rows, dict) and any(name in rows for name in _PATHS):  # JSON lines, only one
        rows = [rows]
    if isinstance(rows, list):
        rows = [{"video_path": row} if isinstance(row, str) else row for row in rows]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{source} must be a JSON array of objects, one a clip.")
    return rows


def _parse_json_lines(text: str) -> list[Any]:
    lines = [line for line in text.splitlines() if line.strip()]
    rows = [parse_json(lines[0])] if lines else []  # what is no JSON at all is said of its start
    return rows + [parse_json(line) for line in lines[1:]]


def _find_root(source: Path, rows: list[dict[str, Any]]) -> Path:
    first = next((row[k] for row in rows[:1] for k in _PATHS if isinstance(row.get(k), str)), "")
    first = _use_slashes(_check_path(source, 0, first))
    folders = [source.absolute().parent, *source.absolute().parent.parents]
    return next((f for f in folders[:4] if first and (f / first).is_file()), folders[0])


def _resolve_inside(source: Path, number: int, root: Path, path: Any) -> Path:
    there = root / _check_path(source, number, path)
    if "\\" in path and not there.exists():
        there = root / _use_slashes(path)
    if not there.resolve().is_relative_to(root.resolve()):
        raise ValueError(
            f"{source}: entry {number} leads to {path}, outside of {root}: give the folder that "
            f"holds the data as its root."
        )
    return there


def _use_slashes(path: str) -> str:
    """A path written on Windows."""
    return path.replace("\\", "/")


def _check_path(source: Path, number: int, path: Any) -> str:
    good = isinstance(path, str) and "\0" not in path and len(path) <= _MOST_PATH
    if not good or any(len(part.encode()) > _MOST_PART for part in path.split("/")):
        raise ReadError(f"{short_path(source)}: entry {number} must have a path, got {path!r:.60}.")
    return path


def _read_text_list(source: Path, root: str | Path | None) -> list[ClipFile]:
    """UCF-101's own lists: a training list numbers its labels from 1, a test list names none and
    its folders' order does.
    """
    lines = [line.split() for line in read_text(source).split("\n")]
    rows = [line for line in lines if line]
    root = Path(root) if root else _find_root(source, [{"video_path": row[0]} for row in rows[:1]])
    folders = {path.parent.name for path in root.glob("*/*") if path.suffix in VIDEOS}
    order = {name: number for number, name in enumerate(sorted(folders, key=str.lower))}
    clips = []
    for number, (name, *label) in enumerate(rows):
        path = _resolve_inside(source, number, root, name)
        if label and not (label[0].isascii() and label[0].isdigit() and len(label[0]) < 9):
            raise ValueError(f"{source}: line {number + 1} must be `<Class>/<video> <label>`.")
        known = int(label[0]) - 1 if label else order.get(path.parent.name)
        if known is None:
            raise ValueError(f"{source}: {name} lies in no class folder of {root}.")
        clips.append(ClipFile(name=_make_name("ucf101", Path(name)), frames=path, label=known))
    return clips
