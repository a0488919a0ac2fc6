"""The faster number of threads is the one that stays."""

import time

import pytest
import torch

from worldsim.threads import settle_threads


@pytest.mark.parametrize("better", [1, 2])
def test_the_faster_number_stays(better):
    before = torch.get_num_threads()

    def step():
        time.sleep(0.001 if torch.get_num_threads() == better else 0.03)

    try:
        torch.set_num_threads(2)
        assert settle_threads(step) == torch.get_num_threads() == better
    finally:
        torch.set_num_threads(before)
