"""Motions are drawn by their probabilities, alike with torch and without it."""

import numpy as np
import torch

from models.memory.motion_draw import draw_chances, draw_motion
from models.memory.sizes import LEAST_SHARE
from models.onnx_runtime import poses
from worldsim.world.model import draw_frame_noise

MOTIONS = torch.arange(4.0).unsqueeze(1).expand(-1, 3)


def draw(shares, chances, least=LEAST_SHARE):
    """How often each of four motions is drawn."""
    logits = torch.tensor(shares).log().expand(len(chances), -1)
    drawn = draw_motion(logits, MOTIONS.expand(len(chances), -1, -1), chances, least)
    return torch.bincount(drawn[:, 0].long(), minlength=4) / len(chances)


def test_chances_of_frames_are_uniform_and_say_nothing_of_the_noise():
    noise = torch.stack([draw_frame_noise(3, count, (2, 2, 2)) for count in range(2000)])
    chances = draw_chances(noise)
    assert ((chances >= 0) & (chances < 1)).all()
    tenths = torch.histc(chances, 10, 0, 1) / len(noise)
    torch.testing.assert_close(tenths, torch.full((10,), 0.1).double(), atol=0.03, rtol=0)
    together = torch.stack((chances, noise[:, 0, 0, 0].double()))
    assert together.corrcoef()[0, 1].abs() < 0.08


def test_motions_are_drawn_as_often_as_they_are_likely():
    chances = (torch.arange(1000).double() + 0.5) / 1000
    found = draw([0.5, 0.2, 0.05, 0.25], chances)
    torch.testing.assert_close(found, torch.tensor([0.5, 0.2, 0.05, 0.25]), atol=0.0021, rtol=0)


def test_a_rare_motion_is_never_drawn():
    chances = (torch.arange(1000).double() + 0.5) / 1000
    found = draw([0.9 * LEAST_SHARE, 0.0, 1.0, 0.9 * LEAST_SHARE], chances)
    assert found.tolist() == [0, 0, 1, 0]


def test_the_likeliest_is_always_made_where_no_other_may_be_drawn():
    chances = (torch.arange(1000).double() + 0.5) / 1000
    assert draw([0.3, 0.2, 0.1, 0.4], chances, least=1.0).tolist() == [0, 0, 0, 1]


def test_both_ends_of_the_chances_draw_a_motion_that_can_be():
    found = draw([0.0, 0.4, 0.6, 0.0], torch.tensor([0.0, 1 - 2**-20]).double())
    assert found.tolist() == [0, 0.5, 0.5, 0]


def test_the_same_motion_is_drawn_without_torch():
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(300, 40, generator=generator)
    motions = torch.randn(300, 40, 3, generator=generator)
    noise = torch.randn(300, 2, 2, 2, generator=generator)
    together = draw_motion(logits, motions, draw_chances(noise), LEAST_SHARE)
    for row in range(len(logits)):
        chance = poses.draw_chance(noise[row].numpy())
        alone = poses.draw_motion(logits[row].numpy(), motions[row].numpy(), chance, LEAST_SHARE)
        assert np.array_equal(together[row].numpy(), alone)
