"""Going through the time of a game: back over remembered frames, then there for real."""

from collections.abc import Iterator

import numpy as np

from worldsim.runtime.core.clock import Clock, Pacer
from worldsim.runtime.core.control import Latch
from worldsim.runtime.core.loading_stage import LoadingStage
from worldsim.runtime.core.playthrough import Playthrough
from worldsim.told import tell

REWIND_FPS = 30.0


class Scrub:
    """One journey. While the key is down it only shows frames; the world follows afterwards.

    Args:
        playthrough: what is played.
        holds: the key that is held to go back.
        clock: where the time comes from.

    Attributes:
        frame: uint8 `[H,W,3]`, the frame to be seen now.
        cursor: its number.
        arrived: whether play can go on.
        wait: what is waited for, for the player.
    """

    def __init__(self, playthrough: Playthrough, holds: Latch, clock: Clock) -> None:
        self.frame: np.ndarray = playthrough.frame
        self.cursor = playthrough.track.number
        self.arrived = False
        self.wait: LoadingStage | None = None
        self._game = playthrough
        self._holds = holds
        self._pacer = Pacer(REWIND_FPS, clock)
        self._journey: Iterator[int] | None = None

    def back(self, frames: int) -> None:
        """Show an earlier frame, or the earliest that is remembered."""
        history = self._game.track.history
        self._pacer.beat()
        self.cursor = max(history.first, self.cursor - frames)
        self.frame = history[self.cursor].frame

    def follow(self, journey: Iterator[int] | None = None) -> None:
        """Set the world on its way: by default to the frame that is shown."""
        self._journey = journey or self._game.go_back(self.cursor)

    def tick(self) -> bool:
        """Go on a little: a frame back, or one move made again; False when it is not yet time."""
        if self._journey is None:
            return self._scrub()
        left = next(self._journey, None)
        if left is None:
            self.arrived, self.wait = True, None
            self.frame = self._game.frame
        else:
            self.wait = LoadingStage(tell("coming back, {left} to go", left=left), 1 / (1 + left))
        return True

    def _scrub(self) -> bool:
        if self._pacer.remaining():
            return False
        if self._holds.take():
            self.back(1)
        else:
            self.follow()
        return True
