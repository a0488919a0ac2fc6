"""The published data sets: what their numbers mean, and which frame an action belongs to.

    data set     frames                      beside them              an action's place
    dmlab        npz: video, actions         (in the same file)       taken at its frame
    minecraft    mp4, 20 a second            npz: actions             led to its frame
    ucf101       avi or mp4                  a label                  (none)
    bair         mp4                         (actions are not used)   (none)

**Alignment.** Everything else here speaks of the class that *led to* a frame: `led` has one entry
a frame and one more, for the frame that would come next, NULL where nothing is known. DMLab's files
hold the action taken at a frame, which led to the next one. This is the only file that knows it.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from worldsim.actions import load_actions
from worldsim.reading import check_number
from worldsim.types import NULL_ACTION, Episode, EpisodeMeta


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A published data set.

    Attributes:
        name: its key.
        source: what an Episode made of it says it is.
        condition: what its clips are labelled with.
        classes: the action each class stands for, by class; "" for one that leads nowhere.
        taken: whether a stored action was taken at its frame, and so led to the next.
        action_set: the actions of its episodes.
        exported: the action sets whose episodes can be written in it: they have its actions.
        fps: frames a second.
        size: side of its frames in pixels; None where they come in many sizes.
    """

    name: str
    source: str
    condition: Literal["action", "label", "none"]
    classes: tuple[str, ...]
    taken: bool
    action_set: str
    exported: tuple[str, ...] = ()
    fps: float
    size: int | None


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout(
            name="dmlab",
            source="DMLab",
            condition="action",
            classes=("left", "right", "forward"),
            taken=True,
            action_set="dmlab",
            exported=("dmlab",),
            fps=7.5,
            size=64,
        ),
        Layout(
            name="minecraft",
            source="Minecraft",
            condition="action",
            classes=("", "forward", "left", "right"),
            taken=False,
            action_set="minecraft",
            exported=("minecraft", "voxel"),
            fps=20.0,
            size=128,
        ),
        Layout(
            name="ucf101",
            source="UCF-101",
            condition="label",
            classes=(),
            taken=False,
            action_set="watch",
            fps=25.0,
            size=None,
        ),
        Layout(
            name="bair",
            source="BAIR",
            condition="none",
            classes=(),
            taken=False,
            action_set="watch",
            fps=8.0,
            size=64,
        ),
    )
}
LABELS = 101
"""UCF-101's."""


def find_layout(name: str) -> Layout:
    """The layout of a name.

    Raises:
        ValueError: there is none.
    """
    if name not in LAYOUTS:
        raise ValueError(f"no published layout {name!r}: there are {', '.join(LAYOUTS)}.")
    return LAYOUTS[name]


def shift_to_led(layout: Layout, stored: np.ndarray, length: int) -> np.ndarray:
    """The class that led to each of `length` frames, and to the one after: int64 `[length+1]`.

    Args:
        layout: says where a stored action belongs.
        stored: integers `[n]` of a file.
        length: how many frames the clip has.

    Raises:
        ValueError: too few actions, or a class that the data set has not.
    """
    _check_stored(layout, stored, length)
    led = np.full(length + 1, NULL_ACTION, np.int64)
    if layout.taken:
        led[1:] = stored[:length]
    else:
        count = min(len(stored), length + 1)
        led[:count] = stored[:count]
    return led


def _check_stored(layout: Layout, stored: np.ndarray, length: int) -> None:
    # Minecraft's files hold 300 or 301 frames and one action fewer, as many, or one more.
    spare = 0 if layout.taken else 1
    if stored.ndim != 1 or abs(len(stored) - length) > spare or length < 2:
        raise ValueError(
            f"it must hold as many actions as frames, at least 2 of each, got {length} frames and "
            f"actions of shape {stored.shape}"
        )
    if stored.min() < 0 or stored.max() >= len(layout.classes):
        raise ValueError(f"its actions must be in [0, {len(layout.classes) - 1}]")


def shift_to_stored(layout: Layout, led: np.ndarray) -> np.ndarray:
    """Inverse of led_classes: the actions `[T]` a file of T frames holds, of `led` `[T+1]`."""
    stored = led[1:] if layout.taken else led[:-1]
    assert stored.min() >= 0, "a frame without an action"
    return stored


def to_episode(
    layout: Layout, frames: np.ndarray, led: np.ndarray, fps: float | None = None
) -> Episode:
    """An Episode of a clip's frames uint8 `[T,H,W,3]` and of `led` int64 `[T+1]`, at `fps` frames
    a second (the data set's where None).

    What an Episode has no place for is kept in `meta.extra`: the action after the last frame, the
    first frame's class where it says something, the label.

    A last frame that no action is known to have led to is left out.

    Raises:
        ValueError: arrays that do not fit, or a class within the clip that stands for no action.
    """
    if layout.condition == "action" and led[-2] == NULL_ACTION:
        frames, led = frames[:-1], led[:-1]
    if layout.condition == "action":
        actions, extra = _split_actions(layout, led)
    else:
        actions = np.zeros(len(frames) - 1, np.int64)
        extra = {"label": int(led[0])} if layout.condition == "label" else {}
    return Episode(
        frames=frames,
        actions=actions,
        rewards=np.zeros(len(actions), np.float32),
        meta=EpisodeMeta(
            source=layout.source, action_set=layout.action_set, fps=fps or layout.fps, extra=extra
        ),
    )


def _split_actions(layout: Layout, led: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
    table = load_actions(layout.action_set)
    ids = np.array([table.id(name) if name else NULL_ACTION for name in layout.classes])
    actions = ids[led[1:-1]]
    if actions.min() < 0:
        at = int(np.flatnonzero(actions < 0)[0]) + 1
        raise ValueError(f"the class {led[at]} of frame {at} stands for no action")
    extra = {}
    if led[-1] != NULL_ACTION:
        extra["action_after"] = int(ids[led[-1]])
    if led[0] > 0:
        extra["first_class"] = int(led[0])
    return actions, extra


def _read_extra(extra: dict[str, Any], name: str, count: int) -> int:
    """A number below `count` that an import kept in the meta."""
    return check_number(extra.get(name, 0), f"{name} of the meta", 0, count - 1, whole=True)


def episode_classes(layout: Layout, episode: Episode) -> np.ndarray:
    """Inverse of to_episode: `led` int64 `[T+1]` of an episode of T frames; NULL for an action
    that the data set has no class for, and at its ends where nothing is known.
    """
    table = load_actions(episode.meta.action_set)
    of = np.full(len(table), NULL_ACTION, np.int64)
    for number, name in enumerate(layout.classes):
        if name:
            of[table.id(name)] = number
    extra = episode.meta.extra
    first = NULL_ACTION if layout.taken else _read_extra(extra, "first_class", len(layout.classes))
    after = (
        of[_read_extra(extra, "action_after", len(of))] if "action_after" in extra else NULL_ACTION
    )
    return np.concatenate(([first], of[episode.actions], [after])).astype(np.int64)
