"""A world by name: fetched from the hub, imported once into the cache, and a folder like any other
from then on. Two processes at once each make one, and the first to finish is kept.
"""

import contextlib
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models.zoo.hub import fetch, import_hub
from models.zoo.import_weights import Released, import_world
from worldsim.actions import ActionSet, load_actions, renumber
from worldsim.data.store import EpisodeStore, read_episode
from worldsim.paths import asset, check_name
from worldsim.types import Episode
from worldsim.world.card import read_card
from worldsim.world.checkpoint import CARD, MANIFEST, check_world, read_listed
from worldsim.world.error import WorldError
from worldsim.zoo import ReleasedWorld, cache_folder, find_cached

MOST_FILES = 1000


def make_released_world(name: str, released: ReleasedWorld) -> Path:
    """Fetch and import a released world; returns its folder in the cache.

    Raises:
        ImportError: huggingface_hub or the autoencoder's library is not installed.
        WorldError: a file can't be fetched, or is damaged.
        ValueError: a file is of another network.
    """
    _check_autoencoder_library()
    print(f"{name}: fetching {released.hub} (first use)", file=sys.stderr, flush=True)
    files = fetch(released.hub, (released.far, released.autoencoder))
    with new_in_cache(name) as folder, contextlib.redirect_stdout(sys.stderr):
        starts = lend_starts(released, folder.parent / "starts")
        import_world(Released(*files, starts), released.kind, folder)
    return cache_folder() / name


def _check_autoencoder_library() -> None:
    """Gigabytes are not fetched for what then can't be opened."""
    if importlib.util.find_spec("diffusers") is None:
        raise ImportError(
            "FAR's autoencoder needs diffusers: pip install 'worldsim[dcae,hub]'", name="diffusers"
        )


@contextlib.contextmanager
def new_in_cache(name: str) -> Iterator[Path]:
    """A folder to write a world into, which becomes the cache's of that name when all is done."""
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".new-") as scratch:
        yield Path(scratch) / name
        with contextlib.suppress(OSError):  # another process was faster
            (Path(scratch) / name).rename(cache / name)
    if find_cached(name) is None:
        raise WorldError(f"{cache / name} can't be written: remove what lies there")


def lend_starts(released: ReleasedWorld, folder: Path) -> Path | None:
    """The starts of the bundled world that looks alike, with the released world's actions."""
    if released.starts is None:
        return None
    from models.zoo.presets import zoo_entry

    bundled = asset("worlds", released.starts)
    source = load_actions(read_card(bundled / CARD).action_set)
    target = load_actions(zoo_entry(released.kind).action_set)
    store = EpisodeStore(folder)
    for path in sorted((bundled / "spawns").glob("[!.]*.npz")):
        store.append(translate_actions(read_episode(path), source, target), path.stem)
    return folder


def translate_actions(episode: Episode, source: ActionSet, target: ActionSet) -> Episode:
    """An episode with another table's ids. Steps of actions that the table lacks, such as to stand,
    are left out with the frame they led to.
    """
    shared = [source.id(name) for name in source.names if name in target.names]
    kept = np.isin(episode.actions, shared)
    frames = np.concatenate([[True], kept])
    return Episode(
        frames=episode.frames[frames],
        actions=renumber(episode.actions[kept], source, target),
        rewards=episode.rewards[kept],
        meta=episode.meta,
    )


def fetch_repository(repository: str) -> Path:
    """Fetch a world that `worldsim publish` uploaded, every file checked against its manifest;
    returns its folder in the cache, named OWNER--NAME.

    Raises:
        ImportError: huggingface_hub is not installed.
        WorldError: it can't be fetched, or is no world.
    """
    import_hub(f"fetching {repository}")
    name = check_name(repository.replace("/", "--"), "a repository's name")
    if (cached := find_cached(name)) is not None:
        return cached
    (manifest,) = fetch(repository, (MANIFEST,))
    listed = read_listed(manifest.parent)
    if len(listed) > MOST_FILES:
        raise WorldError(f"{repository} lists {len(listed)} files: at most {MOST_FILES} are taken")
    with new_in_cache(name) as folder:
        for file in (MANIFEST, *listed):
            target = _place(folder, file)
            (source,) = fetch(repository, (file,))
            _copy(source, target)
        check_world(folder)
    return cache_folder() / name


def _place(folder: Path, file: str) -> Path:
    """Where a listed file goes.

    Raises:
        WorldError: it would leave the folder.
    """
    path = folder / file
    if not path.resolve().is_relative_to(folder.resolve()):
        raise WorldError(f"the manifest names {file!r:.80}, which lies outside: don't use it")
    return path


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
