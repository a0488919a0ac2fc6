"""Where attention found things: a matter of the two places alone, and what the numbers say."""

import math

import pytest
import torch

from models.nn.geometric_attention import to_query_frame
from models.nn.relative_pose import NUMBERS, token_poses

GRID = torch.tensor([[0.5, 0.5, 0.3], [0.5, 2.5, -0.3]])


def read(poses: torch.Tensor) -> torch.Tensor:
    """What every token says of the mean of all tokens of all frames."""
    where = token_poses(poses, GRID)
    mean = where.place.mean(dim=1, keepdim=True).unsqueeze(2)
    mean = mean.expand(-1, where.place.shape[1], 3, -1)
    return to_query_frame(mean[..., :NUMBERS], where)


def test_the_same_wherever_the_world_lies():
    """Turned and moved as a whole, a world looks the same from inside."""
    poses = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    angle, shift = 0.7, torch.tensor([3.0, -2.0])
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    moved = torch.cat((poses[..., :2] @ turn.T + shift, poses[..., 2:] + angle), dim=-1)
    assert torch.allclose(read(poses), read(moved), atol=1e-5)
    assert float(read(poses).std()) > 0.1


@pytest.mark.parametrize(
    ("heading", "ahead", "left"), [(0.0, 0.5, 0.0), (math.pi / 2, 0.0, -0.5), (math.pi, -0.5, 0.0)]
)
def test_one_cell_away(heading, ahead, left):
    """A place one cell along x, seen by a token at the origin that looks along `heading`."""
    straight = torch.tensor([[0.5, 0.5, 0.0]])
    own = token_poses(torch.tensor([[[0.0, 0.0, heading]]]), straight)
    there = token_poses(torch.tensor([[[1.0, 0.0, heading]]]), straight)
    numbers = to_query_frame(there.place[..., :NUMBERS].unsqueeze(2), own)[0, 0, 0]
    assert numbers[:4].tolist() == pytest.approx([ahead, left, 0.0, 0.0], abs=1e-3)
    assert numbers[4:].tolist() == pytest.approx([1.0, 0.0] * 3, abs=1e-6)
