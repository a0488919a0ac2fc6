"""Flow matching with x-prediction and shortcuts, as small pure functions. Shapes broadcast;
t in 0..1, 1 is pure noise. Which t a frame passes through is in noise_schedule.py.

Flow matching: Lipman et al., arXiv 2210.02747. Shortcuts: Frans et al., arXiv 2410.12557; in
x-space with a ramp: Dreamer 4, arXiv 2509.24527.
"""

import torch
from torch import Tensor


def interpolate(clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """x_t = (1 - t) x0 + t x1."""
    return torch.lerp(clean, noise, t)


def euler_step(x_t: Tensor, predicted: Tensor, t: Tensor | float, d: Tensor | float) -> Tensor:
    """x_{t-d} when the network says the clean picture is `predicted`."""
    return x_t - (d / t) * (x_t - predicted)


def adams_bashforth_step(
    x_t: Tensor, predicted: Tensor, before: Tensor | None, t: float, d: float
) -> tuple[Tensor, Tensor]:
    """x_{t-d} by the velocity extrapolated from the step before to the middle of this one (second
    order, the two-step method of Adams and Bashforth, steps of equal length), and this step's own
    velocity.

    Args:
        x_t: at noise level t.
        predicted: the clean picture that the network says.
        before: velocity of the step before; None: there was none, and Euler's step is taken.
        t: level.
        d: length of the step.
    """
    velocity = (x_t - predicted) / t
    mean = velocity if before is None else 1.5 * velocity - 0.5 * before
    return x_t - d * mean, velocity


def sampler_step(
    order: int, x_t: Tensor, predicted: Tensor, before: Tensor | None, t: float, d: float
) -> tuple[Tensor, Tensor | None]:
    """x_{t-d} by a step of an order, and what the next step is given as `before`."""
    if order == 1:
        return euler_step(x_t, predicted, t, d), None
    return adams_bashforth_step(x_t, predicted, before, t, d)


def shortcut_target(
    x_t: Tensor, t: Tensor, d: Tensor, first: Tensor, second_at: Tensor, second: Tensor
) -> Tensor:
    """The clean picture whose one jump of length d equals two jumps of d/2: `first` is predicted at
    x_t, `second` at `second_at` (time t - d/2).
    """
    velocity = ((x_t - first) / t + (second_at - second) / (t - d / 2)) / 2
    return x_t - t * velocity


def velocity_step(x_t: Tensor, velocity: Tensor, t: float, to: float) -> Tensor:
    """x_to when x moves with `velocity` = x1 - x0 from t on."""
    return x_t + (to - t) * velocity
