"""What a world says of itself: its card, and the starts that come with it. Knows no network."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from worldsim.paths import check_name
from worldsim.types import Episode
from worldsim.upgrades import upgrade_settings
from worldsim.world.checkpoint import WorldError

BUILDERS = {
    "far": "models.build.networks:build_far",
    "far-spatial": "models.build.spatial:build_spatial",
    "far-reference": "models.build.networks:build_far_reference",
}
FORMAT = 1


class Spawn(NamedTuple):
    """A place to start: frames uint8 `[T,H,W,3]`, actions int64 `[T-1]`, and a name; `origin` says
    how an engine finds the first frame again (`{"engine": id, "engine_seed": n}`), where known.
    """

    frames: np.ndarray
    actions: np.ndarray
    name: str
    origin: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class WorldCard:
    """What a world is. `fps` frames a second; `steps` sampler steps a frame unless told otherwise;
    `builder` a key of BUILDERS.
    """

    name: str
    title: str
    fps: float
    frame_size: int
    action_set: str
    engine: str
    licence: str
    builder: str
    steps: int
    settings: dict[str, Any]
    training: dict[str, Any]
    figures: dict[str, Any]
    format: int = FORMAT


def read_card(path: Path) -> WorldCard:
    """Read a world's card.

    Raises:
        WorldError: not a card, or one of a version or builder that is not known here.
    """
    try:
        card = upgrade_card(WorldCard(**json.loads(path.read_text(encoding="utf-8"))))
        check_name(card.name, "a world's name")
        check_name(card.action_set, "an action set's name")
        check_name(card.builder, "a builder's name")
    except (ValueError, TypeError) as error:
        raise WorldError(f"{path} is no world card ({error}): fetch the world again") from error
    if card.format != FORMAT:
        raise WorldError(
            f"{path} has format {card.format}, this program reads {FORMAT}: upgrade worldsim"
        )
    if card.builder not in BUILDERS:
        raise WorldError(
            f"{path} wants the builder {card.builder!r}, known are {', '.join(BUILDERS)}: upgrade "
            f"worldsim"
        )
    return card


def upgrade_card(card: WorldCard) -> WorldCard:
    """A card whose settings have their names of today."""
    return dataclasses.replace(card, settings=upgrade_settings(card.settings)[0])


def read_spawn(path: Path) -> Spawn:
    """Read a start from an episode's file."""
    from worldsim.data.store import read_episode

    episode: Episode = read_episode(path)
    meta = episode.meta
    known = meta.seed is not None and meta.world is None
    origin = {"engine": meta.source, "engine_seed": meta.seed} if known else None
    return Spawn(np.asarray(episode.frames), np.asarray(episode.actions), path.stem, origin)
