"""Which frames a FAR dream remembers, for worldsim/memory_levels.py. Reads a carry, changes
none.
"""

from models.far.carry import FARCarry
from models.far.dynamics import FARDynamics
from models.far.kv_cache import levels
from worldsim.memory_levels import Level


def levels_of(dynamics: FARDynamics, carry: FARCarry) -> list[Level]:
    """The levels of the first dream of a carry, in the order of the cache's slots.

    The last one is the frame that is being made; it is no memory, so it holds no frame.
    """
    cache = carry.cache
    return [
        Level(name, cache.level_ids(name)[0].tolist(), tokens)
        for name, (_, tokens) in levels(cache.cfg).items()
    ]
