"""Motions of steps whose depth is known."""

import pytest
import torch

from models.memory.odometry import motion_between
from models.own_video.align_motions import (
    CLIMB,
    STRIDES,
    TURN,
    align_motions,
    measure_motions,
)
from models.own_video.learn_poses import Walks
from tests.support.painted_room import walk_about
from tests.support.rooms import FOV


@pytest.fixture(scope="module")
def steps():
    """Pictures of steps, their inverse depth, and the motions that were made `[S,4]`."""
    episode = walk_about(60, seed=1)
    walks, poses = Walks([episode]), torch.from_numpy(episode.poses)
    poses = torch.cat((poses, torch.zeros(len(poses), 1)), dim=1)
    moved = motion_between(poses[:-1], poses[1:])
    turned = poses[1:, 2] - poses[:-1, 2]
    true = torch.stack((moved[:, 0], moved[:, 1], turned, moved[:, 2]), dim=1)
    inverse = 1 / torch.from_numpy(episode.depths).float()
    return walks.pairs, torch.stack((inverse[:-1], inverse[1:])), true


@pytest.mark.parametrize("free", [(*STRIDES, TURN), (*STRIDES, TURN, CLIMB)])
def test_motions_are_found_from_wrong_starts(steps, free):
    pictures, inverse, true = steps
    wrong = true + torch.tensor([0.06, -0.05, 0.04, 0.0])
    found = align_motions(pictures, inverse, wrong.unsqueeze(0), torch.ones(1), free, FOV)
    assert (found - true).abs().median() < 0.004
    assert (found - true).abs().mean() < 0.1 * (wrong - true).abs().mean()


def test_what_is_not_free_stays(steps):
    pictures, inverse, true = steps
    start = true + torch.tensor([0.05, 0.0, 0.02, 0.0])
    found = align_motions(pictures, inverse, start.unsqueeze(0), torch.ones(1), STRIDES, FOV)
    assert torch.equal(found[:, 2:], start[:, 2:])


def test_the_best_start_is_taken(steps):
    """Steps against a wall are nearer to no motion than to a stride."""
    pictures, inverse, true = steps
    starts = torch.stack((torch.zeros_like(true), true, true.roll(7, dims=0)))
    found = align_motions(pictures, inverse, starts, torch.ones(3), (*STRIDES, TURN), FOV)
    assert (found - true).abs().amax(dim=1).median() < 0.01
    assert ((found - true).abs().amax(dim=1) < 0.05).float().mean() > 0.95


def test_true_motions_explain_pictures_better_than_wrong_ones(steps):
    pictures, inverse, true = steps
    wrong = true + torch.tensor([0.1, 0.0, 0.0, 0.0])
    errors = [measure_motions(pictures, inverse, motions, FOV) for motions in (true, wrong)]
    assert (errors[0] < errors[1]).float().mean() > 0.95


def test_turns_lean_to_neither_side(steps):
    """Differences to one side alone found all turns a quarter of a degree too far left."""
    pictures, inverse, true = steps
    found = align_motions(
        pictures, inverse, true.unsqueeze(0), torch.ones(1), (*STRIDES, TURN), FOV
    )
    assert (found - true)[:, 2].mean().rad2deg().abs() < 0.05
