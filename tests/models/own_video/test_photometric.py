"""The photometric loss in a room whose depth is known: true depth and motion explain the next
frame, wrong ones do not, and gradients lead from wrong to true.
"""

import numpy as np
import pytest
import torch

from models.memory.odometry import compose_poses
from models.own_video.photometric import (
    Neighbours,
    look_up,
    photometric_loss,
    roughness,
    unlikeness,
)
from tests.support.rooms import FOV, look

SIZE = 32
MOTIONS = torch.tensor([[0.4, 0.1, 0.0], [0.3, 0.0, 0.0]])
TURNS = torch.tensor([0.2, -0.3])


def see(pose: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The picture `[1,3,n,n]` and depth `[1,n,n]` of the room from a pose `[1,4]`."""
    depth, colours = look(pose[0], SIZE)
    picture = torch.from_numpy(colours.astype(np.float32)).permute(2, 0, 1) / 127.5 - 1
    return picture.unsqueeze(0), torch.from_numpy(depth).float().unsqueeze(0)


@pytest.fixture(scope="module")
def walk():
    """Three looks at the room, and the depth of the middle one."""
    first = torch.tensor([[0.3, -0.2, 0.5, 0.0]])
    middle = compose_poses(first, MOTIONS[:1], TURNS[:1])
    last = compose_poses(middle, MOTIONS[1:], TURNS[1:])
    pictures = [see(pose)[0] for pose in (first, middle, last)]
    return Neighbours(*pictures, MOTIONS.unsqueeze(0), TURNS.unsqueeze(0)), see(middle)[1]


def loss_of(walk, depth: torch.Tensor, **wrong) -> float:
    return photometric_loss(walk[0]._replace(**wrong), -depth.log(), FOV).item()


def test_true_depth_and_motion_explain_the_neighbours(walk):
    neighbours, depth = walk
    origin = torch.zeros(1, 4)
    there = compose_poses(origin, MOTIONS[1:], TURNS[1:])
    shown, visible = look_up(neighbours.after, depth, origin, there, FOV)
    assert 0.4 < visible.float().mean() < 1  # it turned away from a part
    error = (shown - neighbours.middle).abs().mean(dim=1)[visible].mean()
    assert error < 0.25 * (neighbours.after - neighbours.middle).abs().mean()


def test_whatever_is_wrong_costs(walk):
    neighbours, depth = walk
    right = loss_of(walk, depth)
    assert loss_of(walk, 0.5 * depth) > 1.2 * right
    assert loss_of(walk, 2 * depth) > 1.2 * right
    assert loss_of(walk, depth, motions=0 * neighbours.motions) > 1.2 * right
    assert loss_of(walk, depth, motions=-neighbours.motions) > 1.5 * right
    assert loss_of(walk, depth, turns=-neighbours.turns) > 1.5 * right
    # neither is there a unit: all larger is as good
    twice = loss_of(walk, 2 * depth, motions=2 * neighbours.motions)
    assert twice == pytest.approx(right, rel=0.02)


def test_gradients_lead_to_the_motion(walk):
    neighbours, depth = walk
    motions = (0.5 * neighbours.motions).requires_grad_()
    optimiser = torch.optim.Adam([motions], lr=0.02)
    for _ in range(60):
        loss = photometric_loss(neighbours._replace(motions=motions), -depth.log(), FOV)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (motions - neighbours.motions)[..., :2].abs().max() < 0.05


def test_what_is_out_of_sight_teaches_nothing(walk):
    """Points that are sent out of the picture must not make the error smaller."""
    neighbours, depth = walk
    away = torch.full_like(neighbours.turns, torch.pi)
    blind = loss_of(walk, depth, turns=away)
    others = neighbours.before, neighbours.after
    still = torch.stack([unlikeness(other, neighbours.middle) for other in others])
    assert blind > 0.9 * still.amin(dim=0).mean()


def test_unlikeness_is_zero_for_the_same_and_one_at_most():
    a, b = torch.rand(2, 3, 3, 16, 16) * 2 - 1
    assert unlikeness(a, a).abs().max() < 1e-5
    assert 0.2 < unlikeness(a, b).mean() <= 1
    assert torch.equal(unlikeness(a, b), unlikeness(b, a))


def test_depth_may_bend_where_the_picture_does():
    flat, edge = torch.zeros(2, 1, 3, 16, 16)
    edge[..., 8:] = 1
    bent = torch.zeros(1, 16, 16)
    bent[..., 8:] = 1
    slope = torch.arange(16.0).expand(1, 16, 16)
    assert roughness(bent, edge) < 0.5 * roughness(bent, flat)
    assert roughness(slope, flat) < 1e-6  # a plane that is seen aslant
