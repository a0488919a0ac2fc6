"""Poses: steps composed, and relative poses."""

import math

import torch

from models.memory.pose import compose_pose, motions_between, relative_to_first, snap_to_stride


def test_displacing_by_the_motions_retraces_the_poses():
    torch.manual_seed(0)
    poses = relative_to_first(torch.randn(2, 9, 3).cumsum(1))
    motions, turns = motions_between(poses), poses[..., 2].diff(dim=1, prepend=poses[:, :1, 2])
    at = poses[:, 0]
    for t in range(1, 9):
        at = compose_pose(at, motions[:, t], turns[:, t])
        assert torch.allclose(at, poses[:, t], atol=1e-4)


def test_a_doubtful_step_is_a_whole_one():
    """Slides along walls in sixteen directions, and steps that nothing is in the way of."""
    angles = torch.arange(-3, 4) * math.pi / 8
    slides = 0.38 * torch.stack((angles.cos() ** 2, angles.sin() * angles.cos()), dim=-1)
    assert torch.allclose(snap_to_stride(slides, 0.38), slides)
    doubtful = torch.tensor([[0.3, 0.05], [0.12, 0.0], [0.36, -0.06]])
    assert torch.equal(snap_to_stride(doubtful, 0.38), torch.tensor([[0.38, 0.0]] * 3))
    blocked = torch.tensor([[0.0, 0.0], [0.07, 0.01], [-0.05, 0.0]])
    assert torch.equal(snap_to_stride(blocked, 0.38), blocked)


def test_relative_poses_do_not_know_the_world_frame():
    torch.manual_seed(0)
    poses = torch.randn(1, 5, 3)
    angle = torch.tensor(1.1)
    turned = compose_pose(
        torch.tensor([[3.0, -2.0, 1.1]]).expand(5, 3), poses[0, :, :2], torch.zeros(5)
    )
    turned[:, 2] = poses[0, :, 2] + angle
    assert torch.allclose(relative_to_first(poses), relative_to_first(turned[None]), atol=1e-5)
