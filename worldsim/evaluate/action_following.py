"""Action following: does a dream do what is pressed, in the very next frame?

From held-out starts, under random actions, beside the engine under the same ones. Judges are the
inverse-dynamics probe and, for turns, the way the picture moves: to the right when turning left.
"""

from typing import Any

import numpy as np

from worldsim.actions import ActionSet
from worldsim.data.collect import SEED_RANGES
from worldsim.evaluate.fidelity import reconstruct_frames
from worldsim.evaluate.inverse_dynamics import (
    Probe,
    augment_pairs,
    collect_pairs,
    find_decidable,
    guess,
    train_probe,
)
from worldsim.evaluate.metrics import horizontal_shift
from worldsim.evaluate.open_loop import Start, dream
from worldsim.evaluate.protocol import Protocol
from worldsim.evaluate.scripted_actions import plan_long_keys
from worldsim.ground_truth import EngineReplay
from worldsim.world.model import WorldModel

SEED = 17
NO_POSES = "the engine tells no poses, so it is not known which actions had an effect"


def measure(world: WorldModel, env: Any, made: list[Start], protocol: Protocol) -> dict[str, Any]:
    """Train the probe, dream under random actions, and compare."""
    if made[0].episodes[0].poses is None:
        return {"skipped": NO_POSES}
    probe = _train_probe(world, env, protocol)
    parts = [_follow_actions(world, start, protocol) for start in made]
    dreamt, real, poses, actions = (np.concatenate(part) for part in zip(*parts, strict=True))
    counted = find_decidable(poses, actions, world.actions)
    figures = {"transitions": int(counted.sum())}
    for name, frames in (("dream", dreamt), ("engine", real)):
        right = guess(probe, frames[:, :-1], frames[:, 1:]) == actions
        figures[name] = {
            "agreement": _measure_shares(right, counted, actions, world.actions),
            "first frame": _measure_shares(
                right[:, :1], counted[:, :1], actions[:, :1], world.actions
            ),
            "turns the right way": _measure_turns(frames, actions, world.actions),
        }
    return figures


def _train_probe(world: WorldModel, env: Any, protocol: Protocol) -> Probe:
    pairs = collect_pairs(*_dream_random_runs(world, env, protocol), world.actions)
    seen = augment_pairs(pairs, world.actions, lambda frames: reconstruct_frames(world, frames))
    return train_probe(seen, len(world.actions), protocol.probe_epochs)


def _dream_random_runs(world: WorldModel, env: Any, protocol: Protocol) -> tuple[np.ndarray, ...]:
    """Frames `[N,T+1,H,W,3]`, poses and actions under random keys, on seeds that were trained on.

    Walkers' episodes would do for the views, but hardly ever stand, and walk more than they turn.
    """
    seeds = SEED_RANGES["train"][: protocol.probe_episodes]
    keys = [plan_long_keys(world.actions, "random", seed, protocol.probe_steps) for seed in seeds]
    ran = [EngineReplay(env, seed, []).run(way) for seed, way in zip(seeds, keys, strict=True)]
    return *map(np.stack, zip(*ran, strict=True)), np.stack(keys)


def _follow_actions(world: WorldModel, start: Start, protocol: Protocol) -> tuple:
    """Dreamt and true frames `[B,T+1,H,W,3]`, true poses `[B,T+1,3]` and actions `[B,T]`."""
    rows = [row for row in range(len(start.episodes)) for _ in range(protocol.forks)]
    rng = np.random.default_rng([SEED, *(episode.meta.seed for episode in start.episodes)])
    actions = rng.integers(len(world.actions), size=(len(rows), protocol.follow))
    last = start.last_frames()[rows]
    dreamt = [last, *dream(world, start.memory.select(rows), actions, protocol.steps)]
    return np.stack(dreamt, axis=1), *start.runs(rows, actions), actions


def _measure_shares(
    right: np.ndarray, counted: np.ndarray, actions: np.ndarray, table: ActionSet
) -> dict[str, Any]:
    """The share that is right, of all that count and of each action; None where none counts."""
    named = {"all": counted} | {
        name: counted & (actions == number) for number, name in enumerate(table.names)
    }
    return {
        name: float(right[those].mean()) if those.any() else None for name, those in named.items()
    }


def _measure_turns(frames: np.ndarray, actions: np.ndarray, table: ActionSet) -> dict[str, Any]:
    """Of each turn, the share that moved the picture against it; None where there was none."""
    shares: dict[str, Any] = {}
    for number, turn in enumerate(table.turns):
        if turn:
            shifts = [
                horizontal_shift(frames[row, t], frames[row, t + 1])
                for row, t in np.argwhere(actions == number)
            ]
            right = np.sign(shifts) == np.sign(turn)
            shares[table.names[number]] = float(right.mean()) if len(right) else None
    return shares
