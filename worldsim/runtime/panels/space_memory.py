"""What a dream with a memory in space can show of it: invented pixels, and a map.

Knows no network; other worlds are refused in one sentence.
"""

import numpy as np

from worldsim.runtime.core.pane_layout import Pane
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.told import tell

NEEDS = tell("needs a world with a memory in space")
MAP_PIXELS, REACH = 128, 4.0  # of the map, and the unit of poses from its middle to an edge
TINT = np.array((230, 159, 0), np.float32)  # of Okabe and Ito's palette
TINTED = 0.5


class SpaceMemory:
    """What is shown of the memory of one place.

    Attributes:
        tints: whether what is invented is coloured.
        maps: whether there is a map beside the picture.
    """

    def __init__(self) -> None:
        self.tints = self.maps = False

    def invented(self, place: PlayableEnv) -> np.ndarray | None:
        """bool `[H,W]` the pixels of the newest frame that are invented; None when not asked."""
        seen = place.seen if self.tints else None
        return None if seen is None else ~seen

    def panes(self, place: PlayableEnv, frame: np.ndarray) -> tuple[Pane, ...]:
        """The frame and the map; empty when not asked."""
        if not self.maps or not place.remembers_space:
            return ()
        above = Pane(place.draw_map(MAP_PIXELS, REACH), tell("from above"))
        return Pane(frame, tell("dream"), newest=True), above


def check_space(place: PlayableEnv) -> None:
    """Refuse a world without a memory in space.

    Raises:
        ValueError: one sentence.
    """
    if not (place.dreams and place.remembers_space):
        raise ValueError(
            tell("This world has no memory in space: it cannot tell what is invented.")
        )


def tint(frame: np.ndarray, invented: np.ndarray) -> np.ndarray:
    """A copy of a frame (uint8 `[H,W,3]`) in which the invented pixels (bool `[H,W]`) are coloured.

    Raises:
        ValueError: they are not of one size.
    """
    if invented.shape != frame.shape[:2]:
        raise ValueError(f"invented must be of shape {frame.shape[:2]}, got {invented.shape}")
    mixed = frame.astype(np.float32)
    mixed[invented] = (1 - TINTED) * mixed[invented] + TINTED * TINT
    return mixed.round().astype(np.uint8)
