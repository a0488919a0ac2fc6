"""The critic of pictures: its losses and their direction."""

import math

import torch

from models.codec.view_critic import (
    Judgement,
    ViewCritic,
    gradient_penalty,
    place_weights,
    relativistic_loss,
)


def judgement(level: float) -> Judgement:
    return Judgement(tuple(torch.full((2, 1, n, n), level) for n in (8, 4, 2)), ())


def test_it_judges_places_of_three_sizes():
    critic = ViewCritic(8)
    told = critic(torch.zeros(2, 3, 64, 64), torch.zeros(2, 1, 64, 64))
    assert [part.shape for part in told.logits] == [(2, 1, n, n) for n in (16, 8, 4)]
    assert [part.shape[1] for part in told.features] == [8, 16, 16, 32]


def test_what_memory_shows_is_a_part_of_the_question():
    critic, pictures = ViewCritic(8), torch.zeros(1, 3, 32, 32)
    one, other = (critic(pictures, torch.full((1, 1, 32, 32), x)) for x in (0.0, 1.0))
    assert not torch.equal(one.logits[0], other.logits[0])


def test_the_loss_is_of_how_far_one_is_above_the_other():
    weights = place_weights(judgement(0.0), torch.ones(2, 1, 32, 32))
    even = relativistic_loss(judgement(1.0), judgement(1.0), weights)
    assert math.isclose(even, math.log(2), rel_tol=1e-6)
    above = relativistic_loss(judgement(3.0), judgement(1.0), weights)
    below = relativistic_loss(judgement(1.0), judgement(3.0), weights)
    assert math.isclose(above, math.log1p(math.exp(-2)), rel_tol=1e-5)
    assert math.isclose(below, math.log1p(math.exp(2)), rel_tol=1e-5)


def test_places_without_weight_do_not_count():
    weight = torch.zeros(2, 1, 32, 32)
    weight[..., :16] = 1
    better, worse = judgement(0.0), judgement(0.0)
    for part in better.logits:
        part[..., part.shape[-1] // 2 :] = 50
    weights = place_weights(better, weight)
    assert math.isclose(relativistic_loss(better, worse, weights), math.log(2), rel_tol=1e-6)


def test_the_penalty_is_the_squared_gradient_of_what_is_said():
    """By hand, of a judgement that is the square of the picture."""
    pictures = torch.randn(4, 3, 8, 8, requires_grad=True)
    told = Judgement((pictures.square().sum(dim=(1, 2, 3)).view(4, 1, 1, 1),), ())
    found = gradient_penalty(told, pictures, (torch.ones(4, 1, 1, 1),))
    assert torch.allclose(found, (2 * pictures).square().sum(dim=(1, 2, 3)).mean())
    assert found.requires_grad
