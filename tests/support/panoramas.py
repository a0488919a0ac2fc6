"""Episodes of a viewer that turns before a painted wall: which way is plain from two frames."""

import cv2
import numpy as np

from worldsim.types import Episode, EpisodeMeta

SHIFT = 6  # pixels of 32 that a turn moves
LEFT, RIGHT, STAND = 0, 1, 3  # of the maze's actions


def turn_about(steps: int, seed: int, size: int = 32, known: bool = True, **extra) -> Episode:
    """An episode of `steps` turns and rests, whose actions are stored if they are known."""
    rng = np.random.default_rng(seed)
    wall = rng.integers(0, 256, (8, 64, 3)).astype(np.uint8)
    wall = cv2.resize(wall, (64 * size // 8, size), interpolation=cv2.INTER_CUBIC)
    actions = rng.choice([LEFT, RIGHT, STAND], steps)
    shift = SHIFT * size // 32
    moves = np.select([actions == LEFT, actions == RIGHT], [-shift, shift])
    # the wall stands all around
    columns = np.cumsum(np.append(0, moves))[:, None] + np.arange(size)
    extra |= {"actions": "recorded" if known else "unknown"}
    return Episode(
        frames=np.stack([wall[:, seen % wall.shape[1]] for seen in columns]),
        actions=actions if known else np.full(steps, -1),
        rewards=np.zeros(steps, np.float32),
        meta=EpisodeMeta(source="video", action_set="dmlab", fps=7.5, extra=extra),
    )
