"""The loss of the depth network: it falls, and pictures break where memory does not show them."""

import dataclasses

import pytest
import torch

from models.memory.depth_network import DepthConfig, DepthNetwork
from models.training.depth_loss import (
    break_pictures,
    depth_loss,
    draw_holes,
    draw_known,
    draw_strips,
    mix_broken,
)
from tests.support.rooms import look
from tests.support.spatial_worlds import SIZE, small_models, small_settings

CFG = DepthConfig(frame_size=SIZE, width=32, layers=1)


@pytest.fixture(scope="module")
def codec():
    return small_models(small_settings()).codec


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def batch_of_rooms(count: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures whose shade says how far the walls are, and their depths."""
    generator = torch.Generator().manual_seed(0)
    poses = torch.randn(count, 4, generator=generator) * torch.tensor([1.0, 1.0, 3.0, 0.1])
    depths = torch.stack([torch.from_numpy(look(pose, SIZE // 2)[0]).float() for pose in poses])
    fine = torch.stack([torch.from_numpy(look(pose, SIZE)[0]).float() for pose in poses])
    return (fine / 4 - 1).clamp(-1, 1).unsqueeze(1).repeat(1, 3, 1, 1), depths


def test_it_falls(codec, generator):
    torch.manual_seed(0)
    network = DepthNetwork(CFG)
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3)
    pictures, depths = batch_of_rooms()
    found = []
    for _ in range(60):
        loss = depth_loss(network, codec, pictures, depths, generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(loss.item())
    assert sum(found[-5:]) < 0.5 * sum(found[:5])


def test_known_depth_is_nearly_true_or_wrong_over_large_places(generator):
    target = torch.randn(256, 16, 16, generator=generator)
    seen = torch.rand(target.shape, generator=generator) < 0.5
    known = draw_known(target, seen, 0.6, generator)
    assert torch.equal(known > 0, seen)
    wrong = torch.where(seen, known.log() - target, torch.nan)
    worst = wrong.abs().nan_to_num().amax(dim=(1, 2))
    assert 0.3 < (worst < 0.3).float().mean() < 0.5  # the share that is not misled
    misled = wrong[worst > 1]
    beside = (misled[:, :, 1:] - misled[:, :, :-1]).abs().nanmean()
    assert beside < 0.7 * (misled[:, :, 8:] - misled[:, :, :-8]).abs().nanmean()


def test_a_network_that_completes_is_told_the_truth(codec):
    pictures, depths = batch_of_rooms()
    told = []
    for completes in (False, True):
        network = DepthNetwork(dataclasses.replace(CFG, completes=completes))
        network.register_forward_pre_hook(lambda _, given: told.append(given))
        for seed in range(8):
            same = torch.Generator().manual_seed(seed)
            depth_loss(network, codec, pictures, depths, same)
    worst = []
    for _, known in told:
        level = known[known > 0].log()
        worst.append(level.max() - level.min())
    assert max(worst[8:]) < 0.8 * max(worst[:8])  # beyond the depths that there are


@pytest.mark.parametrize("draw", [draw_strips, draw_holes])
def test_what_is_not_seen_is_anything_from_nearly_nothing_to_nearly_all(draw, generator):
    target = torch.zeros(64, 16, 16)
    shares = torch.cat([draw(target, generator).float().mean(dim=(1, 2)) for _ in range(4)])
    assert shares.min() < 0.05
    assert shares.max() > 0.9
    assert 0.3 < shares.mean() < 0.7


def test_pictures_break_where_they_are_not_seen_alone(codec, generator):
    pictures = torch.rand(8, 3, SIZE, SIZE, generator=generator) * 2 - 1
    seen = torch.ones(8, SIZE // 2, SIZE // 2, dtype=torch.bool)
    seen[:, :, :4] = False
    error = (mix_broken(codec, pictures, seen, generator) - pictures).abs().mean(dim=(0, 1, 2))
    assert error[:8].min() > 3 * error[8:].max()


def test_broken_pictures_are_decoded_ones(codec, generator):
    """With nothing wrong they are what the codec makes of them, and within the limits always."""
    pictures = torch.rand(4, 3, SIZE, SIZE, generator=generator) * 2 - 1
    decoded = codec.paint(codec.encode_pictures(pictures)).clamp(-1, 1)
    errors = torch.stack(
        [(break_pictures(codec, pictures, generator) - decoded).abs().mean() for _ in range(40)]
    )
    assert errors.min() < 0.2 * errors.max()
    assert break_pictures(codec, 3 * pictures, generator).abs().max() <= 1
