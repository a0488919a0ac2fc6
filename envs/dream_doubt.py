"""How sure a dream is of its next frame: the same step with several noises, in one batch."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from worldsim.world import WorldModel, WorldState


def step_with_others(
    world: "WorldModel", state: "WorldState", action: int, steps: int, others: int
) -> tuple["WorldState", np.ndarray, float]:
    """Step one dream, and beside it the same dream with other noises.

    Args:
        world: who dreams.
        state: one dream; used up.
        action: what is done.
        steps: sampler steps.
        others: how many other noises.

    Returns:
        The dream's next state and frame uint8 `[H,W,3]`, on a CPU bit for bit what it would have
        been alone; and the standard deviation of the frames over the noises, in levels of grey, as
        a mean over all pixels.
    """
    batch = state.select([0] * (others + 1))
    # Far from seeds that dreams are given, and another for every noise.
    batch.seeds = [state.seeds[0], *(-1 - state.seeds[0] - 2**31 * i for i in range(others))]
    batch, frames = world.step(batch, [action] * batch.batch, steps)
    spread = frames.astype(np.float32).std(axis=0).mean()
    return batch.select([0]), frames[0], float(spread)
