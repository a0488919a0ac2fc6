"""Videos of walks through a painted room: who walked them knows their poses and depth."""

import dataclasses

import numpy as np

from models.memory.pinhole import pixel_grid
from tests.support.rooms import FOV, look
from worldsim.actions import load_actions
from worldsim.types import Episode, EpisodeMeta

STRIDE, FORWARD = 0.38, 2
REACH = 2.6  # the body stops there
WAVES = 6  # of each colour


def paint(points: np.ndarray) -> np.ndarray:
    """Colours uint8 `[...,3]` of points `[...,3]`, smooth in space."""
    rng = np.random.default_rng(0)
    ways = rng.normal(0, 2.5, (3, WAVES, 3))
    starts = rng.uniform(0, 2 * np.pi, (3, WAVES))
    waves = np.sin(np.einsum("...d,cwd->...cw", points, ways) + starts).sum(axis=-1)
    return (127 + 35 * waves).clip(0, 255).astype(np.uint8)


def see(pose: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A frame uint8 `[size,size,3]` from a pose `[3]`, and its depth `[size/2,size/2]`."""
    where = np.append(pose, 0.0)
    depth = look(where, size)[0]
    right, down = np.meshgrid(*2 * [pixel_grid(size, FOV).numpy()])
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    way = np.stack((cos + right * sin, sin - right * cos, -down), -1)
    frame = paint(np.array([*pose[:2], 0.0]) + way * depth[..., None])
    return frame, look(where, size // 2)[0]


def walk_about(steps: int, seed: int, size: int = 64) -> Episode:
    """An episode of turns and of strides, some against a wall."""
    rng, table = np.random.default_rng(seed), load_actions("dmlab")
    pose, poses, actions = np.zeros(3), [], []
    pose[2] = rng.uniform(0, 2 * np.pi)
    while len(actions) < steps:
        chosen, times = (FORWARD, rng.integers(2, 8)) if rng.random() < 0.6 else (
            int(rng.choice([0, 1, 3])), rng.integers(1, 4))  # fmt: skip
        actions += [chosen] * int(times)
    poses.append(pose)
    for action in actions[:steps]:
        ahead = STRIDE * (action == FORWARD) * np.array([np.cos(pose[2]), np.sin(pose[2])])
        free = np.abs(pose[:2] + ahead).max() < REACH
        pose = np.append(pose[:2] + ahead * free, pose[2] + table.turns[action])
        poses.append(pose)
    frames, depths = zip(*(see(pose, size) for pose in poses), strict=True)
    return Episode(
        frames=np.stack(frames),
        actions=np.array(actions[:steps]),
        rewards=np.zeros(steps, np.float32),
        poses=np.stack(poses).astype(np.float32),
        depths=np.stack(depths).astype(np.float16),
        meta=EpisodeMeta(source="video", action_set="dmlab", fps=7.5, extra={"video": f"{seed}"}),
    )


def forget_poses(episode: Episode) -> Episode:
    """What a video of the walk would have kept."""
    return dataclasses.replace(episode, poses=None, depths=None)
