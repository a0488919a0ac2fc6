"""The published clips of TECO's data sets, in and out: DMLab's npz, Minecraft's mp4 + npz.

    DMLab      <split>/<worker>/<i>.npz                    video uint8 [300,64,64,3], actions int64
    Minecraft  <split>/<worker>/<i>.mp4, 128x128, + .npz   actions int32; 300 or 301 frames

Which action belongs to which frame is told in layouts.py. An import keeps every number: what an
Episode has no place for goes to `meta.extra`, and an export puts it back. ::

    worldsim data import dmlab/train data/dmlab/train
    worldsim data export data/maze/train dmlab/train --stand drop
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from worldsim.actions import load_actions
from worldsim.data.npz import write_arrays
from worldsim.data.published.clip_files import ClipFile, find_clips
from worldsim.data.published.formats import LAYOUTS, Layout, episode_classes, shift_to_stored
from worldsim.data.store import EpisodeStore
from worldsim.data.video import write_video
from worldsim.types import NULL_ACTION, Episode

LENGTH = 300
DMLAB = LAYOUTS["dmlab"]
_PER_WORKER = 1000
_DTYPES = {"dmlab": np.int64, "minecraft": np.int32}


def read_clip(path: str | Path, layout: Layout = DMLAB) -> Episode:
    """Read one published clip as an Episode of one action fewer than it has frames.

    Args:
        path: the npz or mp4 file of its frames; a mp4's actions lie beside it.
        layout: which data set it is of.

    Raises:
        ValueError: the file is damaged, or is no such clip.
    """
    path = Path(path)
    actions = None if path.suffix == ".npz" else path.with_suffix(".npz")
    return ClipFile(name=path.stem, frames=path, actions=actions).read_episode(layout)


def import_clips(
    source: str | Path,
    store: EpisodeStore,
    layout: Layout = DMLAB,
    root: str | Path | None = None,
    refused: Callable[[ValueError], None] | None = None,
    noted: Callable[[str], None] = lambda sentence: None,
) -> Iterator[Path]:
    """Append every clip of a published split to a store; clips that are there are skipped.

    Args:
        source: the split's folder, or a list of its clips.
        store: where to.
        layout: which data set it is.
        root: the folder that a list's paths start from.
        refused: is told of each damaged clip, and the others are imported; None raises instead.
        noted: is told where a clip's frame rate is not the data set's.

    Yields:
        The path of each new episode.

    Raises:
        ValueError: no clips, or a damaged one.
    """
    for clip in find_clips(source, layout, root):
        if clip.name in store:
            continue
        try:
            episode = clip.read_episode(layout)
            note = clip.note(layout)
        except ValueError as error:
            if refused is None:
                raise
            refused(error)
            continue
        if note:
            noted(note)
        yield store.append(episode, clip.name, once=True)


def cut_clips(
    episode: Episode, stand: Literal["refuse", "drop"] = "refuse", layout: Layout = DMLAB
) -> Iterator[dict[str, np.ndarray]]:
    """Cut an episode into published clips of 300 frames; a shorter rest is left out.

    Args:
        episode: of one of the layout's exported action sets, and of its size.
        stand: what becomes of a clip with an action that has no published class.
        layout: which data set to be like.

    Yields:
        `video` and `actions` of each clip.

    Raises:
        ValueError: another action set or size, or a clip to refuse.
    """
    size = layout.size
    fits = episode.meta.action_set in layout.exported
    if not fits or episode.frames.shape[1:] != (size, size, 3):
        raise ValueError(
            f"published {layout.source} clips have {' or '.join(layout.exported)} actions and "
            f"{size}x{size} "
            f"frames, this episode has {episode.meta.action_set} actions and frames of shape "
            f"{episode.frames.shape[1:]}."
        )
    led = episode_classes(layout, episode)
    for start in range(0, _frames_with_actions(layout, episode) - LENGTH + 1, LENGTH):
        piece = led[start : start + LENGTH + 1].copy()
        if not layout.taken:
            piece[0] = led[0]  # only marks a clip's first frame
        if (piece[1:] if layout.taken else piece[:-1]).min() > NULL_ACTION:
            actions = shift_to_stored(layout, piece)
            yield {"video": episode.frames[start : start + LENGTH], "actions": actions}
        elif stand == "refuse":
            names = load_actions(episode.meta.action_set).names
            extra = ", ".join(name for name in names if name not in layout.classes)
            raise ValueError(
                f"the published {layout.source} data has no {extra}: drop such clips instead."
            )


def _frames_with_actions(layout: Layout, episode: Episode) -> int:
    """The last frame of a DMLab clip needs the action that was taken there."""
    whole = not layout.taken or "action_after" in episode.meta.extra
    return len(episode.frames) if whole else len(episode.frames) - 1


def export_clips(
    store: EpisodeStore,
    folder: str | Path,
    stand: Literal["refuse", "drop"] = "refuse",
    layout: Layout = DMLAB,
) -> int:
    """Write a store's episodes as a published split, from worker 0, clip 0 on.

    The same store gives the same files, so an export that was stopped is simply run again.

    Returns:
        The number of clips.

    Raises:
        ValueError: see cut_clips; the sentence names the episode.
    """
    count = 0
    for index, episode in enumerate(store):
        try:
            for clip in cut_clips(episode, stand, layout):
                worker = Path(folder) / str(count // _PER_WORKER)
                _write_clip(worker, count % _PER_WORKER, clip, layout)
                count += 1
        except ValueError as error:
            raise ValueError(f"{store.path(index)}: {error}") from error
    return count


def _write_clip(worker: Path, number: int, clip: dict[str, np.ndarray], layout: Layout) -> None:
    arrays = {"actions": clip["actions"].astype(_DTYPES[layout.name])}
    if layout.name == "dmlab":
        write_arrays(worker, str(number), {"video": clip["video"]} | arrays, replace=True)
        return
    stem = f"{number:06d}"
    write_video(worker / f"{stem}.mp4", clip["video"], layout.fps)
    write_arrays(worker, stem, arrays, replace=True)
