"""LPIPS: the distance of the paper, of files of the published names and shapes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.support.metric_weights import write_backbone
from worldsim.evaluate.lpips import (
    SCALE,
    SHIFT,
    heads_path,
    lpips,
    lpips_maps,
    read_lpips,
    read_perceptual,
)
from worldsim.world.foreign_checkpoint import read_checkpoint


@pytest.fixture(scope="module")
def alex(tmp_path_factory):
    return write_backbone(tmp_path_factory.mktemp("alex") / "alex.pth", "alex")


def pictures(seed, count=3):
    return np.random.default_rng(seed).integers(0, 256, (count, 64, 64, 3)).astype(np.uint8)


def by_hand(path, pictures, truth, low=-1.0):
    """The paper's sum, written out for AlexNet: a slow twin that shares no code."""
    w, heads = read_checkpoint(path, True), read_checkpoint(heads_path("alex"), True)

    def stages(frames):
        x = torch.from_numpy(frames).movedim(-1, 1).double() / 255 * (1 - low) + low
        x = (x - torch.tensor(SHIFT).view(1, 3, 1, 1)) / torch.tensor(SCALE).view(1, 3, 1, 1)
        for number, stride, padding, pooled in (
            *((0, 4, 2, False), (3, 1, 2, True), (6, 1, 1, True), (8, 1, 1, False)),
            (10, 1, 1, False),
        ):
            x = F.max_pool2d(x, 3, 2) if pooled else x
            kernel, bias = (w[f"features.{number}.{end}"].double() for end in ("weight", "bias"))
            x = F.conv2d(x, kernel, bias, stride=stride, padding=padding).relu()
            yield F.normalize(x, dim=1)

    total = 0
    for number, (a, b) in enumerate(zip(stages(pictures), stages(truth), strict=True)):
        head = heads[f"lin{number}.model.1.weight"].double()
        total = total + F.conv2d((a - b) ** 2, head).mean((1, 2, 3))
    return total.numpy()


def test_the_distance_is_the_papers(alex):
    distance, ours, truth = read_lpips(alex), pictures(0), pictures(1)
    assert distance.name == "alex"
    found = lpips(distance, ours[None], truth[None])
    assert found.shape == (1, 3)
    np.testing.assert_allclose(found[0], by_hand(alex, ours, truth), rtol=1e-4)
    assert (lpips(distance, truth, truth) == 0).all()


def test_as_published_the_network_is_given_other_numbers(alex):
    distance, ours, truth = read_lpips(alex), pictures(0), pictures(1)
    found = lpips(distance, ours, truth, as_published=True)
    np.testing.assert_allclose(found, by_hand(alex, ours, truth, low=0.0), rtol=1e-4)
    assert (abs(found - lpips(distance, ours, truth)) > 1e-4).all()


def test_the_mean_of_a_map_is_about_the_distance(alex):
    """And what is the same lies below what is not."""
    distance, truth = read_lpips(alex), pictures(1)
    ours = truth.copy()
    ours[:, :, :32] = pictures(0)[:, :, :32]
    found = lpips_maps(distance, ours, truth)
    assert found.shape == (3, 64, 64)
    np.testing.assert_allclose(found.mean((1, 2)), lpips(distance, ours, truth), rtol=0.2)
    assert (found[:, :, :16].mean((1, 2)) > 3 * found[:, :, 48:].mean((1, 2))).all()


def test_the_backbone_is_known_by_its_shape(tmp_path):
    assert read_lpips(write_backbone(tmp_path / "a.pth", "vgg")).name == "vgg"


def test_other_files_are_refused_in_one_sentence(alex, tmp_path):
    with pytest.raises(ValueError, match=r"there is no file.*alexnet-owt-7be5be79"):
        read_lpips(tmp_path / "none.pth")
    with pytest.raises(ValueError, match=r"not a weight file of LPIPS on alex.*got None"):
        read_lpips(heads_path("vgg"))
    with pytest.raises(ValueError, match=r"must be \[1, 64, 1, 1\]"):
        read_perceptual(alex, alex, "alex")
