"""Continuous actions: a turn and a stride as numbers, for worlds and engines that take them.

A control is float32 `[turn, stride]`: degrees counter-clockwise, and the share of the full step of
the action `forward`. The body goes its stride along its heading, then it turns.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from worldsim.actions import ActionSet
from worldsim.reading import check_number

Action = int | tuple[float, float]  # an id, or the turn and the stride of a control
NO_CONTROL = (math.nan, math.nan)
TURN, STRIDE = 0, 1  # columns
WALK = "forward"  # the action whose full step a stride is a share of


@dataclass(frozen=True, kw_only=True)
class ControlLimits:
    """What controls may say: turns of at most `turn` degrees either way, strides from 0 to
    `stride`.
    """

    turn: float
    stride: float

    def __post_init__(self) -> None:
        check_number(self.turn, "continuous.turn", 1e-3, 180)
        check_number(self.stride, "continuous.stride", 1e-3, 1)

    @property
    def lowest(self) -> np.ndarray:
        """float32 `[2]`."""
        return np.array([-self.turn, 0], np.float32)

    @property
    def highest(self) -> np.ndarray:
        """float32 `[2]`."""
        return np.array([self.turn, self.stride], np.float32)

    def valid(self, control: Any) -> np.ndarray:
        """A control float32 `[2]`, fresh.

        Raises:
            ValueError: not two numbers, or one of them is out of range.
        """
        try:
            given = np.array(control, np.float32)
        except (TypeError, ValueError):
            given = np.zeros(0, np.float32)
        if given.shape != (2,):
            raise ValueError(
                f"a continuous action must be [turn in degrees, stride], got {control!r:.60}."
            )
        low, high = self.lowest, self.highest
        for name, unit, at in (("turn", " degrees", TURN), ("stride", "", STRIDE)):
            if not low[at] <= given[at] <= high[at]:
                raise ValueError(
                    f"{name} must be in [{low[at]:g}, {high[at]:g}]{unit}, got {given[at]:g}."
                )
        return given


def limit_controls(actions: ActionSet) -> ControlLimits | None:
    """What the actions of a set can be told as numbers: turns as far as its own, whole strides;
    None where it does not turn both ways and walk.
    """
    turns = [math.degrees(turn) for turn in actions.turns]
    if WALK not in actions.names or not min(turns) < 0 < max(turns):
        return None
    return ControlLimits(turn=round(min(max(turns), -min(turns)), 6), stride=1.0)


def no_controls(name: str) -> ValueError:
    """What to raise where there are none."""
    return ValueError(f"{name} has no continuous actions: give ids of actions.")


def is_control(action: object) -> bool:
    """Whether an action is told as numbers and not by its id: an array or list of floats."""
    if not isinstance(action, np.ndarray | list | tuple):
        return False
    given = action if isinstance(action, np.ndarray) else _to_array(action)
    return given.dtype.kind == "f" and given.ndim == 1


def are_controls(actions: object) -> bool:
    """Whether the actions of several dreams are told so: float `[B,2]`."""
    given = actions if isinstance(actions, np.ndarray) else _to_array(actions)
    return given.dtype.kind == "f" and given.ndim == 2


def _to_array(actions: object) -> np.ndarray:
    try:
        return np.asarray(actions)
    except ValueError:  # rows of several lengths
        return np.zeros(0, object)


def name_controls(actions: ActionSet) -> np.ndarray:
    """The controls float32 `[N,2]` that do what each action does; NaN of those that none does."""
    found = np.full((len(actions), 2), np.nan, np.float32)
    for action, (name, turn) in enumerate(zip(actions.names, actions.turns, strict=True)):
        if turn or name in (WALK, actions.idle):
            found[action] = math.degrees(turn), name == WALK
    return found


def find_nearest(control: Sequence[float] | np.ndarray, actions: ActionSet) -> int:
    """The action that is most like a control: a full turn counts as much as a full step. Who does
    not stride is told of no step.
    """
    turn, stride = map(float, control)
    most = max(abs(math.degrees(turn)) for turn in actions.turns)
    named = name_controls(actions)
    apart = np.hypot((named[:, TURN] - turn) / most, named[:, STRIDE] - stride)
    apart[np.isnan(apart)] = np.inf
    if not stride:
        apart[named[:, STRIDE] > 0] = np.inf
    return int(apart.argmin())


def list_actions(ids: Iterable[int], controls: np.ndarray | None) -> list[Action]:
    """Actions one by one: ids `[N]`, and float32 `[N,2]` of those that were told as controls (NaN
    of the others; None: of none).
    """
    if controls is None:
        return [int(action) for action in ids]
    told = [None if math.isnan(turn) else (turn, stride) for turn, stride in controls.tolist()]
    return [int(action) if one is None else one for action, one in zip(ids, told, strict=True)]


def split_actions(
    taken: Sequence[Action], actions: ActionSet
) -> tuple[np.ndarray, np.ndarray | None]:
    """Inverse of `list_actions`, for a set of actions: ids int64 `[N]` and controls."""
    ids = [find_nearest(one, actions) if isinstance(one, tuple) else one for one in taken]
    told = [one if isinstance(one, tuple) else NO_CONTROL for one in taken]
    some = any(isinstance(one, tuple) for one in taken)
    return np.array(ids, np.int64), np.array(told, np.float32) if some else None


def fill_controls(ids: np.ndarray, controls: np.ndarray | None, actions: ActionSet) -> np.ndarray:
    """The controls float32 `[N,2]` of all actions, also of those that were told by their ids; NaN
    of those that no control equals.
    """
    filled = name_controls(actions)[ids]
    return filled if controls is None else np.where(np.isnan(controls), filled, controls)


def step_action(action: Action) -> int | np.ndarray:
    """An id or a control, as an environment's `step` takes it."""
    return np.array(action, np.float32) if isinstance(action, tuple) else int(action)


def read_action(told: Any) -> Action:
    """An action as `list_actions` gives it, of what a file or a caller says: a number, or two."""
    if not isinstance(told, list | tuple):
        return int(told)
    turn, stride = told
    return float(turn), float(stride)


def is_told(controls: np.ndarray | None) -> bool:
    """Whether some of the actions `[...,2]` were told as controls."""
    return controls is not None and not bool(np.isnan(controls).all())
