"""When there is something to hear: steps, bumps, and where the dream begins to remember or to
invent. Plays nothing.
"""

import numpy as np

from worldsim.actions import ActionSet
from worldsim.controls import STRIDE
from worldsim.runtime.core.moves import Step

STEP, BUMP, RECALL, INVENTION = CUES = "step", "bump", "recall", "invention"
BLOCKED = 0.25  # of the longest step so far; one that got less far met something
REMEMBERED, INVENTED = 0.7, 0.3  # shares of a picture; between them nothing changes
SHORTEST = 1e-3  # in the unit of poses


class SoundCues:
    """Finds the cue of each step, from its action and the pose that odometry gave it."""

    def __init__(self) -> None:
        self._pose: np.ndarray | None = None
        self._longest = SHORTEST
        self._recalls: bool | None = None

    def begin(self, pose: np.ndarray | None) -> None:
        """Steps follow one another from here.

        Args:
            pose: float32 `[3]`, or None where unknown.
        """
        self._pose, self._recalls = pose, None

    def find_step(self, step: Step, actions: ActionSet) -> str | None:
        """STEP or BUMP for an action that walks, None for any other.

        Args:
            step: what was made.
            actions: the world's.
        """
        before, self._pose = self._pose, step.pose
        stride = _find_stride(step, actions)
        if not stride:
            return None
        if before is None or step.pose is None:
            return STEP
        length = float(np.hypot(*(step.pose[:2] - before[:2])))
        self._longest = max(self._longest, length)
        return BUMP if length < BLOCKED * stride * self._longest else STEP

    def find_change(self, share: float | None) -> str | None:
        """RECALL or INVENTION where the picture has come to be mostly the one or the other.

        Args:
            share: 0 to 1, how much of the newest frame memory showed; None where nobody knows.
        """
        if share is None or INVENTED < share < REMEMBERED:
            return None
        before, self._recalls = self._recalls, share >= REMEMBERED
        if before is None or before == self._recalls:
            return None
        return RECALL if self._recalls else INVENTION


def _find_stride(step: Step, actions: ActionSet) -> float:
    """How much of a whole step was tried."""
    control = step.move.control
    return float(step.move.action in actions.walks) if control is None else control[STRIDE]
