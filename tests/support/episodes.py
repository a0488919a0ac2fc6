"""Small episodes of noise, and whether two are the same."""

import numpy as np

from worldsim.types import Episode, EpisodeMeta


def make_episode(steps=5, seed=3, posed=True, size=8, deep=False):
    """An episode of noise; `deep` with depths and heights."""
    rng = np.random.default_rng(0)
    return Episode(
        frames=rng.integers(0, 256, (steps + 1, size, size, 3), np.uint8),
        actions=rng.integers(0, 4, steps),
        rewards=rng.random(steps, np.float32),
        poses=rng.random((steps + 1, 3), np.float32) if posed else None,
        depths=rng.random((steps + 1, 4, 4)).astype(np.float16) if deep else None,
        heights=rng.random(steps + 1, np.float32) if deep else None,
        meta=EpisodeMeta(
            source="Maze-v0", action_set="dmlab", fps=7.5, seed=seed, extra={"walker": "goal"}
        ),
    )


def assert_same(first, second):
    """Every array and the meta."""
    for name in ("frames", "actions", "rewards", "poses", "depths", "heights"):
        a, b = getattr(first, name), getattr(second, name)
        assert (a is None) == (b is None)
        assert a is None or (a.dtype == b.dtype and (a == b).all())
    assert first.meta == second.meta
