"""The starts that world folders carry, to be looked at before a network is loaded. Knows none."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from worldsim.paths import asset, asset_names
from worldsim.world.card import list_start_names, read_card
from worldsim.world.error import WorldError
from worldsim.zoo import cache_folder

CACHED = "[!.]*/card.json"
TRAINED = "runs/*/world"  # where trainings that were started here leave their worlds
MOST = 6  # frames of looking around before a start,
NEAR, ASIDE = 1.0, 1.1  # no farther from it, in the unit of poses, nor turned more, in radians


@dataclass(frozen=True, kw_only=True)
class WorldStarts:
    """A world and its starts.

    Attributes:
        world: what `play.py --world` takes: the name of a bundled world, or a folder.
        title: what a player calls it.
        fps: frames a second.
        names: of the starts.
        paths: their files.
    """

    world: str
    title: str
    fps: float
    names: tuple[str, ...]
    paths: tuple[Path, ...]


def list_worlds(here: Path) -> list[WorldStarts]:
    """The bundled worlds, those that were fetched, and those of trainings below `here`, that have
    starts; those whose card cannot be read are left out.
    """
    trained = sorted(path for path in here.glob(TRAINED) if (path / "card.json").is_file())
    folders = {name: asset("worlds", name) for name in asset_names("worlds")}
    folders |= {card.parent.name: card.parent for card in sorted(cache_folder().glob(CACHED))}
    folders |= {str(path): path for path in trained}
    found = (_read_starts(world, folder) for world, folder in folders.items())
    return [one for one in found if one is not None and one.paths]


def _read_starts(world: str, folder: Path) -> WorldStarts | None:
    try:
        card = read_card(folder / "card.json")
    except (WorldError, OSError):
        return None
    paths = tuple(sorted((folder / "spawns").glob("[!.]*.npz")))
    names = tuple(list_start_names(card, paths))
    return WorldStarts(world=world, title=card.title, fps=card.fps, names=names, paths=paths)


def read_clip(path: Path) -> np.ndarray | None:
    """The last frames of a start's context, as far as they show the start's own view and not what
    lay on the way: uint8 `[T,H,W,3]`; None where the file is damaged.
    """
    from worldsim.data.store import read_episode

    try:
        episode = read_episode(path)
    except (OSError, ValueError):
        return None
    near = MOST if episode.poses is None else min(MOST, count_near(episode.poses))
    return episode.frames[-near:].copy()


def count_near(poses: np.ndarray) -> int:
    """How many of the last poses, float `[T,3]`, are near the last one and turned as it is."""
    x, y, heading = poses[-1]
    far = np.hypot(poses[:, 0] - x, poses[:, 1] - y) > NEAR
    aside = np.abs(np.angle(np.exp(1j * (poses[:, 2] - heading)))) > ASIDE
    away = np.flatnonzero(far | aside)
    return len(poses) - 1 - int(away[-1]) if len(away) else len(poses)
