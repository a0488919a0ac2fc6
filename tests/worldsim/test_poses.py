"""Poses with heights, and relative to the first of them."""

import numpy as np

from worldsim.poses import place_poses, relative_poses, with_heights


def test_poses_without_heights_are_level():
    assert (with_heights(np.ones((3, 3)), None)[:, 3] == 0).all()
    assert (with_heights(np.ones((3, 3)), np.arange(3))[:, 3] == [0, 1, 2]).all()


def test_relative_poses_do_not_know_where_the_first_one_was():
    rng = np.random.default_rng(0)
    poses = rng.normal(size=(5, 4)).astype(np.float32)
    turn, cos, sin = 0.7, np.cos(0.7), np.sin(0.7)
    moved = poses.copy()
    moved[:, 0] = 3 + poses[:, 0] * cos - poses[:, 1] * sin
    moved[:, 1] = poses[:, 0] * sin + poses[:, 1] * cos - 2
    moved[:, 2] += turn
    assert (relative_poses(poses)[0] == 0).all()
    np.testing.assert_allclose(relative_poses(moved), relative_poses(poses), atol=1e-5)


def test_placed_poses_are_told_from_their_origin_again():
    rng = np.random.default_rng(0)
    poses = rng.normal(size=(6, 4)).astype(np.float32)
    poses[0] = 0
    origin = np.array([3.0, -2.0, 1.2, 0.5], np.float32)
    placed = place_poses(poses, origin)
    assert np.allclose(placed[0], origin)
    assert np.allclose(relative_poses(placed), poses, atol=1e-5)
    assert np.allclose(place_poses(np.array([[1.0, 0, 0, 0]]), origin)[0, :2] - origin[:2],
                       [np.cos(1.2), np.sin(1.2)], atol=1e-6)  # fmt: skip
