"""Latents of published clips, encoded once and memory-mapped: what training reads.

A folder holds `latents.raw` (float16 `[N,C,h,w]`, scaled as the network sees them, all clips in a
row), `clips.jsonl` (a line for each: name, number of frames, the class that led to each frame and
to the one after) and `meta.json` (what was encoded, by what). While it is being made the folder is
called `<name>.partial`: a run that was stopped goes on with the next clip.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from worldsim.data.published.clip_files import ClipFile
from worldsim.data.published.formats import Layout
from worldsim.reading import parse_json, read_json, read_text, reading

RAW, CLIPS, META = "latents.raw", "clips.jsonl", "meta.json"
MOST_LIST = 1 << 30  # bytes
Encode = Callable[[ClipFile], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class PublishedLatents:
    """Read-only arrays: latents float16 `[N,C,h,w]`, and for each clip its bounds and `led`."""

    latents: np.ndarray
    bounds: np.ndarray
    led: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.led)

    def length(self, clip: int) -> int:
        """The number of frames of a clip."""
        return int(self.bounds[clip + 1] - self.bounds[clip])

    def read(self, clip: int, positions: np.ndarray) -> np.ndarray:
        """Latents float32 `[n,C,h,w]` of some of a clip's frames."""
        return np.asarray(self.latents[self.bounds[clip] + positions], np.float32)


def published_meta(
    clips: Sequence[ClipFile], layout: Layout, codec: str, shape: Sequence[int]
) -> dict[str, Any]:
    """What tells two encodings apart."""
    return {
        "layout": layout.name,
        "codec": codec,
        "shape": list(shape),
        "clips": [clip.name for clip in clips],
    }


def open_published_latents(folder: Path) -> PublishedLatents:
    """Map a finished folder.

    Raises:
        ValueError: it is none, or was changed.
    """
    with reading(
        folder,
        "folder of latents that can be read",
        "delete it, and `worldsim data latents` makes it again",
    ):
        shape = read_json(folder / META, "meta of latents")["shape"]
        rows = [parse_json(line) for line in read_text(folder / CLIPS, MOST_LIST).splitlines()]
        bounds = np.cumsum([0, *(row["frames"] for row in rows)])
        led = [np.array(row["led"], np.int64) for row in rows]
        latents = np.memmap(folder / RAW, np.float16, "r", shape=(int(bounds[-1]), *shape))
        if any(len(row) != n + 1 for row, n in zip(led, np.diff(bounds), strict=True)):
            raise ValueError("its classes are of other frames")
        return PublishedLatents(latents=latents, bounds=bounds, led=led)


def encode_published(
    clips: Sequence[ClipFile],
    layout: Layout,
    encode: Encode,
    meta: dict[str, Any],
    folder: Path,
    say: Callable[[str], None] = print,
) -> PublishedLatents:
    """The latents of clips, encoded now unless `folder` already holds those of `meta`.

    Args:
        clips: what to encode; damaged ones are told and left out.
        layout: which data set they are of.
        encode: a clip's latents `[T,C,h,w]`, scaled.
        meta: see published_meta.
        folder: where they go.
        say: is told of progress.

    Raises:
        ValueError: the folder holds something else, or no clip could be read.
    """
    if folder.exists():
        if _read_json(folder / META) != meta:
            raise ValueError(
                f"{folder} holds latents of other clips or another autoencoder: give another "
                f"folder, or delete it."
            )
        return open_published_latents(folder)
    partial = folder.with_name(folder.name + ".partial")
    done = _begin(partial, meta)
    _encode_rest(clips[done:], layout, encode, partial, say, len(clips))
    if not (partial / CLIPS).stat().st_size:
        raise ValueError(f"none of the {len(clips)} clips could be encoded: see above.")
    os.replace(partial, folder)
    return open_published_latents(folder)


def _begin(partial: Path, meta: dict[str, Any]) -> int:
    """How many clips an earlier run has dealt with; what it did not finish is cut off."""
    if _read_json(partial / META) != meta:
        partial.mkdir(parents=True, exist_ok=True)
        for name in (RAW, CLIPS):
            (partial / name).write_bytes(b"")
        (partial / META).write_text(json.dumps(meta))
    with reading(partial, "folder of half-made latents", "delete it, it is made again"):
        lines = read_text(partial / CLIPS, MOST_LIST).split("\n")[:-1]
        frames = sum(parse_json(line)["frames"] for line in lines)
        os.truncate(partial / RAW, 2 * frames * int(np.prod(meta["shape"])))
        (partial / CLIPS).write_text("".join(line + "\n" for line in lines))
        return parse_json(lines[-1])["number"] + 1 if lines else 0


def _read_json(path: Path) -> Any:
    try:
        return read_json(path, "meta of latents")
    except (OSError, ValueError):
        return None


def _encode_rest(
    clips: Sequence[ClipFile],
    layout: Layout,
    encode: Encode,
    partial: Path,
    say: Callable[[str], None],
    total: int,
) -> None:
    first, noted = total - len(clips), False
    with open(partial / RAW, "ab") as raw, open(partial / CLIPS, "a") as journal:
        for number, clip in enumerate(clips, first):
            try:
                latents = encode(clip).astype(np.float16)
                led = clip.read_led(layout, len(latents))
                note = "" if noted or clip.latents else clip.note(layout)
            except ValueError as error:
                say(f"left out: {error}")
                continue
            if note:
                say(note)
                noted = True
            raw.write(np.ascontiguousarray(latents).data)
            raw.flush()
            row = {"number": number, "name": clip.name, "frames": len(latents), "led": led.tolist()}
            journal.write(json.dumps(row) + "\n")  # after its latents: a line means all is there
            journal.flush()
            if number % 100 == 99:
                say(f"encoded {number + 1} of {total} clips")
        os.fsync(raw.fileno())
