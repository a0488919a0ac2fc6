"""How many frames a second many dreams make together, beside one dream alone.

One run tells the ratio: sizes are timed in turn, round after round, so that whatever else the
machine does slows all of them alike. Measures; prints nothing.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np

from worldsim.data.collect import RandomActions
from worldsim.evaluate.bench.timing import make_first_state
from worldsim.world.base import World
from worldsim.world.batching import concat

APART = 3  # frames that neighbours in a batch are apart


def time_vector(
    world: World,
    sizes: Sequence[int],
    rounds: int,
    steps: int,
    told: Callable[[str], None] = lambda line: None,
) -> list[dict[str, float]]:
    """Frames a second of batches of several sizes, whose dreams are at different frames.

    Args:
        world: who dreams.
        sizes: numbers of dreams, rising.
        rounds: frames that each dream makes.
        steps: sampler steps a frame.
        told: hears what is done.

    Returns:
        For each size `dreams`, the median `ms` of a step, `per_s`, frames a second of all dreams
        together, and `ratio` of that to the first size's.

    Raises:
        ValueError: the dream ran away.
    """
    told("starting the dreams")
    starts = [make_first_state(world, 1)]
    for _ in range(3):
        later = starts[-1].fork()
        for _ in range(APART):
            later, _ = world.step(later, [0], steps)
        starts.append(later)
    batches = [_batch(starts, size) for size in sizes]
    seconds: list[list[float]] = [[] for _ in sizes]
    for number in range(rounds + 1):
        told(f"round {number} of {rounds}")
        for index, size in enumerate(sizes):
            walker = RandomActions(len(world.actions), np.random.default_rng([number, size]))
            actions = [walker.act(None) for _ in range(size)]
            began = time.perf_counter()
            batches[index], _ = world.step(batches[index], actions, steps)
            seconds[index].append(time.perf_counter() - began)
    # The first round also finds out how rows are multiplied; see worldsim/world/batch_invariant.py.
    medians = [float(np.median(each[1:])) for each in seconds]
    rates = [size / median for size, median in zip(sizes, medians, strict=True)]
    return [
        {"dreams": size, "ms": 1000 * median, "per_s": rate, "ratio": rate / rates[0]}
        for size, median, rate in zip(sizes, medians, rates, strict=True)
    ]


def _batch(starts: list, size: int):
    chosen = [starts[row % len(starts)] for row in range(size)]
    return concat([state.fork([row]) for row, state in enumerate(chosen)])
