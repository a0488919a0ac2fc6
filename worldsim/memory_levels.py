"""Which frames a dream remembers, level by level. For a strip of thumbnails.

    levels = recollect(world, state)

A dynamics need not know of it: a function of RECOLLECTIONS reads it and its carry. What the newest
frame looked at among them is in attention_probe.py.
"""

import importlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from worldsim.world.model import WorldModel
    from worldsim.world.state import WorldState

RECOLLECTIONS = {
    "far": "models.far.memory_levels:levels_of",
    "far-spatial": "models.spatial.memory_levels:levels_of",
    "videoar": "models.videoar.memory_levels:levels_of",
    "videoar-spatial": "models.videoar_spatial.memory_levels:levels_of",
}
"""Builder of a world -> `module:function`, from a dynamics and a carry to the levels of its first
dream.
"""


class Level(NamedTuple):
    """One level of a memory.

    Attributes:
        name: e.g. "window".
        frames: numbers of the frames held, counted from the first context frame; -1: none.
        tokens: how many keys each of them has; 0 where it is remembered, but not attended to.
    """

    name: str
    frames: list[int]
    tokens: int


def recollect(world: "WorldModel", state: "WorldState") -> list[Level]:
    """What the first dream of a state remembers, in the order of its keys; nothing where the
    world's dynamics does not tell.
    """
    card = world.card
    target = RECOLLECTIONS.get(getattr(card, "builder", ""))
    if target is None:
        return []
    module, function = target.split(":")
    return getattr(importlib.import_module(module), function)(world.dynamics, state.carry)
