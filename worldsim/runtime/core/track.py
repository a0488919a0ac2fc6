"""Where play has been since its start, and the way back to any place on it."""

from collections.abc import Iterator

import numpy as np

from worldsim.runtime.core.moves import Move, Moves, Point, Start, Step
from worldsim.runtime.core.playable_env import Outcome, PlayableEnv
from worldsim.runtime.core.state_history import History, Moment
from worldsim.told import tell


class Track:
    """One line of play in one place: its start, its moves, and a memory to go back with.

    Args:
        place: where it happens.
        start: how it began.
        outcome: what is to be seen now.
        moves: the moves made before now; none at a start.
    """

    def __init__(
        self, place: PlayableEnv, start: Start, outcome: Outcome, moves: Moves | None = None
    ) -> None:
        self.place = place
        self.start = start
        self.moves = Moves() if moves is None else moves
        moment = Moment(frame=outcome.frame, pose=outcome.pose)
        self.history = History(
            len(self.moves), moment, self._clone_state(), budget=place.budget, weigh=place.weigh
        )

    @property
    def number(self) -> int:
        """How many moves were made since the start."""
        return len(self.moves)

    @property
    def frame(self) -> np.ndarray:
        """The newest frame."""
        return self.history[self.number].frame

    def add(self, move: Move, outcome: Outcome) -> None:
        """A move was made, and this came of it."""
        self.moves.append(move)
        state = self._clone_state() if self.history.wants_state(self.number) else None
        moment = Moment(frame=outcome.frame, pose=outcome.pose, reward=outcome.reward)
        self.history.add(self.number, moment, state)

    def reach(self) -> str:
        """How far one can go back, and what that costs, in words."""
        seconds = (self.number - self.history.first) / (self.place.fps or 1.0)
        megabytes = self.history.bytes / 2**20
        each = seconds / max(megabytes, 1e-6)
        return (
            tell("{seconds:.0f} s, {each:.1f} s/MB", seconds=seconds, each=each) if seconds else ""
        )

    def point(self, number: int | None = None) -> Point:
        """Where the track was at a number that is still known, or is now, for somebody who keeps
        what follows.
        """
        number = self.number if number is None else number
        moment, lead_in = self.history[number], self.moves.array()[:number]
        return Point(
            start=self.start,
            lead_in=lead_in,
            frame=moment.frame,
            pose=moment.pose,
            lead_controls=self.moves.controls(number),
        )

    def steps_after(self, number: int) -> list[Step]:
        """The moves after a number that is still known, with what each of them made."""
        steps = []
        for index in range(number, self.number):
            moment, move = self.history[index + 1], self.moves[index]
            step = Step(
                number=index + 1,
                move=move,
                seconds=0.0,
                frame=moment.frame,
                pose=moment.pose,
                reward=moment.reward,
            )
            steps.append(step)
        return steps

    def go_back(self, number: int) -> Iterator[int]:
        """Bring the place back to an earlier number; what came after is forgotten.

        A nearby state is restored and the few moves after it are made again, one for each item.

        Yields:
            How many moves are left to be made again.

        Raises:
            ValueError: the world does not make the same frames again.
        """
        found, state = self.history.keyframe(number)
        self.place.restore(state)
        yield number - found
        for index in range(found, number):
            outcome = self.place.step(self.moves[index])
            if not np.array_equal(outcome.frame, self.history[index + 1].frame):
                raise ValueError(
                    tell(
                        "Frame {number} came out differently when it was made again: this world is "
                        "not deterministic here, so its past is lost. Enter or U starts again.",
                        number=index + 1,
                    )
                )
            yield number - index - 1
        self.history.cut(number)
        self.moves.cut(number)

    def _clone_state(self) -> object:
        return self.place.clone() if self.place.rewinds else None
