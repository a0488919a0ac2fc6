"""A folder of videos becomes episodes of three splits, file by file.

    walks/a.mp4, walks/a.csv, walks/b.mp4     ->  data/walks/{train,heldout,tuning}/<file>-0000.npz

A video is read once, frame by frame: every so many-th frame, cut to a square. Long ones become
several episodes, which share the frame between them; all of a file lies in one split, and a file
that was imported stays where it is. What was pressed is read from a table beside the video
(action_file.py); a video without one has unknown actions, or, if the world has none, "watch".
Videos are taken to have a constant frame rate.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from worldsim.actions import load_actions
from worldsim.data.action_file import choose_actions, find_action_file, read_action_file
from worldsim.data.crop import square
from worldsim.data.store import EpisodeStore
from worldsim.data.video import frame_numbers, iterate_frames, video_length, video_rate
from worldsim.types import NULL_ACTION, Episode, EpisodeMeta

ENDINGS = (".mp4", ".avi", ".mkv", ".webm", ".m4v", ".mov")
SPLITS = ("train", "heldout", "tuning")
UNKNOWN, RECORDED = "unknown", "recorded"
WATCH = "watch"  # the action set of worlds that take no actions
SOURCE = "video"
SLACK = 0.99  # of a source's frame rate, below which frames would be shown twice


@dataclass(frozen=True, kw_only=True)
class VideoPlan:
    """How videos become episodes.

    Attributes:
        size: side of a frame in pixels.
        fps: frames a second; None for those of each video.
        action_set: what was pressed is named by it; "watch" for a world without actions.
        across, down: where the square is cut out, 0 (left, top) to 1 (right, bottom).
        length: actions of an episode, at most.
        heldout, tuning: shares of the files.
    """

    size: int = 64
    fps: float | None = None
    action_set: str = WATCH
    across: float = 0.5
    down: float = 0.5
    length: int = 300
    heldout: float = 0.1
    tuning: float = 0.0

    def __post_init__(self):
        for name in ("across", "down", "heldout", "tuning"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if self.heldout + self.tuning >= 1:
            left = self.heldout + self.tuning
            raise ValueError(f"heldout and tuning together must be below 1, got {left}")
        load_actions(self.action_set)


def find_videos(folder: Path) -> dict[str, Path]:
    """The videos in a folder and those below it, by the name that their episodes get.

    Raises:
        ValueError: there are none, or two would get the same name.
    """
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}: give a folder of videos.")
    paths = [path for path in sorted(folder.rglob("[!.]*")) if path.suffix.lower() in ENDINGS]
    if not paths:
        raise ValueError(f"{folder} holds no videos ({', '.join(ENDINGS)}).")
    videos: dict[str, Path] = {}
    for path in paths:
        name = "-".join(path.relative_to(folder).with_suffix("").parts)
        if name in videos:
            raise ValueError(
                f"videos must have names of their own, got {videos[name]} and {path}: rename one."
            )
        videos[name] = path
    return videos


def share_out_files(
    names: list[str], held: dict[str, str], shares: dict[str, float]
) -> dict[str, str]:
    """The split of every file: the old ones as they are, the new ones by a hash of their names,
    so many that each split has its share, and at least one where the share is not 0.

    Args:
        names: of all files.
        held: the split of those that were imported before.
        shares: by split, but for `train`, which has the rest.
    """
    found = dict(held)
    new = sorted((name for name in names if name not in held), key=_hash_name)
    for split, share in shares.items():
        wanted = max(math.floor(share * len(names) + 0.5), 1 if share else 0)
        taken = sum(1 for other in found.values() if other == split)
        room = len(new) - (not any(other == "train" for other in found.values()))
        for name in new[: max(min(wanted - taken, room), 0)]:
            found[name] = split
        new = [name for name in new if name not in found]
    return found | dict.fromkeys(new, "train")


def _hash_name(name: str) -> bytes:
    return sha256(name.encode("utf-8", "surrogateescape")).digest()


def import_videos(
    source: Path,
    target: Path,
    plan: VideoPlan,
    refused: Callable[[ValueError], None],
) -> Iterator[Path]:
    """Append the episodes of a folder of videos to the splits of `target`; what is there is left.

    Args:
        source: the folder; one with subfolders named as splits is split by these.
        target: the folder of the splits.
        plan: how.
        refused: is told of each video that cannot be used; the others are imported.

    Yields:
        The path of each new episode.

    Raises:
        ValueError: no videos, or two of the same name.
    """
    videos = find_videos(source)
    stores = {split: EpisodeStore(target / split) for split in SPLITS}
    held = {
        name: split
        for name in videos
        for split, store in stores.items()
        if _name_piece(name, 0) in store
    }
    splits = share_out_files(
        list(videos),
        {n: s for n, p in videos.items() if (s := p.relative_to(source).parts[0]) in SPLITS} | held,
        {"heldout": plan.heldout, "tuning": plan.tuning},
    )
    for name, path in videos.items():
        store = stores[splits[name]]
        try:
            for number, episode in enumerate(_read_pieces(path, store, name, plan)):
                piece = _name_piece(name, number)
                if piece not in store:
                    yield store.append(episode, piece, once=True)
        except ValueError as error:
            refused(error)


def _name_piece(name: str, number: int) -> str:
    return f"{name}-{number:04d}"


def _read_pieces(path: Path, store: EpisodeStore, name: str, plan: VideoPlan) -> Iterator[Episode]:
    """The episodes of a video; none if all of them are there."""
    rate = video_rate(path)
    if rate is None:
        raise ValueError(f"{path} must tell its frame rate: encode it again.")
    fps = plan.fps or rate
    if fps * SLACK > rate:
        raise ValueError(f"fps must be at most {rate:g}, those of {path}, got {fps:g}.")
    every = max(rate / fps, 1.0)
    last = (int(video_length(path) / every) - 2) // plan.length
    if _name_piece(name, max(last, 0)) in store:
        return
    table, file = load_actions(plan.action_set), find_action_file(path)
    rows = read_action_file(file, table, rate) if file else None
    extra = {"video": name, "actions": RECORDED if rows or plan.action_set == WATCH else UNKNOWN}
    meta = EpisodeMeta(source=SOURCE, action_set=plan.action_set, fps=fps, extra=extra)
    start = 0
    for frames in _cut_frames(path, every, plan):
        numbers = frame_numbers(np.arange(start, start + len(frames)), every)
        if rows and file:
            actions = choose_actions(rows, numbers, file)
        else:
            known = plan.action_set == WATCH
            actions = np.full(len(frames) - 1, 0 if known else NULL_ACTION, np.int64)
        rewards = np.zeros(len(actions), np.float32)
        yield Episode(frames=frames, actions=actions, rewards=rewards, meta=meta)
        start += len(actions)
    if not start:
        raise ValueError(f"{path} must have at least 2 frames at {fps:g} a second.")


def _cut_frames(path: Path, every: float, plan: VideoPlan) -> Iterator[np.ndarray]:
    """Stretches of up to `length` + 1 square frames uint8 `[T+1,S,S,3]`; each begins with the last
    frame of the one before it.
    """
    squares = (
        square(frame[None], plan.size, plan.across, plan.down)[0]
        for frame in iterate_frames(path, every)
    )
    before: list[np.ndarray] = list(itertools.islice(squares, 1))
    while piece := list(itertools.islice(squares, plan.length)):
        yield np.stack(before + piece)
        before = piece[-1:]
