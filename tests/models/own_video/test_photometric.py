"""The loss of depth that nobody knows."""

import torch

from models.own_video.photometric import PhotometricLoss, compare_pictures
from tests.support.painted_room import FORWARD, walk_about
from tests.support.rooms import FOV


def clip():
    """Four frames in a row, two strides among them, with poses and inverse depth."""
    for seed in range(20):
        episode = walk_about(40, seed)
        for start in range(36):
            taken = episode.actions[start : start + 3]
            way = episode.poses[start + 3, :2] - episode.poses[start, :2]
            if (taken == FORWARD).sum() > 1 and (way**2).sum() > 0.3:
                rows = slice(start, start + 4)
                poses = torch.from_numpy(episode.poses[rows])
                poses = torch.cat((poses, torch.zeros(4, 1)), dim=1).unsqueeze(0)
                pictures = torch.from_numpy(episode.frames[rows]).permute(0, 3, 1, 2)
                inverse = 1 / torch.from_numpy(episode.depths[rows]).float()
                return pictures.unsqueeze(0), poses, inverse.unsqueeze(0)
    raise AssertionError("no such clip")


def test_true_depth_is_better_than_any_other():
    pictures, poses, inverse = clip()
    loss = PhotometricLoss()

    def of(depth):
        return loss(depth, pictures, poses, 64, FOV)

    true = of(inverse)
    for other in (inverse * 1.3, inverse / 1.3, torch.full_like(inverse, inverse.mean())):
        assert true < 0.8 * of(other)


def test_it_tells_which_way_depth_is_wrong():
    pictures, poses, inverse = clip()
    scale = torch.tensor(1.15, requires_grad=True)
    PhotometricLoss()(inverse * scale, pictures, poses, 64, FOV).backward()
    assert scale.grad > 0


def test_frames_without_a_stride_tell_of_agreement_alone():
    """Their pictures are the same whatever the depth, and must not be divided by their number."""
    pictures, _, inverse = clip()
    still = torch.zeros(1, 4, 4)
    pictures, inverse = (part[:, :1].expand_as(part) for part in (pictures, inverse))
    assert PhotometricLoss(flatness=0.0)(inverse, pictures, still, 32, FOV) < 1e-3


def test_pictures_differ_from_others_alone():
    pictures = torch.rand(2, 3, 16, 16)
    assert compare_pictures(pictures, pictures).abs().max() < 1e-5
    assert compare_pictures(pictures, pictures.flip(3)).mean() > 0.1
