"""The arithmetic of flow matching: steps that end where they should."""

import pytest
import torch

from models.nn.flow_matching import euler_step, interpolate, sampler_step, shortcut_target
from models.nn.noise_schedule import sigmas


@pytest.mark.parametrize("order", [1, 2])
def test_jumps_with_the_true_picture_end_there(order):
    clean, noise = torch.randn(2, 3), torch.randn(2, 3)
    for steps in (1, 2, 4, 8):
        x, before = noise, None
        for t, d in sigmas(steps):
            assert torch.allclose(x, interpolate(clean, noise, torch.tensor(t)), atol=1e-5)
            x, before = sampler_step(order, x, clean, before, t, d)
        assert torch.allclose(x, clean, atol=1e-5)


def sample_normal(order: int, steps: int, spread: float) -> float:
    """What sampling makes of noise 1 where the true pictures are normal with that spread, so that
    the best prediction is known in closed form; exact sampling makes `spread` of it.
    """
    x, before = torch.ones(()), None
    for t, d in sigmas(steps):
        variance = (1 - t) ** 2 * spread**2 + t**2
        x, before = sampler_step(order, x, (1 - t) * spread**2 / variance * x, before, t, d)
    return float(x)


def test_the_second_order_loses_less_spread():
    lost = {
        (order, steps): 1 - sample_normal(order, steps, 0.5) / 0.5
        for order in (1, 2)
        for steps in (4, 8)
    }
    assert 0 < lost[1, 8] < lost[1, 4]
    assert abs(lost[2, 4]) < lost[1, 8]
    assert abs(lost[2, 8]) < 0.3 * lost[1, 8]


def test_shortcut_target_is_one_jump_for_two():
    x, first, second = torch.randn(3, 4)
    t, d = torch.tensor(1.0), torch.tensor(0.5)
    middle = euler_step(x, first, t, d / 2)
    end = euler_step(middle, second, t - d / 2, d / 2)
    target = shortcut_target(x, t, d, first, middle, second)
    assert torch.allclose(euler_step(x, target, t, d), end, atol=1e-5)


def test_steps_must_be_a_power_of_two():
    with pytest.raises(ValueError, match="steps must be 1, 2, 4 or 8"):
        sigmas(3)
