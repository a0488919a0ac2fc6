"""What a world says of itself: its card, and the starts that come with it. Knows no network."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from worldsim.controls import ControlLimits
from worldsim.paths import check_name
from worldsim.reading import check_number, check_text, read_json, reading
from worldsim.types import Episode
from worldsim.upgrades import upgrade_settings
from worldsim.world.error import WorldError

BUILDERS = {
    "far": "models.build.networks:build_far",
    "far-spatial": "models.build.spatial:build_spatial",
    "videoar": "models.build.videoar:build_videoar",
    "videoar-spatial": "models.build.videoar_spatial:build_videoar_spatial",
    "far-reference": "models.build.networks:build_far_reference",
}
FORMAT = 1
FPS = (0.1, 1000.0)
MOST_BYTES, MOST_TEXT, MOST_NESTED, MOST_ITEMS = 4 << 20, 500, 8, 1000
MOST_START_NAME = 60  # letters
MOST_SIZE, MOST_LAYERS = 2**16, 256
LAYERS = ("layers", "blocks", "depth")
EVERYTHING = ("window", "memory", "parameters")  # may say "all", which is 2**31


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
    `builder` a key of BUILDERS; `starts` names of starts by their files, without `.npz`;
    `continuous` what its continuous actions may say (`ControlLimits`), None where it has none.
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
    starts: dict[str, str] = field(default_factory=dict)
    continuous: dict[str, float] | None = None


def read_card(path: Path) -> WorldCard:
    """Read a world's card.

    Raises:
        WorldError: not a card, or one of a version or builder that is not known here.
    """
    with reading(path, "world card", "fetch the world again", WorldError):
        data = read_json(path, "world card", "fetch the world again", WorldError, MOST_BYTES)
        if not isinstance(data, dict):
            raise ValueError(f"it must hold names and values, got {type(data).__name__}")
        card = WorldCard(**data)
        _check_card(card)
        card = upgrade_card(card)
    if card.format != FORMAT:
        raise WorldError(
            f"{path} has format {card.format}, this program reads {FORMAT}: upgrade worldsim"
        )
    if card.builder not in BUILDERS:
        raise WorldError(
            f"{path} needs the builder {card.builder!r}, known are {', '.join(BUILDERS)}: upgrade "
            f"worldsim"
        )
    return card


def upgrade_card(card: WorldCard) -> WorldCard:
    """A card whose settings have their names of today."""
    return dataclasses.replace(card, settings=upgrade_settings(card.settings)[0])


def _check_card(card: WorldCard) -> None:
    check_name(card.name, "a world's name")
    check_name(card.action_set, "an action set's name")
    check_name(card.builder, "a builder's name")
    for name in ("title", "engine", "licence"):
        check_text(getattr(card, name), name, MOST_TEXT)
    check_number(card.fps, "fps", *FPS)
    check_number(card.frame_size, "frame_size", 8, 2048, whole=True)
    check_number(card.steps, "steps", 1, 1000, whole=True)
    check_number(card.format, "format", 0, 2**31, whole=True)
    for name in ("settings", "training", "figures"):
        if not isinstance(getattr(card, name), dict):
            raise ValueError(f"{name} must be named values, got {getattr(card, name)!r:.40}")
    check_sizes(card.settings)
    if card.continuous is not None:
        _check_continuous(card.continuous)
    if not isinstance(card.starts, dict) or len(card.starts) > MOST_ITEMS:
        raise ValueError(f"starts must be names by file, got {card.starts!r:.40}")
    for stem, name in card.starts.items():
        check_text(name, f"starts.{stem!s:.40}", MOST_START_NAME)


def _check_continuous(told: object) -> None:
    if not isinstance(told, dict) or set(told) != {"turn", "stride"}:
        raise ValueError(f"continuous must have the keys turn and stride, got {told!r:.40}")
    ControlLimits(**told)


def list_start_names(card: WorldCard, paths: Sequence[Path]) -> list[str]:
    """What starts are called: as the card says, otherwise by their place, from "Start 1"."""
    return [card.starts.get(path.stem, f"Start {n}") for n, path in enumerate(paths, 1)]


def check_sizes(settings: Any, name: str = "settings", depth: int = 0) -> None:
    """Bounds that hold for every setting of a network, before anything is made of it.

    Raises:
        ReadError: a number or a list that no network has.
    """
    if depth > MOST_NESTED:
        raise ValueError(f"{name} is nested too deep")
    if isinstance(settings, int | float) and not isinstance(settings, bool):
        last = name.rpartition(".")[2]
        most = MOST_LAYERS if last in LAYERS else 2**31 if last in EVERYTHING else MOST_SIZE
        check_number(settings, name, -most, most)
    if isinstance(settings, dict | list) and len(settings) > MOST_ITEMS:
        raise ValueError(f"{name} has {len(settings)} values, at most {MOST_ITEMS} are read")
    items: Iterable[tuple[Any, Any]] = settings.items() if isinstance(settings, dict) else ()
    for key, value in enumerate(settings) if isinstance(settings, list) else items:
        check_sizes(value, f"{name}.{key!s:.40}", depth + 1)


def read_spawn(path: Path, name: str) -> Spawn:
    """Read a start, which is called `name`, from an episode's file."""
    from worldsim.data.store import read_episode

    episode: Episode = read_episode(path)
    meta = episode.meta
    known = meta.seed is not None and meta.world is None
    origin = {"engine": meta.source, "engine_seed": meta.seed} if known else None
    return Spawn(np.asarray(episode.frames), np.asarray(episode.actions), name, origin)
