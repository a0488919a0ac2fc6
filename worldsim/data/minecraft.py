"""The published Minecraft layout, in and out: `<split>/<worker>/<i>.mp4` and `<i>.npz` beside it.

    mp4               300 or 301 frames of 128 x 128, 20 a second, mp4v: lossy
    npz   actions     int32 [300]     1 forward, 2 left, 3 right; 0 marks the first frame

**Alignment.** A published `actions[t]` led to frame t, and `actions[0]` to none: one later than an
Episode's, where `actions[t]` led to frame t + 1. So importing drops the first action, and exporting
puts a 0 in front. Our ids are the published classes (`assets/actions/voxel.yaml`), except that our
0 is standing still, which nobody does there. ::

    python -m worldsim.data.minecraft import minecraft/train data/minecraft/train
    python -m worldsim.data.minecraft export data/voxel/train minecraft/train --stand drop
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from worldsim.actions import load_actions
from worldsim.data.npz import MAX_BYTES, read_arrays, write_arrays
from worldsim.data.store import EpisodeStore
from worldsim.types import Episode, EpisodeMeta

LENGTH = 300
FPS = 20
SIZE = 128
_ARRAYS = {"actions": "<i4"}
_PER_WORKER = 1000


def read_clip(path: str | Path) -> Episode:
    """Read one published clip as an Episode of one action fewer than it has frames.

    A video may have one frame more than there are actions; it is left out.

    Args:
        path: the mp4 file; its actions lie beside it.

    Raises:
        ValueError: a file is missing or damaged, or is no such clip.
    """
    path = Path(path)
    actions = read_arrays(path.with_suffix(".npz"), _ARRAYS)["actions"]
    frames = read_video(path)
    if actions.ndim != 1 or len(actions) < 2 or len(frames) - len(actions) not in (0, 1):
        raise ValueError(
            f"{path} should have as many frames as actions, at least 2 of each, or one frame more: "
            f"it has {len(frames)} frames and actions of shape {actions.shape}."
        )
    if actions[1:].min() < 1 or actions[1:].max() >= load_actions("voxel").published:
        raise ValueError(f"{path} has actions outside 1 to 3 after its first frame.")
    return Episode(
        frames=frames[: len(actions)],
        actions=actions[1:].astype(np.int64),
        rewards=np.zeros(len(actions) - 1, np.float32),
        meta=EpisodeMeta(source="Minecraft", action_set="voxel", fps=FPS),
    )


def import_clips(folder: str | Path, store: EpisodeStore) -> Iterator[Path]:
    """Append every clip of a published split to a store; clips that are there are skipped.

    Args:
        folder: the split, with `<worker>/<i>.mp4` below it.
        store: where to.

    Yields:
        The path of each new episode.

    Raises:
        ValueError: no clips in the folder, or a damaged one.
    """
    clips = sorted(Path(folder).glob("*/[!.]*.mp4"))
    if not clips:
        raise ValueError(f"{folder} holds no clips <worker>/<i>.mp4.")
    for clip in clips:
        name = f"minecraft-{clip.parent.name}-{clip.stem}"
        if name not in store:
            yield store.append(read_clip(clip), name)


def to_clips(
    episode: Episode, stand: Literal["refuse", "drop"] = "refuse"
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cut an episode into published clips of 300 frames; a shorter rest is left out.

    Args:
        episode: of the `voxel` action set, 128 px.
        stand: what becomes of a clip in which somebody stands still.

    Yields:
        Frames uint8 `[300, 128, 128, 3]` and actions int32 `[300]` of each clip.

    Raises:
        ValueError: another action set or size, or a clip to refuse.
    """
    shape = episode.frames.shape[1:]
    if episode.meta.action_set != "voxel" or shape != (SIZE, SIZE, 3):
        raise ValueError(
            f"published Minecraft clips have voxel actions and {SIZE}x{SIZE} frames, this episode "
            f"has {episode.meta.action_set} actions and frames of shape {shape}."
        )
    for start in range(0, len(episode.frames) - LENGTH + 1, LENGTH):
        taken = episode.actions[start : start + LENGTH - 1]
        if taken.min() > 0:
            actions = np.concatenate([[0], taken]).astype(np.int32)
            yield episode.frames[start : start + LENGTH], actions
        elif stand == "refuse":
            raise ValueError("the published Minecraft data has no stand: drop such clips instead.")


