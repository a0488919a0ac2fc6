"""Shares of flipped labels: they grow with time, and a frame inherits the one before."""

import pytest
import torch

from models.videoar.error_correction import CorrectionConfig, flip_rates

CFG = CorrectionConfig()


def rates_of(cfg, frames=12, scales=4, rows=4000):
    draws = torch.rand(rows, frames, scales, generator=torch.Generator().manual_seed(0))
    return flip_rates(cfg, draws)


def test_shares_lie_in_their_range_and_fill_it():
    rates = rates_of(CFG)[:, :, 1:]
    for t in range(12):
        low, high = 0.01 * t, 0.25 + 0.01 * t
        assert rates[:, t].min() >= low - 1e-6
        assert rates[:, t].max() <= high + 1e-6
        assert float(rates[:, t].mean()) == pytest.approx((low + high) / 2, abs=0.005)


@pytest.mark.parametrize("scales", [1, 4])
def test_a_frame_begins_at_least_where_the_one_before_ended(scales):
    rates = rates_of(CFG, scales=scales)
    assert (rates[:, 1:, 0] >= rates[:, :-1, -1]).all()
    high = 0.25 + 0.01 * torch.arange(1, 12)
    assert (rates[:, 1:, 0] <= high + 1e-6).all()


def test_a_frame_that_inherits_nothing_may_begin_anywhere():
    """Every share is uniform between the bounds of its frame; without growth, those of frame 0."""
    rates = rates_of(CorrectionConfig(growth=0, inherits=False))
    assert (rates[:, 1:, 0] < rates[:, :-1, -1]).float().mean() == pytest.approx(0.5, abs=0.02)
    assert rates[:, -1].min() < 0.001
    assert rates.max() <= 0.25


def test_no_share_is_above_a_half():
    assert rates_of(CFG, frames=65, rows=50).max() <= 0.5


def test_no_errors_where_none_are_asked_for():
    assert (rates_of(CorrectionConfig(least=0, most=0, growth=0), rows=10) == 0).all()


@pytest.mark.parametrize("wrong", [{"most": 0.6}, {"least": 0.3}, {"growth": -0.1}])
def test_bad_shares_are_refused(wrong):
    with pytest.raises(ValueError, match="shares must be"):
        CorrectionConfig(**wrong)
