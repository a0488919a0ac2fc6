"""Walking to a place that was clicked on: turns towards it, then strides, from the pose of each
frame. Knows no screen.
"""

import math
from collections.abc import Iterable

import numpy as np

from worldsim.actions import ActionSet
from worldsim.told import tell

LEAST = 0.05  # in the unit of poses: nearer than this is there, and less than this is no stride
SLOW = 0.25  # of a stride: one that comes nearer by less is blocked, or has passed the place
AIMED, ASTRAY = 0.5, 0.75  # of a turn: how well it is turned to begin with, and when it is again


class ClickWalk:
    """The way to a place, one action a frame.

    Args:
        target: x and y of the place.
        actions: the world's.
        strides: lengths of earlier strides, of which the longest is a whole one.

    Attributes:
        blocked: whether it ended more than a stride before the place.

    Raises:
        ValueError: the actions do not walk, or do not turn.
    """

    def __init__(
        self, target: tuple[float, float], actions: ActionSet, strides: Iterable[float] = ()
    ) -> None:
        if not actions.walks or not any(actions.turns):
            raise ValueError(
                tell("This world's moves do not walk and turn: a click leads nowhere.")
            )
        names = [actions.names[action] for action in actions.walks]
        self._forward = actions.walks[names.index("forward") if "forward" in names else 0]
        self._target, self._turns = target, actions.turns
        self._stride = max(strides, default=0.0)
        self._turning = True
        self._strode_from: tuple[float, float] | None = None
        self.blocked = False

    def choose(self, pose: np.ndarray) -> int | None:
        """The next action at a pose `[3]`; None where the walk is over."""
        x, y, heading = map(float, pose)
        left = math.dist((x, y), self._target)
        before, self._strode_from = self._strode_from, None
        if before is not None and not self._came_nearer(before, (x, y)):
            self.blocked = left > self._stride
            return None
        if left <= max(LEAST, self._stride / 2):
            return None
        bearing = math.atan2(self._target[1] - y, self._target[0] - x)
        turn = self._turn_by(math.remainder(bearing - heading, math.tau))
        if turn is None:
            self._strode_from = x, y
            return self._forward
        return turn

    def _came_nearer(self, before: tuple[float, float], now: tuple[float, float]) -> bool:
        self._stride = max(self._stride, math.dist(before, now))
        nearer = math.dist(before, self._target) - math.dist(now, self._target)
        return nearer >= max(LEAST, SLOW * self._stride)

    def _turn_by(self, angle: float) -> int | None:
        """The action that turns towards an angle; None where no turn comes nearer to it."""
        both = [number for number, turn in enumerate(self._turns) if turn]
        action = next((number for number in both if self._turns[number] * angle > 0), both[0])
        allowed = (AIMED if self._turning else ASTRAY) * abs(self._turns[action])
        self._turning = abs(angle) > allowed + 1e-3
        return action if self._turning else None
