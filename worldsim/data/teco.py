"""The published DMLab layout, in and out: `<split>/<worker>/<i>.npz` with `video` and `actions`.

    video    uint8 [300, 64, 64, 3]
    actions  int64 [300]             0 left, 1 right, 2 forward; there is no standing still

**Alignment.** A published `actions[t]` is taken *at* frame t, so it led to frame t + 1: that is an
Episode's rule too, and no index is moved. Only the ends differ: a clip has as many actions as
frames, an Episode one fewer. Importing therefore takes the clip's last action, whose frame is not
in the file, out into `meta.extra["action_after"]`; exporting puts it back, or takes it from the
episode, which goes on. (A training Clip, where `actions[t]` led to frame t, moves both by one.) ::

    python -m worldsim.data.teco import dmlab/train data/dmlab/train
    python -m worldsim.data.teco export data/maze/train dmlab/train --stand drop
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from worldsim.actions import load_actions
from worldsim.data.npz import read_arrays, write_arrays
from worldsim.data.store import EpisodeStore
from worldsim.types import Episode, EpisodeMeta

LENGTH = 300
FPS = 7.5
_ARRAYS = {"video": "|u1", "actions": "<i8"}
_PER_WORKER = 1000


def read_clip(path: str | Path) -> Episode:
    """Read one published clip as an Episode of one action fewer than it has frames.

    Args:
        path: an npz file with `video` and `actions`.

    Raises:
        ValueError: the file is damaged, or is no such clip.
    """
    arrays = read_arrays(path, _ARRAYS)
    video, actions = arrays["video"], arrays["actions"]
    published = load_actions("dmlab").published
    if actions.ndim != 1 or len(video) != len(actions) or len(video) < 2:
        raise ValueError(f"{path} should hold as many actions as frames, at least 2 of each.")
    if actions.min() < 0 or actions.max() >= published:
        raise ValueError(f"{path} holds actions outside 0 to {published - 1}.")
    meta = EpisodeMeta(
        source="DMLab", action_set="dmlab", fps=FPS, extra={"action_after": int(actions[-1])}
    )
    rewards = np.zeros(len(actions) - 1, np.float32)
    try:
        return Episode(frames=video, actions=actions[:-1].copy(), rewards=rewards, meta=meta)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def import_clips(folder: str | Path, store: EpisodeStore) -> Iterator[Path]:
    """Append every clip of a published split to a store; clips that are there are skipped.

    Args:
        folder: the split, with `<worker>/<i>.npz` below it.
        store: where to.

    Yields:
        The path of each new episode.

    Raises:
        ValueError: no clips in the folder, or a damaged one.
    """
    clips = sorted(Path(folder).glob("*/*.npz"))
    if not clips:
        raise ValueError(f"{folder} holds no clips <worker>/<i>.npz.")
    for clip in clips:
        name = f"dmlab-{clip.parent.name}-{clip.stem}"
        if name not in store:
            yield store.append(read_clip(clip), name)


def to_clips(
    episode: Episode, stand: Literal["refuse", "drop"] = "refuse"
) -> Iterator[dict[str, np.ndarray]]:
    """Cut an episode into published clips of 300 frames; a shorter rest is left out.

    Args:
        episode: of the `dmlab` action set, 64 px.
        stand: what becomes of a clip with an action that has no published class.

    Yields:
        `video` and `actions` of each clip.

    Raises:
        ValueError: another action set or size, or a clip to refuse.
    """
    actions = load_actions("dmlab")
    if episode.meta.action_set != actions.name or episode.frames.shape[1:] != (64, 64, 3):
        raise ValueError(
            f"published DMLab clips have dmlab actions and 64x64 frames, this episode has "
            f"{episode.meta.action_set} actions and frames of shape {episode.frames.shape[1:]}."
        )
    taken = _with_action_after(episode)
    for start in range(0, len(taken) - LENGTH + 1, LENGTH):
        piece = slice(start, start + LENGTH)
        if taken[piece].max() < actions.published:
            yield {"video": episode.frames[piece], "actions": taken[piece]}
        elif stand == "refuse":
            extra = ", ".join(actions.names[actions.published :])
            raise ValueError(f"the published DMLab data has no {extra}: drop such clips instead.")


def _with_action_after(episode: Episode) -> np.ndarray:
    after = episode.meta.extra.get("action_after")
    return episode.actions if after is None else np.append(episode.actions, np.int64(after))


def export_clips(
    store: EpisodeStore, folder: str | Path, stand: Literal["refuse", "drop"] = "refuse"
) -> int:
    """Write a store's episodes as a published split, from worker 0, clip 0 on.

    The same store gives the same files, so an export that was stopped is simply run again.

    Returns:
        The number of clips.

    Raises:
        ValueError: see to_clips; the sentence names the episode.
    """
    count = 0
    for path, episode in zip(store.paths(), store, strict=True):
        try:
            for clip in to_clips(episode, stand):
                worker = Path(folder) / str(count // _PER_WORKER)
                write_arrays(worker, str(count % _PER_WORKER), clip, replace=True)
                count += 1
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return count


def main(argv: list[str] | None = None) -> int:
    """The command line; see the top of the file."""
    parser = argparse.ArgumentParser(description="Import or export the published DMLab layout.")
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
    except ValueError as error:
        parser.error(str(error))
    print(f"{args.target}: {count} written.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
