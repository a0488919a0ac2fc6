"""Codes of what lies between frames: they tell the ways the picture moves, without a label."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from models.own_video.latent_actions import (
    CELL,
    PLACES,
    REACH,
    SHIFTS,
    SIDE,
    LatentActionConfig,
    LatentActionModel,
    LatentActionTraining,
    choose_codes,
    measure_prediction,
    move_places,
    shrink_frames,
    train_latent_actions,
)
from tests.support.panoramas import turn_about

EPISODES = [turn_about(80, seed) for seed in range(3)]


def draw_pairs(generator, count):
    episode = EPISODES[int(torch.randint(2, (), generator=generator))]
    pictures = shrink_frames(torch.from_numpy(episode.frames))
    at = torch.randint(len(pictures) - 1, (count,), generator=generator)
    return pictures[at], pictures[at + 1]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    cfg = LatentActionConfig(codes=4, width=16)
    path = tmp_path_factory.mktemp("codes") / "latent_actions.pt"
    return train_latent_actions(cfg, LatentActionTraining(steps=150, batch=12), draw_pairs, path, 0)


def test_codes_are_the_actions_by_other_names(model):
    """On an episode that was not learnt from, each code stands for one action nearly always."""
    codes = choose_codes(model, torch.from_numpy(EPISODES[2].frames)).numpy()
    table = np.zeros((4, 4), int)
    np.add.at(table, (EPISODES[2].actions, codes), 1)
    assert table.max(axis=0).sum() / table.sum() > 0.9


def test_the_code_says_where_the_picture_goes(model):
    pictures = shrink_frames(torch.from_numpy(EPISODES[2].frames))
    error = measure_prediction(model, pictures[:-1], pictures[1:])
    assert error["code"] < 0.7 * min(error["any_code"], error["repeat"])


def test_places_are_moved_as_the_whole_picture_is():
    """Beside shifting the picture and mixing it, one shift after another."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(3, 3, SIDE, SIDE, generator=generator)
    weights = torch.rand(3, 2, SHIFTS, PLACES, PLACES, generator=generator)
    wide = F.pad(pictures, (REACH, REACH, 0, 0), mode="replicate")
    slow = 0
    for shift in range(SHIFTS):
        share = F.interpolate(weights[:, :, shift], scale_factor=CELL)
        slow = slow + share.unsqueeze(2) * wide[..., shift : shift + SIDE].unsqueeze(1)
    moved = F.pixel_shuffle(move_places(pictures, weights).flatten(0, 1), CELL)
    torch.testing.assert_close(moved.unflatten(0, (3, 2)), slow)


def test_the_best_code_learns_and_the_others_a_little():
    torch.manual_seed(0)
    cfg = LatentActionConfig(codes=3, width=8, shared=0.25)
    model, (before, after) = LatentActionModel(cfg), torch.rand(2, 5, 3, SIDE, SIDE)
    errors = model.errors(before, after)
    loss = 0.75 * errors.min(dim=1).values.mean() + 0.25 * errors.mean()
    torch.testing.assert_close(model(before, after), loss)
    assert torch.equal(model.choose(before, after), errors.argmin(dim=1))


def test_one_code_is_refused():
    with pytest.raises(ValueError, match="codes must be at least 2, got 1"):
        LatentActionConfig(codes=1)
