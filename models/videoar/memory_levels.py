"""Which frames a VideoAR dream remembers, for worldsim/memory_levels.py. Reads a carry, changes
none.
"""

from models.videoar.carry import EMPTY, VideoARCarry
from models.videoar.dynamics import VideoARDynamics
from models.videoar.streaming import StreamingCarry, StreamingDynamics
from worldsim.memory_levels import Level


def levels_of(
    dynamics: VideoARDynamics | StreamingDynamics, carry: VideoARCarry | StreamingCarry
) -> list[Level]:
    """The levels of the first dream of a carry, in the order of the keys that it attends to; the
    last one is the frame that is being made, which is no memory. Of frames that share a latent the
    last is named.
    """
    if isinstance(dynamics, StreamingDynamics):
        window, newest = levels_of(dynamics.scales, carry.tokens)
        frames = [
            number if number == EMPTY else number * dynamics.stride for number in window.frames
        ]
        return [window._replace(frames=frames), newest]
    tokens = dynamics.frame_tokens
    return [Level("window", carry.ids[0].tolist(), tokens), Level("frame", [EMPTY], tokens)]
