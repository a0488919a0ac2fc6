"""Turning by dragging the mouse: by the angle where the world has continuous actions, else by as
many turns of the world's own as the angle says.
"""

import math

from worldsim.actions import ActionSet
from worldsim.controls import Action, ControlLimits

VIEW = math.radians(90)  # the angle that a drag across the whole window turns by


class MouseTurn:
    """Adds up what was dragged, until it is enough for a turn."""

    def __init__(self) -> None:
        self._angle = 0.0

    def drag(
        self, pixels: int, width: int, actions: ActionSet, limits: ControlLimits | None = None
    ) -> tuple[Action, ...]:
        """The turns that a drag has completed.

        Args:
            pixels: how far to the right since the last call.
            width: pixels of the window.
            actions: the world's; none that turn that way, and nothing happens.
            limits: of its continuous actions; with these the turn is one, of any size.
        """
        angle = -VIEW * pixels / max(width, 1)  # to the right is clockwise
        if limits is not None:
            return ((math.degrees(angle), 0.0),) if angle else ()
        self._angle += angle
        way = 1 if self._angle > 0 else -1
        turns = [n for n, turn in enumerate(actions.turns) if turn * way > 0]
        if not turns:
            self._angle = 0.0
            return ()
        step = actions.turns[turns[0]]
        count = int(self._angle / step)
        self._angle -= count * step
        return (turns[0],) * count

    def release(self) -> None:
        """The button came up: what is left does not count for the next drag."""
        self._angle = 0.0
