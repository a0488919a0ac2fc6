"""A recording beside a rerun of it: the truth, or dreamt again.

A rerun gives the frame of a number; it is made when it is first asked for, and kept. Frames are
made in slices of time, so that a rerun which begins late in a long recording holds nobody up.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from worldsim.evaluate.metrics import psnr
from worldsim.registration import DREAM, make_named
from worldsim.runtime.core.moves import NO_NOISE, Moves, Point, Start, Step
from worldsim.runtime.core.pane_layout import Pane
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.panels.ground_truth import NOBODY_KNOWS, difference, label_difference
from worldsim.runtime.panels.ground_truth_source import find_truth
from worldsim.runtime.recording.recording import Recording
from worldsim.told import join, tell

CONTEXT = 64  # true frames an engine's recording gives a dream, at most
SLICE = 0.05  # seconds that making frames may hold up the window's figures
NO_TRUTH = tell("This recording has no ground truth: it did not start in an engine.")
NOT_YET = np.zeros(0, np.uint8)  # stands for no frame while a rerun goes to the recording's first


class Rerun:
    """Other frames of the same moves.

    Attributes:
        name: what they are called.
        behind: how many frames are to be made before the one that was asked for; 0 once it is.
    """

    name = ""

    def __init__(self) -> None:
        self.behind = 0
        self._frames: list[np.ndarray | None] = []
        self._making = self.make()

    def make(self) -> Iterator[np.ndarray | None]:
        """The frames one after another; NOT_YET for work that makes none."""
        raise NotImplementedError

    def frame(self, number: int) -> np.ndarray | None:
        """The frame uint8 `[H,W,3]` of a number of the recording; None where there is none, or
        where it is not made yet (`behind`).
        """
        until = time.monotonic() + SLICE
        while len(self._frames) <= number:
            made = next(self._making)
            if made is not NOT_YET:
                self._frames.append(made)
            if time.monotonic() >= until:
                break
        self.behind = max(number + 1 - len(self._frames), 0)
        return None if self.behind else self._frames[number]

    @property
    def newest(self) -> np.ndarray | None:
        """The last frame that was made."""
        return next((frame for frame in reversed(self._frames) if frame is not None), None)


class EngineRerun(Rerun):
    """What the engine shows where a dream was recorded.

    Args:
        recording: of a dream.
        env: the engine, unwrapped.

    Raises:
        ValueError: nobody knows where the dream began.
    """

    name = tell("truth")

    def __init__(self, recording: Recording, env: Any) -> None:
        self._truth = find_truth(recording.point.start, env)
        if self._truth is None:
            raise ValueError(NO_TRUTH)
        moves = [*recording.point.moves, *recording.moves]
        self._actions = [move.taken for move in moves]
        self._before = len(recording.point.lead_in)
        super().__init__()

    def make(self) -> Iterator[np.ndarray | None]:
        """The engine's frames."""
        for count in range(len(self._actions) + 1):
            frame = self._truth.frame(self._actions[:count])
            yield NOT_YET if count < self._before else frame


