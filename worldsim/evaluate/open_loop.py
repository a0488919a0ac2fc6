"""Dreams for measuring: a batch of starts from true frames, and dreams under given actions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from worldsim.ground_truth import EngineReplay, Played
from worldsim.types import Episode
from worldsim.world.model import WorldModel
from worldsim.world.state import WorldState


class DreamError(ValueError):
    """A dream that could not go on; the sentence says at which frame."""


@dataclass(frozen=True)
class Start:
    """Dreams about to begin, one for each episode: they have seen its first `context` frames.

    Attributes:
        episodes: where they come from; row i of the state is episode i.
        truths: for each the engine from where the dream begins; none for recorded episodes.
        context: how many frames were seen.
        memory: the dreams' memory; never stepped itself, see `state`.
    """

    episodes: list[Episode]
    truths: list[EngineReplay]
    context: int
    memory: WorldState

    def state(self) -> WorldState:
        """The dreams' memory, to be used up."""
        return self.memory.fork()

    def last_frames(self) -> np.ndarray:
        """The last frame that was seen, uint8 `[B,H,W,3]`."""
        return np.stack([episode.frames[self.context - 1] for episode in self.episodes])

    def runs(self, rows: Sequence[int], actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the engine shows under actions `[B,T]` from the starts of some of the episodes.

        Returns:
            Frames uint8 `[B,T+1,H,W,3]`, the start's first, and poses float32 `[B,T+1,3]` (of
            None where the engine tells none).
        """
        ran = [self.truths[row].run(way) for row, way in zip(rows, actions, strict=True)]
        frames, poses = zip(*ran, strict=True)
        return np.stack(frames), np.stack(poses)


def starts(world: WorldModel, played: Sequence[Played], context: int, batch: int) -> list[Start]:
    """Show every episode's first frames to a dream, `batch` dreams at a time.

    The truths are those of the last frame that is shown.
    """
    made = []
    for at in range(0, len(played), batch):
        rows, truths = map(list, zip(*played[at : at + batch], strict=True))
        state = _show_context(world, rows, context, [episode.meta.seed for episode in rows])
        made.append(Start(rows, truths, context, state))
    return made


def start_recorded(
    world: WorldModel, recorded: Sequence[Episode], context: int, batch: int
) -> list[Start]:
    """The same for episodes that no engine here can play again; their numbers are the seeds."""
    made = []
    for at in range(0, len(recorded), batch):
        rows = list(recorded[at : at + batch])
        state = _show_context(world, rows, context, range(at, at + len(rows)))
        made.append(Start(rows, [], context, state))
    return made


def _show_context(
    world: WorldModel, rows: Sequence[Episode], context: int, seeds: Sequence[int]
) -> WorldState:
    frames = np.stack([episode.frames[:context] for episode in rows])
    actions = np.stack([episode.actions[: context - 1] for episode in rows])
    return world.reset(frames, actions, seeds)


def dream(
    world: WorldModel,
    state: WorldState,
    actions: np.ndarray,
    steps: int | None = None,
    before: Callable[[WorldState], None] = lambda state: None,
    after: Callable[[WorldState], None] = lambda state: None,
    context_noise: float | None = None,
    poses: np.ndarray | None = None,
) -> Iterator[np.ndarray]:
    """Dream on under actions, a batch of frames at a time.

    Args:
        world: who dreams.
        state: is used up.
        actions: int `[B,T]`.
        steps: sampler steps a frame.
        before: called with the state before each frame, to take something away from it.
        after: called with the state after each frame, to look at it.
        context_noise: how much noise frames are remembered with; None for the world's own.
        poses: float `[B,T,4]` where the bodies go; None: where the dreams say.

    Yields:
        Frames uint8 `[B,H,W,3]`, T times.

    Raises:
        DreamError: the dream ran away.
    """
    for number, chosen in enumerate(np.asarray(actions).T, 1):
        before(state)
        try:
            led = {} if poses is None else {"poses": poses[:, number - 1]}
            state, frames = world.step(state, chosen, steps, context_noise, **led)
        except ValueError as error:
            raise DreamError(f"frame {number} of {actions.shape[1]}: {error}") from error
        after(state)
        yield frames
