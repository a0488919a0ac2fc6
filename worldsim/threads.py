"""How many threads a small network should run on: it is measured, since nobody knows.

A second thread halves the time of a large network and doubles that of a small one on a busy
machine, where threads wait for each other hundreds of times a frame. A window and a recorder
make two cores busy, so a second thread has to save a good deal to be worth it: with a window that
draws, a frame of the bundled maze takes 69 ms on two threads and 57 ms on one, without it 35 and
41 ms.
"""

import time
from collections.abc import Callable

ROUNDS = 3
WORTH_IT = 0.75  # of the time on one thread


def settle_threads(step: Callable[[], object]) -> int:
    """Run `step` a few times on one thread and on as many as torch has, and stay with one unless
    all of them are a quarter faster.

    Args:
        step: makes a frame, or something like it; called 2 + 2 * ROUNDS times at most.

    Returns:
        The number of threads torch has now. Pictures may differ in their last bits from those
        of another number, so recordings note it.
    """
    import torch

    most = torch.get_num_threads()
    found = {}
    for threads in sorted({1, most}, reverse=True):
        torch.set_num_threads(threads)
        step()
        found[threads] = min(_seconds(step) for _ in range(ROUNDS))
    best = most if found[most] < WORTH_IT * found[1] else 1
    torch.set_num_threads(best)
    return best


def _seconds(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start
