"""What a VideoAR dream says that it remembers."""

import torch

from models.videoar.carry import EMPTY
from models.videoar.memory_levels import levels_of
from tests.support.videoar_worlds import small_dynamics


def test_the_window_and_the_frame_that_is_being_made():
    dynamics = small_dynamics()
    carry = dynamics.initial(1)
    carry.ids[0, 0] = 7
    window, newest = levels_of(dynamics, carry)
    assert (window.name, newest.name) == ("window", "frame")
    assert window.frames[0] == 7
    assert set(window.frames[1:]) == {EMPTY}
    assert newest.frames == [EMPTY]
    assert torch.equal(carry.ids[0], torch.tensor(window.frames))
