"""The depth network: it learns, and what is known is an input."""

import pytest
import torch

from models.memory.depth_network import DepthConfig, DepthNetwork, depth_loss, draw_known
from tests.support.rooms import look

CFG = DepthConfig(frame_size=32, width=32, layers=1)


def batch_of_rooms(count: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures whose shade says how far the walls are, and their depths."""
    generator = torch.Generator().manual_seed(0)
    poses = torch.randn(count, 4, generator=generator) * torch.tensor([1.0, 1.0, 3.0, 0.1])
    depths = torch.stack([torch.from_numpy(look(pose, 16)[0]).float() for pose in poses])
    fine = torch.stack([torch.from_numpy(look(pose, 32)[0]).float() for pose in poses])
    return (fine / 4 - 1).clamp(-1, 1).unsqueeze(1).repeat(1, 3, 1, 1), depths


def test_its_loss_falls():
    torch.manual_seed(0)
    network, generator = DepthNetwork(CFG), torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3)
    pictures, depths = batch_of_rooms()
    found = []
    for _ in range(50):
        loss = depth_loss(network, pictures, depths, generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(loss.item())
    assert sum(found[-5:]) < 0.5 * sum(found[:5])


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
    torch.nn.init.normal_(network.embed_known.weight, std=0.2)
    pictures, nothing = torch.randn(1, 3, 32, 32), torch.zeros(1, 16, 16)
    assert torch.equal(network(pictures, nothing), network(pictures))
    known = nothing.clone()
    known[:, :, :8] = 0.5
    assert not torch.equal(network(pictures, known), network(pictures))


def test_what_is_drawn_as_known_is_nearly_true_and_never_all_of_it():
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(64, 16, 16, generator=generator)
    known = draw_known(target, generator)
    there = known > 0
    assert (known[there].log() - target[there]).abs().max() < 0.3
    shares = there.float().mean(dim=(1, 2))
    assert 0.3 < (shares == 0).float().mean() < 0.8
    assert shares.max() < 1
    assert shares.max() > 0.5


@pytest.mark.parametrize(("size", "near"), [(40, 0.05), (32, 40.0), (32, 0.0)])
def test_what_does_not_fit_is_refused(size, near):
    with pytest.raises(ValueError, match="must be"):
        DepthConfig(frame_size=size, near=near)
