"""Intervals over episodes: they hold the mean as often as they say, and differences are paired."""

import numpy as np
import pytest

from worldsim.evaluate.bootstrap import interval, intervals, resamples


def test_the_interval_holds_the_mean_about_as_often_as_it_says():
    rng, held = np.random.default_rng(0), 0
    for _ in range(300):
        found = interval(rng.normal(3, 2, 30))
        held += found.low <= 3 <= found.high
    assert 0.88 < held / 300 < 0.99


def test_a_paired_difference_is_surer_than_either():
    """Episodes differ by far more than contestants do."""
    rng = np.random.default_rng(1)
    hard = rng.normal(0, 10, 20)
    a, b = hard + rng.normal(0, 0.1, 20), hard + 0.5 + rng.normal(0, 0.1, 20)
    difference = interval(b - a)
    assert 0 < difference.low < 0.5 < difference.high < 1
    assert interval(a).high - interval(a).low > 4


def test_what_has_no_figure_counts_for_nothing():
    values = np.array([[1.0, np.nan, np.nan], [3.0, 2.0, np.nan]])
    mean, low, high = intervals(values)
    assert mean.tolist()[:2] == [2.0, 2.0]
    assert (low[0], high[0], low[1], high[1]) == (1, 3, 2, 2)
    assert np.isnan([mean[2], low[2], high[2]]).all()
    assert interval(np.array([5.0])) == (5, 5, 5)


def test_draws_are_the_same_for_all_contestants():
    np.testing.assert_array_equal(resamples(7, 10), resamples(7, 10))
    assert resamples(7, 10).max() == pytest.approx(6)
