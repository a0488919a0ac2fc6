"""Which frames a VideoAR dream with a memory in space remembers, for worldsim/memory_levels.py.
Reads a carry, changes none.
"""

from models.videoar.memory_levels import levels_of as token_levels_of
from models.videoar_spatial.carry import VideoARSpatialCarry
from models.videoar_spatial.dynamics import VideoARSpatialDynamics
from worldsim.memory_levels import Level


def levels_of(dynamics: VideoARSpatialDynamics, carry: VideoARSpatialCarry) -> list[Level]:
    """The levels of the first dream of a carry, in the order of the keys that it attends to. The
    bank comes last: its frames are rendered, not attended to, so they have no keys.
    """
    tokens = token_levels_of(dynamics.scales, carry.tokens)
    return [*tokens, Level("bank", carry.bank.ids[0].tolist(), 0)]
