"""A recording as a place: the session plays it like a world, and shows what was recorded."""

import dataclasses
from pathlib import Path

import numpy as np

from worldsim.actions import load_actions
from worldsim.runtime.core.control import Choice, Controller
from worldsim.runtime.core.moves import NO_NOISE, Move, Start
from worldsim.runtime.core.playable_env import Outcome
from worldsim.runtime.recording.recording import Recording, list_recordings
from worldsim.told import tell


class RecordingEnv:
    """Answers the calls of a PlayableEnv with what was recorded, whatever is asked.

    Args:
        recording: what to show.
        folder: where it lies; its neighbours can be shown too. None where it lies nowhere.

    Raises:
        ValueError: its action set is not known here.
    """

    rewinds, saves_state, samples, steps, noise = True, False, False, 0, NO_NOISE
    dreams, spawns, view, limits = False, (), None, None
    budget = 1 << 40  # the frames are in memory anyway
    ended = tell("The end: Left goes back, U to the beginning.")

    def __init__(self, recording: Recording, folder: Path | None = None) -> None:
        self.show(recording)
        self._folder = folder

    def show(self, recording: Recording) -> None:
        """Put another recording in."""
        self.fps = recording.fps
        self.identity = recording.identity
        self.position = 0
        # No key moves a recording; the names stay, to be shown.
        actions = load_actions(recording.episode.meta.action_set)
        self.actions = dataclasses.replace(actions, keys={}, idle=None)
        self.recording = recording

    @property
    def left(self) -> int:
        """How many frames are still to come."""
        return len(self.recording.episode.actions) - self.position

    def list_neighbours(self) -> list[Path]:
        """The recordings beside this one, newest first, itself included."""
        if self._folder is None:
            return []
        return list(list_recordings(self._folder.resolve().parent))[::-1]

    def start(self, seed: int, spawn: int | None = None) -> Start:
        """A recording has one start."""
        return self.recording.point.start

    def reset(self, start: Start) -> Outcome:
        """Go to the first frame."""
        return self._build_outcome(0)

    def step(self, move: Move) -> Outcome:
        """Go to the next frame."""
        return self._build_outcome(self.position + 1)

    def find_next_move(self) -> Move | None:
        """The move that led to the next frame; None at the end."""
        if self.position + 1 >= len(self.recording.episode.frames):
            return None
        return self.recording.moves[self.position]

    def clone(self) -> int:
        """The position."""
        return self.position

    def restore(self, state: int) -> None:
        """Go to a position."""
        self.position = state

    def weigh(self, state: int) -> int:
        """A position takes no room."""
        return 0

    def save(self, path: Path) -> None:
        """Never asked: a recording has no state to save."""
        raise AssertionError

    load = save

    def close(self) -> None:
        """Nothing is held."""

    def _build_outcome(self, position: int) -> Outcome:
        self.position = position
        episode = self.recording.episode
        return Outcome(
            frame=episode.frames[position],
            reward=float(episode.rewards[position - 1]) if position else 0.0,
            ended=position == len(episode.actions),
            pose=None if episode.poses is None else episode.poses[position],
        )


class Projector(Controller):
    """Repeats the actions of a recording.

    Args:
        recording_env: what is shown.
    """

    name = tell("the recording")

    def __init__(self, recording_env: RecordingEnv) -> None:
        self._recording_env = recording_env

    def choose(self, frame: np.ndarray) -> Choice | None:
        """The recorded action, or nothing at the end."""
        move = self._recording_env.find_next_move()
        return None if move is None else Choice(action=move.action, control=move.control)
