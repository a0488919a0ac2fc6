"""FVD: a detector of the published interface with random weights, and distances that are known."""

import numpy as np
import pytest
import torch

from tests.support.metric_weights import Detector as TinyI3D
from tests.support.metric_weights import write_detector
from worldsim.evaluate.fvd import FEATURES, Detector, fvd


@pytest.fixture(scope="module")
def i3d(tmp_path_factory):
    return write_detector(tmp_path_factory.mktemp("i3d") / "i3d_torchscript.pt")


def clips(seed, count=4, frames=12):
    return np.random.default_rng(seed).integers(0, 256, (count, frames, 32, 32, 3)).astype(np.uint8)


def test_features_are_of_clips_in_minus_one_to_one(i3d):
    """Rescaling is the detector's own where it is asked for: both ways are the same numbers."""
    found = Detector(i3d).features(clips(0))
    assert found.shape == (4, FEATURES)
    planes = torch.from_numpy(clips(0)).movedim(-1, 1).float()
    alone = TinyI3D()(planes, rescale=True, resize=True, return_features=True)
    np.testing.assert_allclose(found, alone.numpy(), atol=1e-5)


def test_both_ways_to_the_root_agree_where_the_rank_is_full():
    """And the distance of a set to itself is none, either way round the same."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(60, 8)), rng.normal(size=(50, 8)) * np.arange(1, 9) + 1
    assert fvd(a, b) == pytest.approx(fvd(a, b, as_published=True), rel=1e-6)
    assert fvd(a, b) == pytest.approx(fvd(b, a))
    assert fvd(a, a) == pytest.approx(0, abs=1e-9)
    assert fvd(a, a + 2) == pytest.approx(8 * 2**2)


def test_too_few_clips_and_clips_too_short(i3d):
    with pytest.raises(ValueError, match="clips of each kind must be >= 2 for FVD, got 1 and 5"):
        fvd(np.zeros((1, 4)), np.zeros((5, 4)))
    with pytest.raises(ValueError, match="must have >= 10 frames for FVD, got 9"):
        Detector(i3d).features(clips(0, frames=9))


def test_other_files_are_refused_in_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"there is no file.*StyleGAN-V"):
        Detector(tmp_path / "none.pt")
    (tmp_path / "page.pt").write_text("<html>")
    with pytest.raises(ValueError, match="not a detector for FVD"):
        Detector(tmp_path / "page.pt")
    narrow = write_detector(tmp_path / "narrow.pt", features=10)
    with pytest.raises(ValueError, match=r"features must be \[1, 400\].*got \[1, 10\]"):
        Detector(narrow)
