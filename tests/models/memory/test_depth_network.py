"""The depth network: its limits, and what is known is an input."""

import pytest
import torch

from models.memory.depth_network import DepthConfig, DepthNetwork

CFG = DepthConfig(frame_size=32, width=32, layers=1)


def test_what_it_tells_is_within_its_limits():
    torch.manual_seed(0)
    network = DepthNetwork(CFG).requires_grad_(False)
    torch.nn.init.normal_(network.out.weight, std=10.0)
    told = network.inverse_depth(torch.randn(2, 3, 32, 32))
    assert told.shape == (2, 16, 16)
    assert told.min() >= 1 / CFG.far
    assert told.max() <= 1 / CFG.near


def test_known_depth_is_an_input_and_nothing_known_is_none():
    torch.manual_seed(0)
    network = DepthNetwork(CFG).requires_grad_(False)
    pictures, nothing = torch.randn(1, 3, 32, 32), torch.zeros(1, 16, 16)
    assert torch.equal(network(pictures, nothing), network(pictures))
    known = nothing.clone()
    known[:, :, :8] = 0.5
    assert not torch.equal(network(pictures, known), network(pictures))


@pytest.mark.parametrize(("size", "halvings"), [(16, 0), (32, 1), (64, 2), (128, 3)])
def test_every_size_has_its_stages(size, halvings):
    cfg = DepthConfig(frame_size=size, fine=8, width=32, layers=1)
    assert cfg.halvings == halvings
    told = DepthNetwork(cfg).inverse_depth(torch.randn(1, 3, size, size))
    assert told.shape == (1, size // 2, size // 2)


def test_a_place_is_told_from_the_whole_picture():
    torch.manual_seed(0)
    network = DepthNetwork(CFG).requires_grad_(False)
    pictures = torch.randn(1, 3, 32, 32)
    other = pictures.clone()
    other[..., 28:, 28:] += 1
    changed = (network(pictures) - network(other)).abs()
    assert changed[0, 0, 0] > 1e-6
    assert changed[0, -1, -1] > 10 * changed[0, 0, 0]


@pytest.mark.parametrize(("size", "near"), [(48, 0.05), (40, 0.05), (32, 40.0), (32, 0.0)])
def test_what_does_not_fit_is_refused(size, near):
    with pytest.raises(ValueError, match="must be"):
        DepthConfig(frame_size=size, near=near)


@pytest.mark.parametrize("completes", [False, True])
def test_known_depth_stays_where_the_network_completes_and_is_a_hint_elsewhere(completes):
    network = DepthNetwork(DepthConfig(frame_size=32, width=32, layers=1, completes=completes))
    known = torch.zeros(1, 16, 16)
    known[:, :8] = 0.7
    pictures = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    told = network.inverse_depth(pictures, known)
    assert bool((told[:, :8] == 0.7).all()) == completes
    assert not (told[:, 8:] == 0.7).any()
