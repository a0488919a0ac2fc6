"""Who is compared: a world, and how it is played, as `dmlab@steps=2,context_noise=0.3`."""

from dataclasses import dataclass, replace
from typing import Any

from worldsim.arguments import MOST

SETTINGS = {"steps": int, "context_noise": float, "device": str, "threads": int}


@dataclass(frozen=True)
class Contestant:
    """A world and how it is played; None for the world's own way.

    Attributes:
        name: as it was asked for.
        world: a bundled world's name, or a folder.
        steps: sampler steps a frame.
        context_noise: how much noise dreamt frames are remembered with.
        device: where the network runs.
        threads: of the processor.
    """

    name: str
    world: str
    steps: int | None = None
    context_noise: float | None = None
    device: str = "cpu"
    threads: int | None = None


def parse_contestant(text: str) -> Contestant:
    """The contestant that a text asks for.

    Raises:
        ValueError: a setting that is not known, or has no such value.
    """
    world, at, settings = text.partition("@")
    found: dict[str, Any] = {}
    for part in settings.split(",") if at else ():
        name, equals, value = part.partition("=")
        if name not in SETTINGS or not equals:
            raise ValueError(
                f"a world must be WORLD or WORLD@NAME=VALUE,... with the names "
                f"{', '.join(SETTINGS)}, got {text!r:.80}"
            )
        found[name] = _value(text, name, value)
    return Contestant(text, world, **found)


def _value(text: str, name: str, value: str) -> Any:
    try:
        converted = SETTINGS[name](value)
    except ValueError:
        raise ValueError(f"{text!r:.80}: {name} must be a number, got {value!r:.20}") from None
    if SETTINGS[name] is int and not 1 <= converted <= MOST:
        raise ValueError(f"{text!r:.80}: {name} must be at least 1, got {value!r:.20}")
    return converted


def number_names(contestants: list[Contestant]) -> list[Contestant]:
    """The same with names of their own: a text that is given twice is numbered, so that a world can
    be held against itself.
    """
    names: dict[str, int] = {}
    for one in contestants:
        names[one.name] = names.get(one.name, 0) + 1
    seen: dict[str, int] = {}
    told = []
    for one in contestants:
        seen[one.name] = seen.get(one.name, 0) + 1
        several = names[one.name] > 1
        told.append(replace(one, name=f"{one.name} ({seen[one.name]})") if several else one)
    return told
