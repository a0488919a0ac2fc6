"""The episodes of a folder, whichever kind it is: recordings (of the window, of `worldsim rollout`)
or an episode store; and the environment they came from.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from worldsim.data.store import EpisodeStore
from worldsim.registration import ARGUMENTS, environments
from worldsim.types import Episode

META = "meta.json"  # a recording's folder has one


def read_episodes(folder: Path) -> Iterator[Episode]:
    """Every episode, recordings in the order of their folders' names.

    Raises:
        ValueError: there are none, or one is damaged.
    """
    found = sorted(folder.glob(f"*/{META}"))
    if found:
        from worldsim.runtime.recording.recording import read_recording

        yield from (read_recording(meta.parent).episode for meta in found)
        return
    store = EpisodeStore(folder)
    if not len(store):
        raise ValueError(f"{folder} holds no recordings and no episodes.")
    yield from store


def find_environment(folder: Path) -> tuple[str, dict[str, Any]] | None:
    """The Gymnasium id and arguments that made the first episode; None where it is none of ours.

    A world's folder is named in full, so that it is found from elsewhere.
    """
    metas = sorted(folder.glob(f"*/{META}"))
    if metas:
        from worldsim.runtime.recording.recording import read_recording

        identity = read_recording(metas[0].parent).identity
        name, kwargs = identity.environment, dict(identity.kwargs)
    else:
        name, kwargs = EpisodeStore(folder).meta(0).source, {}
    if name not in environments() or not set(kwargs) <= ARGUMENTS:
        return None
    if isinstance(world := kwargs.get("world"), str) and Path(world).is_dir():
        kwargs["world"] = str(Path(world).resolve())
    return name, kwargs
