"""The truth a dream is held against: the engine that the world's card names, on held-out seeds.

Held-out episodes come from the range of seeds that `worldsim collect` never trains on, so no world
has seen their mazes. Knows the engine by its Gymnasium id only.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from worldsim.data.collect import SEED_RANGES, Plan, play_episode
from worldsim.types import Episode
from worldsim.world import WorldCard

GOAL = "goal"  # the kind of walker that made the published data
MOST_SEEDS = 4000  # looked at for walkers of that kind


def open_engine(card: WorldCard) -> Any:
    """The engine of a world, at its frame size.

    Raises:
        ValueError: there is none of that id, or its pictures or actions are not the world's.
        ImportError: what it needs is not installed.
    """
    import gymnasium

    import worldsim  # noqa: F401  registers the environments

    # Mesa's software renderer: more threads than its caller's only get in the way at this size
    os.environ.setdefault("LP_NUM_THREADS", "0")
    size = card.frame_size
    try:
        env = gymnasium.make(card.engine, disable_env_checker=True).unwrapped
        if not hasattr(env, "actions"):
            raise TypeError("it has no table of actions")
        if env.observation_space.shape != (size, size, 3):
            env = gymnasium.make(card.engine, disable_env_checker=True, size=size).unwrapped
    except (gymnasium.error.Error, TypeError) as error:
        raise ValueError(f"{card.name}: its engine {card.engine!r} won't start: {error}") from error
    if env.actions.name != card.action_set:
        raise ValueError(
            f"the engine {card.engine} has the actions {env.actions.name}, {card.name} was trained "
            f"with {card.action_set}: name the engine it was trained on in its card."
        )
    return env


def episodes(
    env: Any, count: int, steps: int, split: str, kind: str | None = None
) -> list[Episode]:
    """Play episodes of a split, from its first seed on.

    Args:
        env: the engine.
        count: how many.
        steps: actions an episode.
        split: "train" or "heldout".
        kind: only those that a walker of this kind plays, where the engine has one.
    """
    played: list[Episode] = []
    for seed in SEED_RANGES[split][:MOST_SEEDS]:
        if kind is None or _walker_kind(env, seed) in (kind, None):
            plan = Plan(env="", options={}, steps=steps, folder=None, split=split, seeds=(seed,))
            played.append(play_episode(env, seed, plan))
        if len(played) == count:
            return played
    raise ValueError(
        f"only {len(played)} of the first {MOST_SEEDS} {split} seeds are played by the walker "
        f"{kind!r}: ask for at most so many episodes."
    )


def _walker_kind(env: Any, seed: int) -> str | None:
    """Who will play a seed; None where the engine brings no walkers."""
    env.reset(seed=seed)
    if not hasattr(env, "walker"):
        return None
    return env.walker(np.random.default_rng([seed, 1])).kind


def go_to(env: Any, episode: Episode, frame: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Bring the engine to a frame of an episode; its frame and info there."""
    picture, info = env.reset(seed=episode.meta.seed)
    for action in episode.actions[:frame]:
        picture, _, _, _, info = env.step(int(action))
    return picture, info


def bookmark(env: Any, episode: Episode, frame: int) -> Callable[[], dict[str, Any]]:
    """A function that brings the engine to a frame of an episode, and gives its info there."""
    if not hasattr(env, "restore_state"):
        return lambda: go_to(env, episode, frame)[1]
    go_to(env, episode, frame)
    state = env.clone_state()
    return lambda: env.restore_state(state)[1]


def run(env: Any, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Take actions `[T]` from where the engine stands: frames `[T,H,W,3]` and poses `[T,3]`."""
    results = [env.step(int(action)) for action in actions]
    poses = [info.get("pose") for *_, info in results]
    return np.stack([frame for frame, *_ in results]), None if poses[0] is None else np.stack(poses)
