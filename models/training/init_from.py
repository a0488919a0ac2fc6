"""To begin a training with another world's dynamics, though its actions have other numbers."""

import torch
from torch import Tensor

from models.training.codec import world_weights
from worldsim.actions import ActionSet, load_actions
from worldsim.world.card import read_card
from worldsim.world.checkpoint import CARD
from worldsim.world.model import world_folder

# What belongs to actions -> how many numbers of the first dimension each of them has.
_OF_ACTIONS = {"embed_action.weight": 1, "odometry.5.weight": 2, "odometry.5.bias": 2}


def dynamics_of(world: str, actions: ActionSet) -> dict[str, Tensor]:
    """The float32 dynamics weights of a world, its actions put in the order of `actions`."""
    theirs = load_actions(read_card(world_folder(world) / CARD).action_set)
    return reorder_actions(world_weights(world, "dynamics."), theirs, actions)


def reorder_actions(
    weights: dict[str, Tensor], theirs: ActionSet, ours: ActionSet
) -> dict[str, Tensor]:
    """Weights whose actions are `theirs` as those of a network whose actions are `ours`.

    Raises:
        ValueError: ours has an action that theirs does not have.
    """
    order = torch.tensor([theirs.id(name) for name in ours.names])
    changed = dict(weights)
    for name, each in _OF_ACTIONS.items():
        of_actions = weights[name][: each * len(theirs)].unflatten(0, (-1, each))
        rest = weights[name][each * len(theirs) :]  # the row that stands for no action
        changed[name] = torch.cat((of_actions[order].flatten(0, 1), rest))
    return changed
