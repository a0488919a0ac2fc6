"""Keyframes: near, not alike, and the fast choice is the slow one."""

import math

import pytest
import torch

from models.memory.keyframes import choose_keyframes, nearest_keyframes


def test_keyframes_are_near_and_not_alike():
    places = torch.tensor([[[0.0, 0, 0], [0.05, 0, 0], [1, 0, 0], [5, 0, 0], [0, 0, math.pi]]])
    usable = torch.tensor([[True, True, True, True, True]])
    chosen = choose_keyframes(torch.zeros(1, 1, 3), places, usable, 3)
    assert chosen.tolist() == [[0, 2, 4]]
    nothing = choose_keyframes(torch.zeros(1, 1, 3), places, ~usable, 2)
    assert nothing.tolist() == [[-1, -1]]


@pytest.mark.parametrize("room", [3.0, 0.3, 0.05])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.03])
def test_the_fast_choice_of_keyframes_is_the_slow_one(room, share):
    """In wide and in narrow places, with few and with many usable ones, with some seen twice."""
    torch.manual_seed(0)
    for _ in range(8):
        targets, places = torch.randn(3, 3) * room, torch.randn(3, 256, 3) * room
        places[:, 200:] = places[:, :56]
        usable = torch.rand(3, 256) < share
        slow = choose_keyframes(targets.unsqueeze(1), places, usable, 12)
        assert torch.equal(nearest_keyframes(targets, places, usable, 12), slow)
