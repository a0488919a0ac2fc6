"""The clips of a protocol: which of a published list, and what is read of each."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from worldsim.actions import ActionSet, load_actions, renumber
from worldsim.data.crop import square
from worldsim.data.published.clip_files import ClipFile, find_clips
from worldsim.data.published.formats import find_layout
from worldsim.evaluate.published.protocols import Setting
from worldsim.reading import short_path


class Clip(NamedTuple):
    """True frames uint8 `[T,H,W,3]`, the world's actions `[T-1]` that led to them (for clips
    without any, the one action of a world to watch), and a label (None where there is none).
    """

    frames: np.ndarray
    actions: np.ndarray
    label: int | None


def choose_clips(
    setting: Setting, source: str | Path, root: str | Path | None = None
) -> list[ClipFile]:
    """The clips that a protocol takes of a list or folder, in its order.

    Raises:
        ValueError: there are too few.
    """
    found = find_clips(source, find_layout(setting.layout), root)[:: setting.every]
    chosen = balance(found, setting.clips) if setting.balanced else found[: setting.clips]
    if len(chosen) < setting.clips:
        every = f" (every {setting.every}th of the list)" if setting.every > 1 else ""
        raise ValueError(
            f"{short_path(source)} gives {len(chosen)} clips{every}, {setting.protocol} takes "
            f"{setting.clips}: give the whole list, or --clips {len(chosen)}, and the figure is "
            f"not a published one then"
        )
    return chosen


def balance(clips: Sequence[ClipFile], count: int) -> list[ClipFile]:
    """As many clips of every label, chosen and shuffled by a fixed seed."""
    rng = np.random.default_rng(0)
    labels = sorted({clip.label for clip in clips if clip.label is not None})
    each = -(-count // max(len(labels), 1))
    chosen: list[ClipFile] = []
    for label in labels:
        those = [clip for clip in clips if clip.label == label]
        chosen += [those[i] for i in rng.permutation(len(those))[:each]]
    return [chosen[i] for i in rng.permutation(len(chosen))[:count]]


def read_clip(setting: Setting, clip: ClipFile, size: int, actions: ActionSet) -> Clip:
    """The frames of a clip that are given and predicted, as squares of a side.

    Raises:
        ValueError: it is damaged, too short, or has an action that the world has not.
    """
    layout, count = find_layout(setting.layout), setting.given + setting.predicted
    if layout.condition == "action":
        episode = clip.read_episode(layout)
        _check_length(clip, len(episode.frames), count)
        taken = episode.actions[: count - 1]
        ids = renumber(taken, load_actions(episode.meta.action_set), actions)
        return Clip(square(episode.frames[:count], size), ids, None)
    places = np.arange(count) * _interval(setting, clip, count)
    frames = square(clip.read_frames(places.tolist()), size)
    return Clip(frames, np.zeros(count - 1, np.int64), clip.label)


def _interval(setting: Setting, clip: ClipFile, count: int) -> int:
    """As FAR's loader: a clip that is too short for the interval is read frame by frame."""
    total = clip.length()
    _check_length(clip, total, count)
    return setting.interval if (count - 1) * setting.interval < total else 1


def _check_length(clip: ClipFile, length: int, count: int) -> None:
    if length < count:
        raise ValueError(
            f"{short_path(clip.frames)} has {length} frames, the protocol takes {count}: leave it "
            f"out of the list"
        )