class DreamRerun(Rerun):
    """The same moves dreamt again, in the same world or in another.

    A dream's recording begins where it began; an engine's gives its first frames as the context,
    which are shown as they are.

    Args:
        recording: of the same actions as the world's.
        place: the dream's.

    Raises:
        ValueError: the world has other actions, or frames of another size.
    """

    name = tell("dreamt again")

    def __init__(self, recording: Recording, place: PlayableEnv) -> None:
        episode = recording.episode
        if list(place.actions.names) != _name_actions(recording):
            raise ValueError(
                tell("{world} has other actions than this recording.", world=place.identity)
            )
        size = place.base.world.card.frame_size
        if episode.frames.shape[1:] != (size, size, 3):
            raise ValueError(
                tell(
                    "{world} dreams {size} pixels, the recording has others.",
                    world=place.identity,
                    size=size,
                )
            )
        self._place, self._moves = place, recording.moves
        self._start, self._lead_in = recording.point.start, recording.point.moves
        self._given: list[np.ndarray] = []
        if self._start.context_frames is None:
            given = min(CONTEXT, (len(episode.frames) + 1) // 2)
            self._given = list(episode.frames[: given - 1])
            self._start = Start(
                seed=self._start.seed,
                context_frames=episode.frames[:given],
                context_actions=episode.actions[: given - 1],
                context_controls=None
                if episode.controls is None
                else episode.controls[: given - 1],
            )
            self._lead_in = Moves()
        super().__init__()

    def make(self) -> Iterator[np.ndarray | None]:
        """The dreamt frames."""
        place = self._place
        yield from self._given
        frame = place.reset(self._start).frame
        for move in self._lead_in:
            yield NOT_YET
            frame = place.step(move).frame
        yield frame
        for move in self._moves[len(self._given) :]:
            steps = move.steps or place.steps
            noise = place.noise if move.noise == NO_NOISE else move.noise
            yield place.step(move._replace(steps=steps, noise=noise)).frame


def _name_actions(recording: Recording) -> list[str]:
    from worldsim.actions import load_actions

    return list(load_actions(recording.episode.meta.action_set).names)


class RerunPanel:
    """The recording, a rerun, and their difference, as a sink that shows three panes.

    Args:
        rerun: what is beside the recording.
        close: lets go of what the rerun needs.
    """

    def __init__(self, rerun: Rerun, close: Callable[[], None]) -> None:
        self._rerun, self._close = rerun, close
        self._decibels: dict[int, float] = {}

    def begin(self, point: Point) -> None:
        """Nothing: a rerun is asked by number."""

    def step(self, step: Step) -> None:
        """Nothing: frames that were leapt over are not made."""

    def panes(self, number: int, frame: np.ndarray) -> tuple[Pane, ...]:
        """The recording, the rerun and their difference."""
        other = self._rerun.frame(number)
        recording = Pane(frame, tell("recording"), marked=True)
        if other is None:
            behind = self._rerun.behind
            late = join([self._rerun.name, tell("{behind} frames behind", behind=behind)], by=", ")
            last = Pane(self._rerun.newest, late if behind else NOBODY_KNOWS, dimmed=True)
            return recording, last, Pane(None, label_difference(None))
        decibels = self._decibels.setdefault(number, float(psnr(other, frame)))
        return (
            recording,
            Pane(other, self._rerun.name),
            Pane(difference(other, frame), label_difference(decibels)),
        )

    def curve(self, number: int) -> tuple[float, ...]:
        """PSNR in dB of the frames that were compared, up to a number."""
        return tuple(self._decibels[at] for at in sorted(self._decibels) if at <= number)

    def close(self) -> None:
        """Let go of the world or engine."""
        self._close()


class ComparisonPanel:
    """The reruns of one recording, one after another: none, the truth, dreamt again.

    Args:
        recording: what is shown.
        world: another world to dream it in; None for its own.
        device: where the network runs; None for where it ran.
    """

    def __init__(
        self, recording: Recording, world: str | None = None, device: str | None = None
    ) -> None:
        self._recording, self._world, self._device = recording, world, device
        is_dream = recording.identity.world_hash is not None
        self._makers = [*([self._open_truth] if is_dream else []), *self._list_dreams(is_dream)]
        self._next_index = 0

    def of(self, recording: Recording) -> "ComparisonPanel":
        """Those of another recording."""
        return ComparisonPanel(recording, self._world, self._device)

    def turn(self) -> RerunPanel | None:
        """The next rerun; None for the recording alone.

        Raises:
            ValueError: it cannot be had; the one after it comes next.
            ImportError: what it needs is not installed.
        """
        if not self._makers:
            raise ValueError(tell("There is nothing to show beside it: --world dreams it again."))
        at, self._next_index = self._next_index, (self._next_index + 1) % (len(self._makers) + 1)
        return None if at == len(self._makers) else self._makers[at]()

    def _list_dreams(self, is_dream: bool) -> list[Callable[[], RerunPanel]]:
        return [self._dream_again] if is_dream or self._world is not None else []

    def _open_truth(self) -> RerunPanel:
        options = self._recording.point.start.options
        if "engine" not in options:
            raise ValueError(NO_TRUTH)
        size = self._recording.episode.frames.shape[1]
        env = make_named(options["engine"], "the recording", {"size": size}).unwrapped
        return RerunPanel(EngineRerun(self._recording, env), env.close)

    def _dream_again(self) -> RerunPanel:
        identity = self._recording.identity
        environment = identity.environment if identity.world_hash else DREAM
        kwargs = dict(identity.kwargs) if identity.world_hash else {}
        chosen = {"world": self._world, "device": self._device}
        kwargs |= {name: value for name, value in chosen.items() if value is not None}
        env = make_named(environment, "the recording", kwargs)
        return RerunPanel(
            DreamRerun(self._recording, PlayableEnv(env, environment, kwargs)), env.close
        )
