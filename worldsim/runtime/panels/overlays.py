"""Pictures beside the frame: ground truth, and the memory. A sink for both.

Watching must not stop play: a panel that fails is closed, and says why.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from worldsim.runtime.core.moves import Point, Step
from worldsim.runtime.core.pane_layout import NO_STRIP, Pane, Strip
from worldsim.runtime.core.sinks import Sink
from worldsim.runtime.panels.space_memory import SpaceMemory
from worldsim.told import read_told, tell

if TYPE_CHECKING:
    from worldsim.runtime.panels.comparison import RerunPanel
    from worldsim.runtime.panels.ground_truth import GroundTruthPanel
    from worldsim.runtime.panels.memory_strip import Memory

logger = logging.getLogger(__name__)
CURVE = 240  # frames of the curve that are shown
STARTING = tell("The engine that draws the truth is starting ...")


class Overlays(Sink):
    """Ground truth and memory of a session, where they are shown.

    Attributes:
        panel: None when nobody asked.
        memory: None when nobody asked.
        space: what is shown of a memory in space.
        trouble: why the panel was closed; empty while all is well.
        coming: the panel whose engine is starting; None when none is.
    """

    def __init__(self) -> None:
        self.panel: GroundTruthPanel | RerunPanel | None = None
        self.memory: Memory | None = None
        self.space = SpaceMemory()
        self.trouble = ""
        self.coming: GroundTruthPanel | None = None

    @property
    def doing(self) -> str:
        """What is waited for, while play goes on; empty for nothing."""
        return STARTING if self.coming is not None else ""

    def begin(self, point: Point) -> None:
        """A line begins."""
        if self.panel is not None:
            self._try(lambda panel: panel.begin(point))

    def step(self, step: Step) -> None:
        """A move was made."""
        if self.panel is not None:
            self._try(lambda panel: panel.step(step))

    def close(self) -> None:
        """Close the panel's engine, also one that is starting."""
        coming, self.coming = self.coming, None
        if coming is not None:
            coming.close()
        self.drop_panel()

    def drop_panel(self) -> None:
        """Show the frame alone."""
        panel, coming = self.panel, self.coming
        self.panel = self.coming = None
        if panel is not None:
            panel.close()
        if coming is not None:
            coming.close(waits=False)

    def _try(self, call: Callable[[Any], Any]) -> Any:
        try:
            return call(self.panel)
        except Exception as error:
            logger.error("Ground truth failed.", exc_info=error)
            self.drop_panel()
            self.trouble = tell("The truth is lost: {reason}", reason=read_told(error))
            return None

    def panes(self, number: int, frame: np.ndarray | None) -> tuple[Pane, ...]:
        """Truth, dream and difference at a frame's number; empty without a panel."""
        if self.panel is None or frame is None:
            return ()
        return self._try(lambda panel: panel.panes(number, frame)) or ()

    def curve(self, number: int) -> tuple[float, ...]:
        """dB of the newest frames up to a number."""
        return () if self.panel is None else self.panel.curve(number)[-CURVE:]

    def strip(self) -> Strip:
        """What is remembered."""
        return NO_STRIP if self.memory is None else self.memory.strip()
