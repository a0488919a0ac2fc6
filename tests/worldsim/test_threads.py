"""One thread stays, unless more are worth it."""

import time

import pytest
import torch

from worldsim.threads import settle_threads


@pytest.mark.parametrize(
    ("one", "two", "better"), [(0.01, 0.05, 1), (0.03, 0.001, 2), (0.03, 0.027, 1)]
)
def test_two_threads_stay_if_they_save_a_quarter(one, two, better):
    before = torch.get_num_threads()

    def step():
        time.sleep(one if torch.get_num_threads() == 1 else two)

    try:
        torch.set_num_threads(2)
        assert settle_threads(step) == torch.get_num_threads() == better
    finally:
        torch.set_num_threads(before)
