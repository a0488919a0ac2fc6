"""Dreams for measuring: a batch of starts from true frames, and dreams under given actions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from worldsim.evaluate.truth import bookmark
from worldsim.types import Episode
from worldsim.world import WorldModel, WorldState


class DreamError(ValueError):
    """A dream that could not go on; the sentence says at which frame."""


@dataclass(frozen=True)
class Start:
    """Dreams about to begin, one for each episode: they have seen its first `context` frames.

    Attributes:
        episodes: where they come from; row i of the state is episode i.
        places: for each a function that brings the engine to where the dream begins.
        context: how many frames were seen.
        memory: the dreams' memory; never stepped itself, see `state`.
    """

    episodes: list[Episode]
    places: list[Callable[[], dict[str, Any]]]
    context: int
    memory: WorldState

    def state(self) -> WorldState:
        """The dreams' memory, to be used up."""
        return self.memory.fork()

    def last_frames(self) -> np.ndarray:
        """The last frame that was seen, uint8 `[B,H,W,3]`."""
        return np.stack([episode.frames[self.context - 1] for episode in self.episodes])


def starts(
    world: WorldModel, env: Any, played: Sequence[Episode], context: int, batch: int
) -> list[Start]:
    """Show every episode's first frames to a dream, `batch` dreams at a time."""
    made = []
    for at in range(0, len(played), batch):
        rows = list(played[at : at + batch])
        frames = np.stack([episode.frames[:context] for episode in rows])
        actions = np.stack([episode.actions[: context - 1] for episode in rows])
        state = world.reset(frames, actions, [episode.meta.seed for episode in rows])
        places = [bookmark(env, episode, context - 1) for episode in rows]
        made.append(Start(rows, places, context, state))
    return made


def recorded_starts(
    world: WorldModel, recorded: Sequence[Episode], context: int, batch: int
) -> list[Start]:
    """The same for episodes that no engine here can play again; their numbers are the seeds."""
    made = []
    for at in range(0, len(recorded), batch):
        rows = list(recorded[at : at + batch])
        frames = np.stack([episode.frames[:context] for episode in rows])
        actions = np.stack([episode.actions[: context - 1] for episode in rows])
        state = world.reset(frames, actions, range(at, at + len(rows)))
        made.append(Start(rows, [], context, state))
    return made


def dream(
    world: WorldModel,
    state: WorldState,
    actions: np.ndarray,
    steps: int | None = None,
    before: Callable[[WorldState], None] = lambda state: None,
    after: Callable[[WorldState], None] = lambda state: None,
) -> Iterator[np.ndarray]:
    """Dream on under actions, a batch of frames at a time.

    Args:
        world: who dreams.
        state: is used up.
        actions: int `[B,T]`.
        steps: sampler steps a frame.
        before: called with the state before each frame, to take something away from it.
        after: called with the state after each frame, to look at it.

    Yields:
        Frames uint8 `[B,H,W,3]`, T times.

    Raises:
        DreamError: the dream ran away.
    """
    for number, chosen in enumerate(np.asarray(actions).T, 1):
        before(state)
        try:
            state, frames = world.step(state, chosen, steps)
        except ValueError as error:
            raise DreamError(f"frame {number} of {actions.shape[1]}: {error}") from error
        after(state)
        yield frames
