"""Depth of single frames by trial."""

import numpy as np
import pytest
import torch

from models.own_video.learn_poses import Walks
from models.own_video.plane_sweep import SIDE, choose_sources, find_best, sweep_depth
from models.own_video.warp import resize_pictures
from tests.support.painted_room import STRIDE, walk_about
from tests.support.rooms import FOV


def poses_of(*episodes) -> torch.Tensor:
    poses = torch.from_numpy(np.concatenate([episode.poses for episode in episodes]))
    return torch.cat((poses, torch.zeros(len(poses), 1)), dim=1)


@pytest.mark.parametrize("seed", [1, 2])
def test_clear_places_have_their_depth(seed):
    walk = walk_about(50, seed)
    pictures = resize_pictures(Walks([walk]).pictures, SIDE)
    told, trust = sweep_depth(pictures, poses_of(walk), [51], STRIDE, FOV)
    off = (told + torch.from_numpy(walk.depths).float().log()).abs()
    assert (trust > 0.9).float().mean() > 0.1
    assert off[trust > 0.9].median() < 0.08
    assert (off[trust > 0.9] < 0.22).float().mean() > 0.8
    assert off[trust > 0.9].mean() < 0.5 * off[trust < 0.1].mean()


def test_no_frame_looks_into_another_episode_or_into_itself():
    walks = walk_about(30, 1), walk_about(30, 2)
    sources, there = choose_sources(poses_of(*walks), [31, 31], STRIDE)
    frames = torch.arange(62).unsqueeze(1)
    assert there.any()
    assert ((sources // 31 == frames // 31) | ~there).all()
    assert ((sources != frames) | ~there).all()


def test_a_place_of_one_colour_is_not_trusted():
    plain = torch.full((24, 1, 4, 4), 0.001)
    plain[7] = 0.0
    assert find_best(plain)[1].max() == 0
    clear = torch.full((24, 1, 4, 4), 0.3)
    clear[6:9] = torch.tensor([0.2, 0.01, 0.2]).view(3, 1, 1, 1)
    number, trust = find_best(clear)
    assert torch.allclose(number, torch.full_like(number, 7.0))
    assert trust.min() == 1


def test_a_place_that_most_depths_put_outside_is_not_trusted():
    """Near walls at the border of a picture lie outside of the others: what is left is wrong."""
    costs = torch.full((24, 1, 4, 4), 1.0)
    costs[18:] = 0.3
    costs[20] = 0.01
    assert find_best(costs)[1].max() == 0
