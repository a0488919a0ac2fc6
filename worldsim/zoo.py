"""Worlds by name: bundled with the code, released by others and fetched on first use, or fetched
before. Knows names, sizes and the cache folder; fetching is models/zoo, reached by a string.
Imports what takes long where it is used: the help of commands needs names only.

    fetch_by_name("far-dmlab")      # the folder in the cache, made on first use
"""

import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from worldsim.paths import asset, asset_names
from worldsim.world.error import WorldError

HUB = "guyuchao/FAR_Models"
FETCHER = "models.zoo.fetch_world:make_released_world"
RELEASED_LICENCE = "unknown; code MIT"
UNKNOWN = "unknown"
REAL_TIME = 100e6  # bytes of weights that two cores play at the pace of the data; a rule of thumb


@dataclass(frozen=True, kw_only=True)
class ReleasedWorld:
    """A world that others released; see assets/configs/zoo/worlds.yaml.

    Attributes:
        title: what it is.
        kind: the preset of its network.
        far: the network's file in the hub's repository.
        autoencoder: the autoencoder's.
        parameters: of both, counted.
        starts: the bundled world that lends its starts; None for none.
        hub: the repository.
    """

    title: str
    kind: str
    far: str
    autoencoder: str
    parameters: int
    starts: str | None = None
    hub: str = HUB


@dataclass(frozen=True, kw_only=True)
class ZooRow:
    """A line of `worldsim zoo`.

    Attributes:
        name: what `--world` takes.
        title: what it is.
        size: of its folder in bytes; for one that is not here, of what it will be once imported.
        licence: what is known of it.
        source: "bundled", or where it is from.
        here: whether it can be played without a network.
    """

    name: str
    title: str
    size: int
    licence: str
    source: str
    here: bool

    @property
    def speed(self) -> str:
        """The speed class: what a machine must have for the pace of the data."""
        return "cpu" if self.size < REAL_TIME else "gpu"


def read_released() -> dict[str, ReleasedWorld]:
    """The released worlds by name."""
    from worldsim.config import from_dict, load_yaml

    told = load_yaml(asset("configs", "zoo", "worlds.yaml"))
    return {name: from_dict(ReleasedWorld, row, name) for name, row in told.items()}


def cache_folder() -> Path:
    """Where fetched worlds lie; it need not exist. WORLDSIM_CACHE names another folder."""
    if given := os.environ.get("WORLDSIM_CACHE"):
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_cache_dir("worldsim", appauthor=False)) / "worlds"


def find_cached(name: str) -> Path | None:
    """The folder of a world that was fetched before; None where there is none."""
    plain = Path(name).parts == (name,) and name not in ("", ".", "..")
    folder = cache_folder() / name
    return folder if plain and (folder / "card.json").is_file() else None


def fetch_by_name(name: str) -> Path | None:
    """The folder of a released or fetched world, which is fetched if it is not here; None for a
    name that is neither's.

    Raises:
        WorldError: it can't be fetched.
        ImportError: what fetching needs is not installed.
    """
    if (cached := find_cached(name)) is not None:
        return cached
    released = read_released().get(name)
    if released is None:
        return None
    module, function = FETCHER.split(":")
    return getattr(importlib.import_module(module), function)(name, released)


def list_zoo() -> Iterator[ZooRow]:
    """The worlds there are: bundled, released, and fetched from other repositories."""
    for name in asset_names("worlds"):
        yield _read_row(name, asset("worlds", name), "bundled")
    released = read_released()
    for name, world in released.items():
        here = find_cached(name)
        yield ZooRow(
            name=name,
            title=world.title,
            size=4 * world.parameters if here is None else measure_folder(here),
            licence=RELEASED_LICENCE,
            source=world.hub,
            here=here is not None,
        )
    for card in sorted(cache_folder().glob("[!.]*/card.json")):
        if card.parent.name not in released:
            yield _read_row(card.parent.name, card.parent, "fetched")


def measure_folder(folder: Path) -> int:
    """Bytes of a folder's files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _read_row(name: str, folder: Path, source: str) -> ZooRow:
    from worldsim.world.card import read_card

    try:
        card = read_card(folder / "card.json")
        title, licence = card.title, card.licence
    except (WorldError, OSError):
        title, licence = "damaged: fetch it again", UNKNOWN
    size = measure_folder(folder)
    return ZooRow(name=name, title=title, size=size, licence=licence, source=source, here=True)
