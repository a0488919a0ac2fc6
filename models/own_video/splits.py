"""The episodes of a data folder's splits, and a copy of the folder in which they are changed."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from worldsim.actions import load_actions
from worldsim.data.store import EpisodeStore
from worldsim.data.video_folder import RECORDED, SPLITS, UNKNOWN
from worldsim.reading import short_path
from worldsim.types import NULL_ACTION, Episode, EpisodeMeta


def open_splits(folder: Path) -> dict[str, EpisodeStore]:
    """The splits of a data folder that hold episodes.

    Raises:
        ValueError: there are none.
    """
    if not folder.is_dir():
        raise ValueError(f"there is no folder {short_path(folder)}: make it with `data video`.")
    stores = {split: EpisodeStore(folder / split) for split in SPLITS}
    found = {split: store for split, store in stores.items() if len(store)}
    if not found:
        raise ValueError(
            f"{short_path(folder)} must hold episodes in {', '.join(SPLITS)}: make them with "
            f"`worldsim data video`."
        )
    return found


def find_action_set(stores: Iterable[EpisodeStore]) -> str:
    """The one action set of episodes.

    Raises:
        ValueError: there are several, or one in which nothing is to be told apart.
    """
    names = sorted({store.meta(i).action_set for store in stores for i in range(len(store))})
    if len(names) > 1:
        raise ValueError(f"episodes must have one action set, got {', '.join(names)}.")
    if len(load_actions(names[0])) < 2:
        raise ValueError(
            f"episodes must have an action set with actions to tell apart, got {names[0]}: give "
            f"`data video` an --action-set, or `data actions` a number of --codes."
        )
    return names[0]


def is_labelled(meta: EpisodeMeta) -> bool:
    """Whether somebody recorded the actions of an episode, and no network guessed them."""
    return meta.extra.get("actions", RECORDED) == RECORDED and meta.world is None


def is_unknown(episode: Episode) -> bool:
    """Whether nobody knows the actions of an episode."""
    told = episode.meta.extra.get("actions")
    return told == UNKNOWN or bool((episode.actions == NULL_ACTION).any())


def rewrite_splits(
    source: Path, target: Path, change: Callable[[Episode], Episode]
) -> Iterator[Path]:
    """Copy the episodes of a data folder to another one, each as `change` makes it; those that are
    there are left, so that what was stopped goes on.

    Yields:
        The path of each new episode.

    Raises:
        ValueError: the two folders are the same.
    """
    if source.resolve() == target.resolve():
        raise ValueError(f"the target must be another folder than the source, got {target}.")
    for split, store in open_splits(source).items():
        new = EpisodeStore(target / split)
        for index, file in enumerate(store.names()):
            name = file.removesuffix(".npz")
            if name not in new:
                yield new.append(change(store[index]), name, once=True)
