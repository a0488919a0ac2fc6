"""How sure dreams are of their next frames: the same step with several noises, in one batch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from worldsim.world.model import WorldModel
    from worldsim.world.state import WorldState


def step_ensemble(
    world: "WorldModel",
    state: "WorldState",
    actions: Sequence[int] | np.ndarray,
    steps: int,
    others: int,
    context_noise: float | None = None,
) -> tuple["WorldState", np.ndarray, np.ndarray]:
    """Step dreams, and beside each the same dream with other noises.

    Args:
        world: who dreams.
        state: N dreams; used up.
        actions: what is done, one a dream, as `WorldModel.step` takes them.
        steps: sampler steps.
        others: how many other noises.
        context_noise: as `WorldModel.step` takes it.

    Returns:
        The dreams' next state and frames uint8 `[N,H,W,3]`, on a CPU bit for bit what they would
        have been alone; and float64 `[N]`, the standard deviation of the frames over the noises, in
        levels of grey, as a mean over all pixels.
    """
    each = others + 1
    batch = state.select([row for row in range(state.batch) for _ in range(each)])
    # Far from seeds that dreams are given, and another for every noise.
    batch.seeds = [
        seed if i == 0 else -1 - seed - 2**31 * (i - 1) for seed in state.seeds for i in range(each)
    ]
    batch, frames = world.step(batch, np.repeat(actions, each, axis=0), steps, context_noise)
    told = range(0, batch.batch, each)
    spread = [frames[row : row + each].astype(np.float32).std(axis=0).mean() for row in told]
    return batch.select(told), frames[::each].copy(), np.array(spread, np.float64)
