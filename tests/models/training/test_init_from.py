"""A training that begins with another world's weights: what belongs to an action moves with it."""

import pytest
import torch

from models.far.dynamics import FARDynamics
from models.training.init_from import dynamics_of, reorder_actions
from tests.support.far_networks import far_config
from worldsim.actions import load_actions


def network(actions):
    cfg = far_config(
        actions=len(actions), latent_channels=4, latent_size=4, coarse_patch=(4, 4), width=32,
        layers=2, head_size=16,
    )  # fmt: skip
    torch.manual_seed(0)
    return FARDynamics(cfg, actions.turns).network.eval()


def test_an_action_of_another_number_is_the_same_action():
    maze, voxel = load_actions("dmlab"), load_actions("voxel")
    ours = network(maze)
    moved = network(voxel)
    moved.load_state_dict(reorder_actions(ours.state_dict(), maze, voxel))
    hidden = torch.randn(1, 1, 4, 32)
    for name in maze.names:
        a, b = maze.id(name), voxel.id(name)
        assert torch.equal(ours.embed_action.weight[a], moved.embed_action.weight[b])
        told = ours.predict_motions(hidden)[..., a, :], moved.predict_motions(hidden)[..., b, :]
        assert torch.equal(*told)
    assert torch.equal(ours.embed_action.weight[-1], moved.embed_action.weight[-1])
    assert torch.equal(ours.blocks[0].fine.out.weight, moved.blocks[0].fine.out.weight)


def test_a_world_lends_its_dynamics(tiny_world):
    maze, voxel = load_actions("dmlab"), load_actions("voxel")
    as_they_are = dynamics_of(tiny_world, maze)
    renamed = dynamics_of(tiny_world, voxel)
    order = [maze.id(name) for name in voxel.names]
    assert torch.equal(
        renamed["embed_action.weight"][:-1], as_they_are["embed_action.weight"][:-1][order]
    )


def test_an_action_that_the_other_world_has_not_is_refused():
    theirs = load_actions("minecraft")
    weights = network(theirs).state_dict()
    with pytest.raises(ValueError, match="no action 'stand'"):
        reorder_actions(weights, theirs, load_actions("voxel"))
