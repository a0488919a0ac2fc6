"""Flow matching with x-prediction and shortcuts, as small pure functions. Shapes broadcast; t in
0..1, 1 is pure noise.

Flow matching: Lipman et al., arXiv 2210.02747. Shortcuts: Frans et al., arXiv 2410.12557; in
x-space with a ramp: Dreamer 4, arXiv 2509.24527.
"""

from itertools import pairwise

import torch
from torch import Tensor


def mix(clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """x_t = (1 - t) x0 + t x1."""
    return torch.lerp(clean, noise, t)


def jump(x_t: Tensor, predicted: Tensor, t: Tensor | float, d: Tensor | float) -> Tensor:
    """x_{t-d} when the network says the clean picture is `predicted`."""
    return x_t - (d / t) * (x_t - predicted)


def ramp(t: Tensor) -> Tensor:
    """Loss weight: 1 for clean inputs falling to 0.4 for pure noise (Dreamer 4 falls to 0.1; with
    one or two steps to play, pure noise matters more).
    """
    return 1 - 0.6 * t


def shortcut_target(
    x_t: Tensor, t: Tensor, d: Tensor, first: Tensor, second_at: Tensor, second: Tensor
) -> Tensor:
    """The clean picture whose one jump of length d equals two jumps of d/2: `first` is predicted at
    x_t, `second` at `second_at` (time t - d/2).
    """
    velocity = ((x_t - first) / t + (second_at - second) / (t - d / 2)) / 2
    return x_t - t * velocity


def times(steps: int) -> list[tuple[float, float]]:
    """(t, d) of each of `steps` equal jumps from noise to picture."""
    if steps not in (1, 2, 4, 8):
        raise ValueError(f"steps is {steps}: expected 1, 2, 4 or 8 sampler steps a frame")
    return [(1 - i / steps, 1 / steps) for i in range(steps)]


def euler(x_t: Tensor, velocity: Tensor, t: float, to: float) -> Tensor:
    """x_to when x moves with `velocity` = x1 - x0 from t on."""
    return x_t + (to - t) * velocity


def euler_times(steps: int) -> list[tuple[float, float]]:
    """(t, to) of each of published FAR's `steps` Euler steps: timesteps fall linearly from 1000 to
    1 in thousandths, and only the last step goes to 0.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}: expected at least 1 sampler step a frame")
    spaced = torch.linspace(1000, 1, steps, dtype=torch.float64) / 1000
    return list(pairwise([*spaced.tolist(), 0.0]))
