"""What would really be seen: the engine that a dream was learnt from, led where the dreamer goes.

Held-out episodes come from the range of seeds that `worldsim collect` never trains on, so no world
has seen their places. Knows an engine by its Gymnasium id only, and no dream.
"""

import contextlib
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from worldsim.controls import Action, read_action, step_action
from worldsim.data.collect import SEED_RANGES, Plan, play_episode
from worldsim.registration import make_named
from worldsim.told import tell
from worldsim.types import Episode

if TYPE_CHECKING:
    from worldsim.world.card import WorldCard

MOST_SEEDS = 4000  # looked at for walkers of one kind
KEPT = 2048  # true frames that are remembered
STATES = 32  # actions between two states of an engine that are kept


def open_engine(card: "WorldCard") -> Any:
    """The engine of a world, at its frame size.

    Raises:
        ValueError: there is none of that id, or its pictures or actions are not the world's.
        ImportError: what it needs is not installed.
    """
    import gymnasium

    # Mesa's software renderer: more threads than its caller's only get in the way at this size
    os.environ.setdefault("LP_NUM_THREADS", "0")
    size, source = card.frame_size, "the card"
    try:
        env = make_named(card.engine, source).unwrapped
        if not hasattr(env, "actions"):
            raise TypeError("it has no table of actions")
        if env.observation_space.shape != (size, size, 3):
            env = make_named(card.engine, source, {"size": size}).unwrapped
    except (gymnasium.error.Error, TypeError, ValueError) as error:
        raise ValueError(
            f"{card.name}: its engine {card.engine!r:.60} won't start: {error}"
        ) from error
    if env.actions.name != card.action_set:
        raise ValueError(
            f"the engine {card.engine} has the actions {env.actions.name}, {card.name} was trained "
            f"with {card.action_set}: name the engine it was trained on in its card."
        )
    return env


@contextlib.contextmanager
def telling_depth(env: Any, wanted: bool = True) -> Iterator[None]:
    """Let an engine that can tell depth do so for a while; it is slow, so only where it is used."""
    able = wanted and hasattr(env, "far")
    before = getattr(env, "depth", False)
    env.depth = able
    try:
        yield
    finally:
        env.depth = before


class Played(NamedTuple):
    """An episode, and the truth from one of its frames on."""

    episode: Episode
    truth: "EngineReplay"


def play(env: Any, seed: int, steps: int, split: str, at: int | None = None) -> Played:
    """Play an episode as `worldsim collect` does.

    Args:
        env: the engine.
        seed: of the episode.
        steps: actions.
        split: "train" or "heldout", which the episode then says it is of.
        at: the frame where the truth starts; None for the last.
    """
    at = steps if at is None else at
    states: dict[int, Any] = {}

    def seen(number: int) -> None:
        if number == at and hasattr(env, "clone_state"):
            states[number] = env.clone_state()

    plan = Plan(env="", options={}, steps=steps, folder=None, split=split, seeds=(seed,))
    episode = play_episode(env, seed, plan, seen)
    return Played(episode, EngineReplay(env, seed, episode.actions[:at].tolist(), states.get(at)))


def plays(
    env: Any,
    count: int,
    steps: int,
    split: str,
    kind: str | None = None,
    at: int | None = None,
    skipped: int = 0,
) -> Iterator[Played]:
    """Play episodes of a split, from its first seed on.

    Args:
        env: the engine.
        count: how many.
        steps: actions an episode.
        split: "train" or "heldout".
        kind: only those that a walker of this kind plays, where the engine has walkers.
        at: the frame of each where its truth starts; None for the last.
        skipped: such episodes that are passed over.

    Raises:
        ValueError: too few of the seeds are played by such a walker.
    """
    played = (seed for seed in SEED_RANGES[split][:MOST_SEEDS] if _plays(env, seed, kind))
    seeds = list(itertools.islice(played, skipped, skipped + count))
    if len(seeds) < count:
        raise ValueError(
            f"only {len(seeds)} of the first {MOST_SEEDS} {split} seeds are played by the walker "
            f"{kind!r}: ask for at most so many episodes, or for another walker."
        )
    return (play(env, seed, steps, split, at) for seed in seeds)


