"""Angles without float64: the numbers of those with it."""

import torch

from models.nn.float32_angles import Float32Angles
from models.nn.rope import AXES, far_long_frequencies, rotation


def test_it_turns_as_float64_does():
    """A thousand cells away, and after a hundred turns, the phase is kept; float32 loses it."""
    torch.manual_seed(0)
    frequencies = far_long_frequencies(64)
    x, y, bearing = (frequencies[AXES.index(axis)] for axis in ("x", "y", "bearing"))
    poses = (torch.rand(50, 3) - 0.5) * torch.tensor([2000.0, 2000.0, 1200.0])
    grid = torch.rand(4, 3, dtype=torch.float64) * torch.tensor([16, 16, 1])
    of_grid = frequencies[1:4]
    angles = Float32Angles(torch.stack((x, y, bearing)), grid, of_grid)

    positions = torch.zeros(50, 4, 6, dtype=torch.float64)
    positions[..., 1:4] = grid
    positions[..., 3] += poses[:, None, 2]
    positions[..., 4:] = poses[:, None, :2]
    wanted = torch.view_as_real(rotation(positions, frequencies)).squeeze(-3)
    assert torch.allclose(angles(poses), wanted, atol=2e-6)

    single = positions.float() @ frequencies.float()
    assert not torch.allclose(torch.stack((single.cos(), single.sin()), -1), wanted, atol=2e-6)


def test_a_network_holds_no_more_weights_for_it():
    """Worlds that are on disk are read as they are."""
    angles = Float32Angles(torch.ones(3, 2), torch.ones(4, 3), torch.ones(3, 2))
    assert not angles.state_dict()
