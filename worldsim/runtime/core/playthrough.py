"""What is played: a place, the track through it, and everyone who watches. Knows no time of day.

The session decides when something happens; here it happens, and the sinks are told.
"""

from collections.abc import Generator, Iterator, Sequence

import numpy as np

from worldsim.runtime.core.clock import Clock
from worldsim.runtime.core.moves import Move, Start, Step
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.core.sinks import Sink
from worldsim.runtime.core.track import Track


class Playthrough:
    """A place being played from a start.

    Args:
        place: the world.
        start: where play begins.
        sinks: who watches.
        clock: what steps are timed with.

    Attributes:
        track: where play has been since its start.
        made: how many frames were made in all.
        ended: whether the episode is over.
        lost: whether the world failed, so that it must be brought back (`go_back`) to go on.
    """

    def __init__(
        self, place: PlayableEnv, start: Start, sinks: Sequence[Sink], clock: Clock
    ) -> None:
        self.place = place
        self.made = 0
        self.ended = self.lost = False
        self._sinks = sinks
        self._clock = clock
        self.track = Track(place, start, place.reset(start))
        self._tell_begin()

    @property
    def frame(self) -> np.ndarray:
        """The newest frame."""
        return self.track.frame

    def begin(self, start: Start, why: str) -> None:
        """Leave the line and begin another."""
        self.lost = True
        self._enter(Track(self.place, start, self.place.reset(start)), why)

    def make(self, move: Move, pressed_at: float | None = None) -> None:
        """Make the frame a move leads to, and show it to everyone."""
        assert not self.ended
        assert not self.lost
        began = self._clock.now()
        try:
            outcome = self.place.step(move)
        except BaseException:
            self.lost = True
            raise
        seconds = self._clock.now() - began
        self.track.add(move, outcome)
        self.made += 1
        self.ended = outcome.ended
        step = Step(
            number=self.track.number,
            move=move,
            frame=outcome.frame,
            reward=outcome.reward,
            pose=outcome.pose,
            seconds=seconds,
            pressed_at=pressed_at,
            terminated=outcome.terminated,
        )
        for sink in self._sinks:
            sink.step(step)

    def go_back(self, number: int) -> Iterator[int]:
        """Go back to an earlier number, or bring a lost world back to the newest.

        Yields:
            How many moves are left to be made again.
        """
        rewinds = number < self.track.number
        self.lost = True
        yield from self.track.go_back(number)
        if rewinds:
            self._enter(self.track, "rewound")
        self.lost = False

    def load(self, way: Generator[int, None, Track]) -> Iterator[int]:
        """Follow the way to a saved track, and go on from its end.

        Yields:
            How many moves are left to be made again.
        """
        self.lost = True
        self._enter((yield from way), "loaded")

    def _enter(self, track: Track, why: str) -> None:
        for sink in self._sinks:
            sink.end(why)
        self.track = track
        self.ended = self.lost = False
        self._tell_begin()

    def _tell_begin(self) -> None:
        for sink in self._sinks:
            sink.begin(self.track.point())
