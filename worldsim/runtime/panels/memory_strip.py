"""What a dream remembers, as thumbnails, and how much its newest frame looked at each.

Which frames are remembered, the dynamics says (worldsim/memory_levels.py); their pictures are those
that were shown. Knows no network.
"""

from contextlib import nullcontext

import numpy as np

from worldsim.memory_levels import Level, recollect
from worldsim.runtime.core.pane_layout import Pane, Strip
from worldsim.runtime.core.playthrough import Playthrough
from worldsim.told import Told, join, tell

MOST = {"window": 6, "recent_coarse": 6, "dilated": 8, "keyframes": 6}
"""Thumbnails a level; another level gets as many as the first."""
LEVELS = (*MOST, "coarse", "bank", "frame")
"""The levels of all dynamics that tell what they remember."""


class Memory:
    """The strip of thumbnails of one game.

    Args:
        playthrough: what is played.

    Raises:
        ValueError: it is no dream, or one whose dynamics does not tell.
    """

    def __init__(self, playthrough: Playthrough) -> None:
        self._game = playthrough
        self._watch = None
        if not levels_of(playthrough):
            raise ValueError(tell("This world does not tell what it remembers."))

    def toggle_attention(self) -> bool:
        """Watch what the next frames look at, or no more; whether it is watched now.

        Raises:
            ValueError: the world does not run on torch, whose attention alone can be watched.
        """
        if self._game.place.identity.kwargs.get("runtime", "torch") != "torch":
            raise ValueError(tell("Only a world that runs on torch tells what a frame looks at."))
        from worldsim.attention_probe import Watch

        self._watch = Watch() if self._watch is None else None
        self._game.place.watch = self._watch or nullcontext()
        return self._watch is not None

    def close(self) -> None:
        """Watch no more."""
        self._watch = None
        self._game.place.watch = nullcontext()

    def strip(self) -> Strip:
        """Thumbnails from the oldest level to the newest."""
        levels = levels_of(self._game)
        heats = None if self._watch is None else self._watch.heats(levels)
        panes = []
        for at, level in enumerate(levels):
            heat = heats[at] if heats else [None] * len(level.frames)
            held = [(f, h) for f, h in zip(level.frames, heat, strict=True) if f >= 0]
            for frame, warmth in _thin_level(sorted(held, key=lambda item: item[0]), level.name):
                panes.append(Pane(self._find_picture(frame), tell(level.name), warmth))
        return Strip(tuple(panes))

    def _find_picture(self, frame: int) -> np.ndarray | None:
        """The picture of a frame, by its number since the first context frame."""
        track = self._game.track
        context = track.start.context_frames
        if frame < len(context):
            return context[frame]
        number = frame - len(context) + 1
        history = track.history
        return history[number].frame if history.first <= number <= history.last else None


def levels_of(playthrough: Playthrough) -> list[Level]:
    """What is remembered now, level by level; nothing where the dynamics does not tell."""
    place = playthrough.place
    if not place.dreams or playthrough.lost:
        return []
    return recollect(place.base.world, place.base.memory)


def summarise_levels(playthrough: Playthrough) -> Told:
    """How many frames are remembered, level by level, e.g. "window 4, recent_coarse 21"."""
    counts = (
        (tell(level.name), sum(f >= 0 for f in level.frames)) for level in levels_of(playthrough)
    )
    return join([join([name, f" {count}"]) for name, count in counts if count], by=", ")


def _thin_level(held: list, name: str) -> list:
    """The level's frames, thinned evenly where they are many; the newest is among them."""
    most = MOST.get(name, next(iter(MOST.values())))
    if len(held) <= most:
        return held
    return [held[round(at)] for at in np.linspace(0, len(held) - 1, most)]