def _plays(env: Any, seed: int, kind: str | None) -> bool:
    if kind is None or not hasattr(env, "walker_kind"):
        return True
    return env.walker_kind(np.random.default_rng([seed, 1])) == kind


class EngineReplay:
    """A real engine that does what the dreamer does, from the start of a dream on.

    Several of them may share an engine; each brings it back to where it was itself.

    Args:
        env: the engine, unwrapped.
        seed: what it is reset with.
        before: actions from the reset to the start.
        state: the engine's state at the start, where it is known already.
    """

    def __init__(self, env: Any, seed: int, before: Sequence[Action], state: Any = None) -> None:
        engine = env.spec.id if env.spec else type(env).__name__
        self.name = tell("truth ({engine})", engine=engine)
        self._env, self._seed = env, seed
        self._before = [read_action(action) for action in before]
        self._done: list[Action] = []
        self._frames: dict[int, np.ndarray] = {}
        self._states: dict[int, Any] = {} if state is None else {0: state}

    def start(self) -> tuple[np.ndarray, dict[str, Any]]:
        """Bring the engine to the start: its frame and info there."""
        _LED[self._env] = self
        self._done = []
        if 0 in self._states:
            frame, info = self._env.restore_state(self._states[0])
        else:
            frame, info = self._env.reset(seed=self._seed)
            for action in self._before:
                frame, _, _, _, info = self._env.step(step_action(action))
        self._keep(frame)
        return frame, info

    def walk(self, actions: Sequence[Action]) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
        """Go a way from the start: frames and infos of the start and of every step.

        Nobody else may use the engine before the way ends.
        """
        yield self.start()
        _LED.pop(self._env)  # from here on it is nobody's
        for action in actions:
            frame, _, _, _, info = self._env.step(step_action(action))
            yield frame, info

    def run(self, actions: Sequence[Action]) -> tuple[np.ndarray, np.ndarray | None]:
        """Go a way of T actions: frames `[T+1,H,W,3]` and poses `[T+1,3]` (None if not told)."""
        frames, infos = zip(*self.walk(actions), strict=True)
        told = "pose" in infos[0]
        return np.stack(frames), np.stack([info["pose"] for info in infos]) if told else None

    def frame(self, actions: list[Action]) -> np.ndarray | None:
        """The frame where the actions lead, of ids and controls; a way that begins alike is not
        gone again, and an engine that can `advance` does not draw what lies between. None where the
        engine takes no controls, and some are.
        """
        if getattr(self._env, "limits", None) is None and any(
            isinstance(action, tuple) for action in actions
        ):
            return None
        same = alike(self._done, actions)
        mine = _LED.get(self._env) is self
        if not mine or same < len(self._done) or same not in self._frames:
            self._back(same)
        while len(self._done) < len(actions):
            at = len(self._done)
            self._leap(actions[at : min(len(actions), at + STATES - at % STATES)])
        return self._frames[len(actions)]

    def _back(self, number: int) -> None:
        """Go to the number, or to a state before it."""
        found = max((at for at in self._states if at <= number), default=0)
        if not found:
            self.start()
            return
        _LED[self._env] = self
        self._done = self._done[:found]
        self._frames[found], _ = self._env.restore_state(self._states[found])

    def _leap(self, actions: list[Action]) -> None:
        """Take actions, as far as the next state that is kept at most."""
        taken = [step_action(action) for action in actions]
        if hasattr(self._env, "advance"):
            frame, _ = self._env.advance(taken)
        else:
            for action in taken:
                frame = self._env.step(action)[0]
        self._done += actions
        self._keep(frame)

    def _keep(self, frame: np.ndarray) -> None:
        number = len(self._done)
        self._frames[number] = frame
        if len(self._frames) > KEPT:
            del self._frames[min(self._frames)]
        if number % STATES == 0 and hasattr(self._env, "clone_state"):
            self._states[number] = self._env.clone_state()


_LED: "WeakKeyDictionary[Any, EngineReplay]" = WeakKeyDictionary()
"""Whose way each engine is on."""


def alike(one: Sequence[Action], other: Sequence[Action]) -> int:
    """How many first items are the same."""
    for number, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return number
    return min(len(one), len(other))
