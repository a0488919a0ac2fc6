"""Walks through a whole world, of several dreams at once."""

import numpy as np


def dreams_of(world, rows=2):
    """Dreams of the first starts, one move old."""
    spawns = [world.spawns[row] for row in range(rows)]
    frames, actions = (
        np.stack([getattr(spawn, name) for spawn in spawns]) for name in ("frames", "actions")
    )
    state = world.reset(frames, actions, list(range(rows)))
    return world.step(state, [2] * rows)[0]


def walk(world, state, actions=(2, 0, 2, 1, 2)):
    """The frames uint8 `[T,B,H,W,3]` of a walk that all dreams go."""
    frames = []
    for action in actions:
        state, frame = world.step(state, [action] * state.batch)
        frames.append(frame)
    return np.stack(frames)
