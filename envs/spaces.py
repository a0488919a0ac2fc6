"""The action space of an environment: ids of actions, or turns and strides as numbers."""

from typing import TYPE_CHECKING

import gymnasium
import numpy as np

from worldsim.actions import ActionSet
from worldsim.controls import ControlLimits, is_control, no_controls

if TYPE_CHECKING:
    from worldsim.world.model import WorldModel


def make_action_space(
    name: str, actions: ActionSet, limits: ControlLimits | None, continuous: bool
) -> gymnasium.spaces.Discrete | gymnasium.spaces.Box:
    """`Discrete`, or where `continuous` is asked for a float32 `Box` of `[turn, stride]`.

    Raises:
        ValueError: it is asked for, and what is called `name` has no continuous actions.
    """
    if not continuous:
        return gymnasium.spaces.Discrete(len(actions))
    if limits is None:
        raise no_controls(name)
    return gymnasium.spaces.Box(limits.lowest, limits.highest, dtype=np.float32)


def check_action(world: "WorldModel", action: object) -> int | np.ndarray:
    """An action that a world takes: an id, or a control float32 `[2]`.

    Raises:
        ValueError: it is none.
    """
    if not is_control(action):
        return world.actions.valid(action)
    if getattr(world, "limits", None) is None:
        raise no_controls(world.card.name)
    return world.check_control(action)
