"""Who else shows pictures beside the frame: the ghost, and the memory. A sink for both.

Watching must not stop play: a ghost that fails is gone, and says why.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from worldsim.runtime.core.moves import Point, Step
from worldsim.runtime.core.pane_layout import NO_STRIP, Pane, Strip
from worldsim.runtime.core.sinks import Sink
from worldsim.runtime.panels.space_memory import SpaceMemory

if TYPE_CHECKING:
    from worldsim.runtime.panels.comparison import Beside
    from worldsim.runtime.panels.ground_truth import GroundTruthPanel
    from worldsim.runtime.panels.memory_strip import Memory

logger = logging.getLogger(__name__)
CURVE = 240  # frames of the curve that are shown


class Overlays(Sink):
    """The ghost and the memory of a session, as far as they were asked for.

    Attributes:
        ghost: None when nobody asked.
        memory: None when nobody asked.
        space: what is shown of a memory in space.
        trouble: why the ghost is gone; empty while all is well.
    """

    def __init__(self) -> None:
        self.ghost: GroundTruthPanel | Beside | None = None
        self.memory: Memory | None = None
        self.space = SpaceMemory()
        self.trouble = ""

    def begin(self, point: Point) -> None:
        """A line begins."""
        if self.ghost is not None:
            self._try(lambda ghost: ghost.begin(point))

    def step(self, step: Step) -> None:
        """A move was made."""
        if self.ghost is not None:
            self._try(lambda ghost: ghost.step(step))

    def close(self) -> None:
        """Let go of the ghost's engine."""
        self.drop_ghost()

    def drop_ghost(self) -> None:
        """Show the frame alone."""
        ghost, self.ghost = self.ghost, None
        if ghost is not None:
            ghost.close()

    def _try(self, call: Callable[[Any], Any]) -> Any:
        try:
            return call(self.ghost)
        except Exception as error:
            logger.error("The ghost failed.", exc_info=error)
            self.drop_ghost()
            self.trouble = f"The truth is lost: {error}"
            return None

    def panes(self, number: int, frame: np.ndarray | None) -> tuple[Pane, ...]:
        """Truth, dream and difference at a frame's number; empty without a ghost."""
        if self.ghost is None or frame is None:
            return ()
        return self._try(lambda ghost: ghost.panes(number, frame)) or ()

    def curve(self, number: int) -> tuple[float, ...]:
        """dB of the newest frames up to a number."""
        return () if self.ghost is None else self.ghost.curve(number)[-CURVE:]

    def strip(self) -> Strip:
        """What is remembered."""
        return NO_STRIP if self.memory is None else self.memory.strip()