def export_clips(
    store: EpisodeStore, folder: str | Path, stand: Literal["refuse", "drop"] = "refuse"
) -> int:
    """Write a store's episodes as a published split, from worker 0, clip 0 on.

    The same store gives the same clips, so an export that was stopped is simply run again.

    Returns:
        The number of clips.

    Raises:
        ValueError: see to_clips; the sentence names the episode.
        OSError: a video could not be written.
    """
    count = 0
    for path, episode in zip(store.paths(), store, strict=True):
        try:
            for frames, actions in to_clips(episode, stand):
                worker, stem = Path(folder) / str(count // _PER_WORKER), f"{count:06d}"
                write_video(worker / f"{stem}.mp4", frames)
                write_arrays(worker, stem, {"actions": actions}, replace=True)
                count += 1
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return count


def read_video(path: Path) -> np.ndarray:
    """Every frame of a video, uint8 RGB `[T, H, W, 3]`.

    Raises:
        ValueError: no such file, no video, or one too large to be a clip.
    """
    import cv2

    if not path.is_file():
        raise ValueError(f"there is no file {path}.")
    video, frames, size = cv2.VideoCapture(str(path)), [], 0
    try:
        while size <= MAX_BYTES:
            found, bgr = video.read()
            if not found:
                break
            frames.append(np.ascontiguousarray(bgr[:, :, ::-1]))
            size += bgr.nbytes
    finally:
        video.release()
    if not frames or size > MAX_BYTES:
        raise ValueError(f"{path} is no video, or one of more than {MAX_BYTES >> 20} MiB.")
    return np.stack(frames)


def write_video(path: Path, frames: np.ndarray) -> None:
    """Write an mp4 file, whole or not at all, in the place of any other of that name.

    Args:
        path: where; its folder is made if need be.
        frames: uint8 RGB `[T, H, W, 3]`.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(prefix=".writing-", suffix=".mp4", dir=path.parent)
    os.close(handle)
    try:
        height, width = frames.shape[1:3]
        codec = cv2.VideoWriter_fourcc(*"mp4v")
        video = cv2.VideoWriter(scratch, codec, FPS, (width, height))
        for frame in frames:
            video.write(np.ascontiguousarray(frame[:, :, ::-1]))
        video.release()
        # The writer says nothing of a full disk.
        reader = cv2.VideoCapture(scratch)
        written = sum(1 for _ in iter(reader.grab, False))
        reader.release()
        if written != len(frames):
            raise OSError(None, f"only {written} of {len(frames)} frames were written", str(path))
        os.chmod(scratch, 0o644)  # mkstemp's files are private
        os.replace(scratch, path)
    finally:
        Path(scratch).unlink(missing_ok=True)


def main(argv: list[str] | None = None) -> int:
    """The command line; see the top of the file."""
    parser = argparse.ArgumentParser(description="Import or export the published Minecraft layout.")
    parser.add_argument("direction", choices=("import", "export"))
    parser.add_argument("source", type=Path, help="a split's folder")
    parser.add_argument("target", type=Path, help="a split's folder")
    parser.add_argument("--stand", choices=("refuse", "drop"), default="refuse")
    args = parser.parse_args(argv)
    try:
        if args.direction == "import":
            count = sum(1 for _ in import_clips(args.source, EpisodeStore(args.target)))
        else:
            count = export_clips(EpisodeStore(args.source), args.target, args.stand)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(f"{args.target}: {count} written.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
