"""The depth network: its limits, and what is known is an input."""

import pytest
import torch

from models.memory.depth_network import DepthConfig, DepthNetwork

CFG = DepthConfig(frame_size=32, width=32, layers=1)


def test_what_it_tells_is_within_its_limits():
    torch.manual_seed(0)
    network = DepthNetwork(CFG).requires_grad_(False)
    torch.nn.init.normal_(network.edges.out.weight, std=10.0)
    told = network.inverse_depth(torch.randn(2, 3, 32, 32))
    assert told.shape == (2, 16, 16)
    assert told.min() >= 1 / CFG.far
    assert told.max() <= 1 / CFG.near


def test_known_depth_is_an_input_and_nothing_known_is_none():
    torch.manual_seed(0)
    network = DepthNetwork(CFG).requires_grad_(False)
    torch.nn.init.normal_(network.embed_known.weight, std=0.2)
    pictures, nothing = torch.randn(1, 3, 32, 32), torch.zeros(1, 16, 16)
    assert torch.equal(network(pictures, nothing), network(pictures))
    known = nothing.clone()
    known[:, :, :8] = 0.5
    assert not torch.equal(network(pictures, known), network(pictures))


@pytest.mark.parametrize(("size", "near"), [(40, 0.05), (32, 40.0), (32, 0.0)])
def test_what_does_not_fit_is_refused(size, near):
    with pytest.raises(ValueError, match="must be"):
        DepthConfig(frame_size=size, near=near)
