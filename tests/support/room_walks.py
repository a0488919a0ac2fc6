"""Walks through the room of tests.support.rooms, as a training of a memory in space reads them."""

import numpy as np
import torch

from models.memory.frame_bank import average
from models.memory.odometry import compose_poses
from models.training.spatial_cache import SpatialEpisode
from tests.support.rooms import look
from worldsim.actions import load_actions

STRIDE, FORWARD = 0.3, 2


def walk_room(frames: int, size: int, seed: int) -> SpatialEpisode:
    """An episode of the maze's actions that never reaches a wall."""
    rng, turns = np.random.default_rng(seed), load_actions("dmlab").turns
    pose, poses, actions = torch.zeros(1, 4), [torch.zeros(4)], [-1]
    while len(poses) < frames:
        action = int(rng.integers(len(turns)))
        ahead = STRIDE if action == FORWARD else 0.0
        moved = compose_poses(
            pose, torch.tensor([[ahead, 0.0, 0.0]]), torch.tensor([turns[action]])
        )
        if moved[0, :2].abs().max() > 2.5:
            continue
        pose = moved
        poses.append(pose[0])
        actions.append(action)
    inverse = torch.stack([1 / torch.from_numpy(look(pose, size // 2)[0]) for pose in poses])
    return SpatialEpisode(
        frames=np.stack([look(pose, size)[1] for pose in poses]),
        inverse_depth=inverse.half().numpy(),
        coarse=average(inverse).half().numpy(),
        poses=torch.stack(poses).numpy(),
        actions=np.array(actions),
    )
