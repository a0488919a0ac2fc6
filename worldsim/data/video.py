"""Videos in and out, through OpenCV: frames of published clips, and clips in a published layout.

Exact to the frame, and without trust: a video may be cut short, lie about its length, or be no
video at all. Knows no data set. What it writes is lossy (mp4v), for data sets that are; recordings
are lossless (store.py).
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from worldsim.atomic import atomic_write
from worldsim.data.npz import MAX_BYTES
from worldsim.paths import native_path

MAX_SIDE = 4096
_HEAD = 12
MOST_RATE = 10_000.0


def video_length(path: str | os.PathLike) -> int:
    """The number of frames a video announces.

    Raises:
        ValueError: it is no video that can be read.
    """
    with _open_capture(Path(path)) as (_, length):
        return length


def video_rate(path: str | os.PathLike) -> float | None:
    """Frames a second as a video tells them; None where it does not.

    Raises:
        ValueError: it is no video that can be read.
    """
    import cv2

    with _open_capture(Path(path)) as (capture, _):
        rate = float(capture.get(cv2.CAP_PROP_FPS))
    return rate if 0 < rate < MOST_RATE else None


def read_video(path: str | os.PathLike, indices: Sequence[int] | None = None) -> np.ndarray:
    """Frames uint8 `[N,H,W,3]` of a video, RGB.

    Args:
        path: an mp4, avi, mkv or webm file.
        indices: which frames, in rising order; None for all of them.

    Raises:
        ValueError: it is no such video, ends before a frame that is asked for, or is too large.
    """
    path = Path(path)
    with _open_capture(path) as (capture, length):
        wanted = range(length) if indices is None else [int(index) for index in indices]
        frames, at = [], -1
        for index in wanted:
            while at < index and capture.grab():
                at += 1
            if at < index:
                raise ValueError(
                    f"{path} announces {length} frames and ends after {at + 1}: it is cut short, "
                    f"fetch it again."
                )
            frames.append(_retrieve_frame(path, capture, len(wanted)))
    return np.stack(frames)


def iterate_frames(path: str | os.PathLike, every: float = 1.0) -> Iterator[np.ndarray]:
    """Frames uint8 `[H,W,3]` of a video, RGB, one after another to where it ends; only one is held.

    Args:
        path: an mp4, avi, mkv or webm file.
        every: frames of the video that one step goes on, at least 1; see `frame_numbers`.

    Raises:
        ValueError: it is no such video.
    """
    path = Path(path)
    with _open_capture(path) as (capture, _):
        at, taken = -1, 0
        while True:
            wanted = int(frame_numbers(taken, every))
            while at < wanted and capture.grab():
                at += 1
            if at < wanted:
                return
            yield _retrieve_frame(path, capture, 1)
            taken += 1


def frame_numbers(taken: int | np.ndarray, every: float) -> np.ndarray:
    """Which frame of a video is number `taken` of those that are kept, `every` frames apart."""
    return np.floor(np.asarray(taken) * every + 0.5).astype(np.int64)


def _retrieve_frame(path: Path, capture, count: int) -> np.ndarray:
    ok, picture = capture.retrieve()
    if not ok or picture is None or picture.ndim != 3:
        raise ValueError(f"{path} holds a frame that cannot be decoded: fetch it again.")
    if picture.nbytes * count > MAX_BYTES:
        raise ValueError(
            f"{path}: {count} frames of {picture.shape[1]}x{picture.shape[0]} are more than "
            f"{MAX_BYTES >> 20} MiB: cut it into shorter clips."
        )
    return picture[..., ::-1].copy()


@contextmanager
def _open_capture(path: Path) -> Iterator[tuple]:
    """OpenCV's reader and the announced number of frames."""
    import cv2

    with open_capture(path) as capture:
        sides = [int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)]
        length = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        if not capture.isOpened() or length < 1 or min(sides) < 1:
            raise ValueError(f"{path} is damaged: no frame of it can be read; fetch it again.")
        if max(sides) > MAX_SIDE:
            raise ValueError(
                f"{path} is {sides[0]}x{sides[1]} pixels: at most {MAX_SIDE} a side are read."
            )
        yield capture, length


@contextmanager
def open_capture(path: Path, others: tuple[bytes, ...] = ()) -> Iterator:
    """OpenCV's reader of a video. It reads from a file that is opened here: paths that are no
    UTF-8 would take the process down.

    Args:
        path: an mp4, avi, mkv or webm file.
        others: how files of other kinds may begin that will do too.

    Raises:
        ValueError: it is no such file.
    """
    _check_container(path, others)
    # FFmpeg tells of damage on the terminal; whoever reads says it once.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    with open(path, "rb") as file:
        capture = cv2.VideoCapture(file, cv2.CAP_FFMPEG, [])
        try:
            yield capture
        finally:
            capture.release()


def _check_container(path: Path, others: tuple[bytes, ...]) -> None:
    """Refuse what is no video file: a web page, a Git LFS pointer, or a playlist that would make
    the reader open other files.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}.")
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    is_avi = head[:4] == b"RIFF" and head[8:12] == b"AVI "
    known = head[4:8] == b"ftyp" or is_avi or head.startswith((b"\x1aE\xdf\xa3", *others))
    if not known:
        raise ValueError(
            f"{path} is not an mp4, avi, mkv or webm video that can be read "
            f"(it begins with {head!r})."
        )


def write_video(path: str | os.PathLike, frames: np.ndarray, fps: float) -> None:
    """Write frames uint8 `[T,H,W,3]` as mp4 (mp4v, lossy), whole or not at all.

    Raises:
        ValueError: frames of another type.
        OSError: what was written is not all there: a full disk, or no encoder.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not len(frames):
        raise ValueError(f"frames must be uint8 [T,H,W,3], got {frames.shape}.")
    with tempfile.TemporaryDirectory() as folder:  # OpenCV must not see the path: see open_capture
        made = Path(folder) / "video.mp4"
        _write_mp4(made, Path(path), frames, fps)
        atomic_write(Path(path), lambda scratch: scratch.write_bytes(made.read_bytes()))


def _write_mp4(scratch: Path, path: Path, frames: np.ndarray, fps: float) -> None:
    import cv2

    size = (frames.shape[2], frames.shape[1])
    writer = cv2.VideoWriter(native_path(scratch), cv2.VideoWriter_fourcc(*"mp4v"), fps, size)
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    _check_written(scratch, path, frames)  # OpenCV loses frames without a word


def _check_written(scratch: Path, path: Path, frames: np.ndarray) -> None:
    try:
        there = read_video(scratch).shape
    except ValueError:
        there = (0,)
    if there != frames.shape:
        raise OSError(5, f"only {there[0]} of {len(frames)} frames could be written", str(path))
