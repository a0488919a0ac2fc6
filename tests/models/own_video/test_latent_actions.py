"""Codes of what lies between frames: they tell the ways the picture moves, without a label."""

import numpy as np
import pytest
import torch

from models.own_video.latent_actions import (
    LatentActionConfig,
    LatentActionModel,
    LatentActionTraining,
    choose_codes,
    match_shifts,
    measure_prediction,
    shrink_frames,
    train_latent_actions,
)
from tests.support.panoramas import turn_about
from worldsim.evaluate.inverse_dynamics import shift_costs

EPISODES = [turn_about(80, seed) for seed in range(3)]


def draw_pairs(generator, count):
    episode = EPISODES[int(torch.randint(2, (), generator=generator))]
    pictures = shrink_frames(torch.from_numpy(episode.frames))
    at = torch.randint(len(pictures) - 1, (count,), generator=generator)
    return pictures[at], pictures[at + 1]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    cfg = LatentActionConfig(codes=4, width=24)
    path = tmp_path_factory.mktemp("codes") / "latent_actions.pt"
    return train_latent_actions(cfg, LatentActionTraining(steps=160, batch=16), draw_pairs, path, 0)


def test_codes_are_the_actions_by_other_names(model):
    """On an episode that was not learnt from, each code stands for one action nearly always."""
    codes = choose_codes(model, torch.from_numpy(EPISODES[2].frames)).numpy()
    table = np.zeros((4, 4), int)
    np.add.at(table, (EPISODES[2].actions, codes), 1)
    assert table.max(axis=0).sum() / table.sum() > 0.9


def test_the_code_says_where_the_picture_goes(model):
    pictures = shrink_frames(torch.from_numpy(EPISODES[2].frames))
    error = measure_prediction(model, pictures[:-1], pictures[1:])
    assert error["code"] < 0.7 * min(error["other_code"], error["repeat"])


def test_costs_are_those_of_the_probe():
    frames = EPISODES[0].frames
    pictures = shrink_frames(torch.from_numpy(frames))
    slow = shift_costs(frames[:-1], frames[1:])
    torch.testing.assert_close(match_shifts(pictures[:-1], pictures[1:]), slow)


def test_the_predictor_sees_the_next_frame_through_the_code_alone():
    """A wider way round the code would leave it without a meaning."""
    torch.manual_seed(0)
    model = LatentActionModel(LatentActionConfig(codes=2, width=8))
    before, after = torch.rand(2, 5, 3, 32, 32) * 2 - 1
    after.requires_grad_()
    chosen = model.choose(before, after)
    shown = model.predict(before, model.book[chosen.codes])
    assert torch.autograd.grad(shown.sum(), after, allow_unused=True)[0] is None
    torch.testing.assert_close(chosen.vectors, model.book[chosen.codes])


def test_forgotten_codes_are_given_another_place():
    torch.manual_seed(0)
    model = LatentActionModel(LatentActionConfig(codes=3, width=8))
    with torch.no_grad():
        model.book[1:] = 1e6
    model.used[0] = 100
    before, after = draw_pairs(torch.Generator().manual_seed(0), 16)
    first = model.book[0].clone()
    model.renew_codes(before, after, torch.Generator().manual_seed(0))
    assert torch.equal(model.book[0], first)
    assert model.book.abs().max() < 1e3
    assert model.used.sum() == 0


def test_one_code_is_refused():
    with pytest.raises(ValueError, match="codes must be at least 2, got 1"):
        LatentActionConfig(codes=1)
