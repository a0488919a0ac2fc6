"""Which frames a dream with a memory in space remembers, for worldsim/memory_levels.py. Reads a
carry, changes none.
"""

from typing import TYPE_CHECKING

from worldsim.memory_levels import Level

if TYPE_CHECKING:
    from models.spatial.carry import SpatialCarry
    from models.spatial.dynamics import SpatialDynamics


def levels_of(dynamics: "SpatialDynamics", carry: "SpatialCarry") -> list[Level]:
    """The levels of the first dream of a carry, in the order of the keys that it attends to.

    The first one is the frame that is being made; it is no memory, so it holds no frame. The last
    one is the bank: its frames are rendered, not attended to, so they have no keys.
    """
    ids = carry.cache.ids[0]
    cached = [
        Level(name, ids[span.frames].tolist(), span.tokens) for name, span in dynamics.spans.items()
    ]
    own = Level("frame", [-1], dynamics.cfg.fine_tokens)
    return [own, *cached, Level("bank", carry.bank.ids[0].tolist(), 0)]
