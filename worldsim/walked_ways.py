"""Ways between places that were passed: where one has walked, one can walk again.

    ways = WalkedWays(poses, world.actions, hop=0.8)
    action = ways.choose(pose, 12)                  # on the way to poses[12]; None: it is there

Poses are those of a context or an episode, as an engine or a dreamer tells them. Knows neither
walls nor pictures: a way leads from place to place, over hops short enough that nothing stands in
between.
"""

import math

import numpy as np

from worldsim.actions import ActionSet

AIMED = 0.7  # of a turn: so far off the way one strides on


class WalkedWays:
    """The shortest ways between places, and which action goes on along one.

    Args:
        poses: float `[T,3]` of the places, T at least 1.
        actions: the world's, which turn both ways and walk.
        hop: how far apart places are that lead to one another, in the unit of poses.
        near: how near to a place is there; less than a stride, and at least half of one.

    Attributes:
        poses: as given.
        lengths: float64 `[T,T]`, of the shortest way between two places; inf where none is known.

    Raises:
        ValueError: poses or actions that don't fit.
    """

    def __init__(
        self, poses: np.ndarray, actions: ActionSet, hop: float, near: float = 0.25
    ) -> None:
        self.poses, self._hop, self._near = np.asarray(poses, np.float64), hop, near
        if self.poses.ndim != 2 or self.poses.shape[1] != 3 or not len(self.poses):
            raise ValueError(f"poses must be [T, 3], T >= 1, got {list(self.poses.shape)}.")
        turns = np.array(actions.turns)
        if "forward" not in actions.names or not (turns > 0).any() or not (turns < 0).any():
            raise ValueError(
                f"actions must turn both ways and walk forward, got {', '.join(actions.names)}."
            )
        self._forward = actions.id("forward")
        self._left, self._right = int(turns.argmax()), int(turns.argmin())
        self._aimed = AIMED * float(turns.max())
        apart = np.linalg.norm(self.poses[:, None, :2] - self.poses[None, :, :2], axis=2)
        self.lengths = np.where(apart < hop, apart, np.inf)
        for by in range(len(apart)):  # Floyd and Warshall
            through = self.lengths[:, by : by + 1] + self.lengths[by]
            self.lengths = np.minimum(self.lengths, through)

    def choose(self, pose: np.ndarray, target: int) -> int | None:
        """The next action from a pose `[3]` to the place of that number; None where it is there.

        A pose away from all places goes to the nearest of them first.
        """
        ahead = self.poses[:, :2] - np.asarray(pose, np.float64)[:2]
        apart = np.linalg.norm(ahead, axis=1)
        if apart[target] <= self._near:
            return None
        # a little less than its length, so that of places on the same way the farthest is aimed at
        left = np.where(apart < self._hop, 0.9 * apart, np.inf) + self.lengths[:, target]
        dx, dy = ahead[left.argmin() if np.isfinite(left).any() else apart.argmin()]
        angle = math.remainder(math.atan2(dy, dx) - float(pose[2]), math.tau)
        if abs(angle) <= self._aimed:
            return self._forward
        return self._left if angle > 0 else self._right
