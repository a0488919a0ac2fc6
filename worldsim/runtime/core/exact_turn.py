"""An angle that is still to be turned by: with each frame as much of it as the world's continuous
actions allow, whatever else is done in that frame.
"""

import math

from worldsim.actions import ActionSet
from worldsim.controls import STRIDE, TURN, ControlLimits, name_controls
from worldsim.runtime.core.control import Choice, choose_taken

MOST = 8  # frames that a turn may last: a drag that asks for more was meant for a faster world


class ExactTurn:
    """What is left of the turns that were asked for, in degrees."""

    def __init__(self) -> None:
        self._angle = 0.0

    def add(self, angle: float, limits: ControlLimits) -> None:
        """Turn by so many degrees more."""
        most = MOST * limits.turn
        self._angle = min(max(self._angle + angle, -most), most)

    def join(
        self, choice: Choice | None, actions: ActionSet, limits: ControlLimits | None
    ) -> Choice | None:
        """What is done in the next frame, a choice or None, and the turn besides.

        Args:
            choice: one that no control equals waits for nobody, and the turn waits for it.
            actions: the world's.
            limits: of its continuous actions; None where it has none, and nothing is turned.
        """
        if limits is None or not self._angle:
            return choice
        turn, stride = (0.0, 0.0) if choice is None else read_choice(choice, actions)
        if math.isnan(turn):  # it is no turn and no stride
            return choice
        turned = min(max(turn + self._angle, -limits.turn), limits.turn)
        self._angle -= turned - turn
        made = choose_taken((turned, min(stride, limits.stride)), actions)
        pressed_at = None if choice is None else choice.pressed_at
        return Choice(action=made.action, control=made.control, pressed_at=pressed_at)

    def drop(self) -> None:
        """What is left does not count any more."""
        self._angle = 0.0


def read_choice(choice: Choice, actions: ActionSet) -> tuple[float, float]:
    """A choice as turn and stride; NaN where no control equals it."""
    if choice.control is not None:
        return choice.control
    row = name_controls(actions)[choice.action]
    return float(row[TURN]), float(row[STRIDE])
