"""The newest frame sampled again: to be looked at, play goes on as it would have."""

import numpy as np

from tests.worldsim.runtime.panels.test_space_memory import play


def walked(world, folder):
    played = play(world, folder)
    played.session.go([0, 2, 2, 0, 2])
    return played.ticks(6)


def test_other_samples_change_nothing(tiny_spatial_world, tmp_path):
    played, other = (walked(tiny_spatial_world, tmp_path) for _ in range(2))
    before = played.session.frame
    played.tap("f7")
    played.ticks(2)
    first, *samples = (pane.frame for pane in played.panes)
    assert np.array_equal(first, before)
    assert len(samples) == 3
    assert len({frame.tobytes() for frame in (first, *samples)}) == 4
    played.tap("2")
    played.ticks(2)
    assert "only to be looked at" in played.note
    played.tap("1")
    played.ticks(2)
    assert not played.panes
    for one in (played, other):
        one.session.go([2])
        one.ticks(2)
    assert np.array_equal(played.session.frame, other.session.frame)


def test_before_the_first_move_there_is_nothing_to_sample(tiny_spatial_world, tmp_path):
    played = play(tiny_spatial_world, tmp_path).ticks(2)
    played.tap("f7")
    played.ticks(2)
    assert "walk first" in played.note
