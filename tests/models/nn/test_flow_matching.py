"""The arithmetic of flow matching: steps that end where they should."""

import pytest
import torch

from models.nn.flow_matching import euler_step, interpolate, shortcut_target
from models.nn.noise_schedule import sigmas


def test_jumps_with_the_true_picture_end_there():
    clean, noise = torch.randn(2, 3), torch.randn(2, 3)
    for steps in (1, 2, 4, 8):
        x = noise
        for t, d in sigmas(steps):
            assert torch.allclose(x, interpolate(clean, noise, torch.tensor(t)), atol=1e-5)
            x = euler_step(x, clean, t, d)
        assert torch.allclose(x, clean, atol=1e-5)


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
