"""Figures of pictures: ours agree with torchmetrics', and mean what their names say."""

import sys

import cv2
import numpy as np
import pytest

from worldsim.evaluate import metrics


@pytest.fixture
def pictures():
    """Pictures with something to see in them, and noisy copies."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)
    truth = coarse.repeat(8, axis=1).repeat(8, axis=2)
    noisy = (
        truth.astype(int) + rng.integers(-20, 21, truth.shape) * np.arange(5)[:, None, None, None]
    )
    return noisy.clip(0, 255).astype(np.uint8), truth


def test_psnr_is_torchmetrics_of_each_picture(pictures):
    """The mean of PSNRs is not the PSNR of the mean error; the published figures are the first."""
    import torch
    from torchmetrics.functional.image import peak_signal_noise_ratio

    noisy, truth = (torch.from_numpy(part[1:]).float() / 255 for part in pictures)
    theirs = [
        float(peak_signal_noise_ratio(a, b, data_range=1.0))
        for a, b in zip(noisy, truth, strict=True)
    ]
    np.testing.assert_allclose(metrics.psnr(*pictures)[1:], theirs, rtol=1e-4)


def test_the_psnr_of_a_copy_is_finite(pictures):
    """One infinite frame would make the mean of a whole evaluation infinite."""
    _, truth = pictures
    assert metrics.psnr(truth, truth) == pytest.approx(58.92, abs=0.01)
    assert metrics.psnr(truth, truth).shape == (5,)


def test_ssim_is_of_each_picture_in_whatever_shape(pictures):
    noisy, truth = pictures
    values = metrics.ssim(noisy[None], truth[None])
    assert values.shape == (1, 5)
    assert values[0, 0] == pytest.approx(1, abs=1e-4)
    assert (np.diff(values[0]) < 0).all(), "more noise is less alike"


def test_ssim_does_not_depend_on_the_chunks(pictures, monkeypatch):
    whole = metrics.ssim(*pictures)
    monkeypatch.setattr(metrics, "_CHUNK", 2)
    np.testing.assert_allclose(metrics.ssim(*pictures), whole, atol=1e-5)


def test_without_torchmetrics_one_sentence_says_so(pictures, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image", None)
    with pytest.raises(ValueError, match="pip install torchmetrics"):
        metrics.ssim(*pictures)


def test_nearest_finds_the_noisy_copy(pictures):
    noisy, truth = pictures
    assert metrics.nearest(noisy, truth[::-1]).tolist() == [4, 3, 2, 1, 0]


def test_sharpness_falls_with_blur(pictures):
    """Differences of neighbours hardly fall: an edge that is blurred keeps its height."""
    _, truth = pictures
    soft = np.stack([cv2.GaussianBlur(picture, (0, 0), 2) for picture in truth])
    assert (metrics.sharpness(soft) < 0.5 * metrics.sharpness(truth)).all()
    assert (metrics.sharpness(np.full_like(truth, 9)) == 0).all()


@pytest.mark.parametrize("columns", [-20, -3, 0, 7, 24])
def test_a_picture_that_moved_to_the_right_has_a_positive_shift(columns):
    """A left turn moves the picture right; with the wrong sign every world would fail."""
    wide = np.random.default_rng(1).integers(0, 256, (64, 160, 3)).astype(np.uint8)
    before, after = wide[:, 48:112], wide[:, 48 - columns : 112 - columns]
    assert metrics.horizontal_shift(before, after) == columns
