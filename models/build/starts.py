"""Which walks become the starts of a world, and what those are called.

    episodes = [store[i] for i in range(len(store))]
    chosen = [episodes[i] for i in rank_starts(episodes)[:8]]
    write_heads(chosen, folder / "spawns")      # before the world's manifest is written
    name_starts(folder, {"spawn0": "The red corridor"})

A start is good where there is something to see: play begins at the last frame of a walk's first
SPAWN_FRAMES, so its view should be open, and so should the views before it, which are all that the
dream knows. Openness is read from depth; where no walk has depth, their order stays.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from worldsim.types import Episode
from worldsim.world.card import read_card
from worldsim.world.checkpoint import CARD, SPAWNS, check_world, write_card

SPAWN_FRAMES = 65
FAR = 6.0  # cells; a view that reaches further is no more open
VARIETY = 0.5  # what a view unlike all chosen ones is worth, beside an openness of 0 to 1
THUMBNAIL = 4  # blocks a side that views are compared by


def measure_openness(depths: np.ndarray) -> float:
    """How far a view reaches, 0 (a wall before the eye) to 1.

    Args:
        depths: `[h,w]` along the viewing axis, in cells; of these the middle third of the rows is
            looked at, for floor and sky are far or near wherever one stands.
    """
    height = len(depths)
    band = depths[height // 3 : max(height // 3 + 1, height - height // 3)].astype(np.float64)
    return float(np.clip(band, 0, FAR).mean() / FAR)


def rank_starts(episodes: Sequence[Episode], frames: int = SPAWN_FRAMES) -> list[int]:
    """Numbers of episodes, the best start first.

    The first is the most open one; each further one is as open and as unlike those before it as can
    be. Ties keep their order.

    Args:
        episodes: walks of at least one frame.
        frames: how many of the first frames a start has.
    """
    if all(episode.depths is None for episode in episodes):
        return list(range(len(episodes)))
    heads = [min(frames, len(episode.frames)) for episode in episodes]
    pairs = list(zip(episodes, heads, strict=True))
    openness = np.array([_head_openness(episode, head) for episode, head in pairs])
    views = np.stack([_thumbnail(episode.frames[head - 1]) for episode, head in pairs])
    nearest, left, ranked = np.ones(len(pairs)), list(range(len(pairs))), []
    while left:
        best = max(left, key=lambda n: (openness[n] + VARIETY * nearest[n], -n))
        ranked.append(best)
        left.remove(best)
        nearest = np.minimum(nearest, np.abs(views - views[best]).mean(axis=1))
    return ranked


def _head_openness(episode: Episode, head: int) -> float:
    """Of the view that play begins with and of the context's views, the less open."""
    if episode.depths is None:
        return 0.0
    context = np.median([measure_openness(depths) for depths in episode.depths[:head]])
    return min(measure_openness(episode.depths[head - 1]), float(context))


def _thumbnail(frame: np.ndarray) -> np.ndarray:
    """Mean colours of THUMBNAIL x THUMBNAIL blocks, 0 to 1, flat."""
    height, width = (size // THUMBNAIL * THUMBNAIL for size in frame.shape[:2])
    blocks = frame[:height, :width].reshape(
        THUMBNAIL, height // THUMBNAIL, THUMBNAIL, width // THUMBNAIL, 3
    )
    return blocks.mean(axis=(1, 3)).ravel() / 255


def name_starts(folder: Path, names: Mapping[str, str]) -> str:
    """Write names of starts into the card of a world that is there; its identity stays.

    Args:
        folder: the world's.
        names: by file, without `.npz`, e.g. `{"spawn0": "The red corridor"}`.

    Returns:
        The world's identity.

    Raises:
        ValueError: a name is for a start that the world lacks.
    """
    there = {path.stem for path in (folder / SPAWNS).glob("[!.]*.npz")}
    if unknown := sorted(set(names) - there):
        raise ValueError(f"names must be for starts of {folder}, got {unknown[0]!r}")
    card = read_card(folder / CARD)
    write_card(folder, vars(dataclasses.replace(card, starts={**card.starts, **names})))
    return check_world(folder)
