"""How far away what a dream's newest picture shows is, and which place a pixel of it shows.

A dynamics that knows keeps `inverse_depth` in its carry and names its camera; others have no view.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from worldsim.told import tell
from worldsim.world.arrays import to_numpy

if TYPE_CHECKING:
    from worldsim.world.base import World
    from worldsim.world.state import WorldState


class DepthView(NamedTuple):
    """One picture's depth, and where it was seen from.

    Attributes:
        inverse_depth: float32 `[n,n]`, 1 / depth along the viewing axis, in the unit of poses.
        pose: float32 `[3]`: x, y, heading in radians, counter-clockwise.
        field_of_view: degrees, of the width and of the height.
        far: depth from which on everything is equally far.
    """

    inverse_depth: np.ndarray
    pose: np.ndarray
    field_of_view: float
    far: float

    def locate(self, across: float, down: float) -> tuple[float, float]:
        """x and y of what is seen at a place of the picture, as a level pinhole camera sees it
        (models/memory/pinhole.py).

        Args:
            across: 0 at the left edge to 1 at the right one.
            down: 0 at the upper edge to 1 at the lower one.

        Raises:
            ValueError: outside of the picture, or too far to be told from the sky.
        """
        if not (0 <= across < 1 and 0 <= down < 1):
            raise ValueError(f"a place in the picture must be in [0, 1), got {across}, {down}")
        size = len(self.inverse_depth)
        inverse = float(self.inverse_depth[int(down * size), int(across * size)])
        depth = 1 / max(inverse, 1 / self.far)
        if depth >= self.far / 2:
            raise ValueError(tell("That is too far to walk to: click on something nearer."))
        left = (1 - 2 * across) * math.tan(math.radians(self.field_of_view / 2)) * depth
        x, y, heading = map(float, self.pose)
        cos, sin = math.cos(heading), math.sin(heading)
        return x + depth * cos - left * sin, y + depth * sin + left * cos


def read_depth_view(world: "World", state: "WorldState") -> DepthView | None:
    """The view of the first dream of a state; None where the world does not know distances."""
    inverse_depth = getattr(state.carry, "inverse_depth", None)
    if inverse_depth is None or state.poses is None:
        return None
    dynamics = world.dynamics
    found = to_numpy(inverse_depth[0]).astype(np.float32)
    return DepthView(found, state.poses[0], dynamics.field_of_view, dynamics.far)
