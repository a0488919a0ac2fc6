"""Tasks: what a user's function says that a step was worth, and whether it was the last one.

    def find_water(step: Happened) -> float | tuple[float, bool]: ...

The same function rewards an environment (envs/wrappers.py: Task) and the episodes that are
collected from one (`worldsim collect --task module:find_water`).
"""

import importlib
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Happened(NamedTuple):
    """What a step was: frames uint8 `[H,W,3]` before and after it, its action and its info."""

    before: np.ndarray
    action: int | np.ndarray
    frame: np.ndarray
    info: dict[str, Any]


Judge = Callable[[Happened], float | tuple[float, bool]]


def nothing(step: Happened) -> float:
    """The task of those who have none."""
    return 0.0


def verdict(judge: Judge, step: Happened) -> tuple[float, bool]:
    """The reward of a step, and whether it ends the episode.

    Raises:
        ValueError: the function returned something else.
    """
    said = judge(step)
    gained, over = said if isinstance(said, tuple) else (said, False)
    if not isinstance(gained, numbers.Real) or not np.isfinite(gained):
        raise ValueError(f"the task's function must return a number as reward, got {gained!r}.")
    return float(gained), bool(over)


def load_function(text: str, option: str) -> Callable:
    """The function that an option names as `module:function`.

    Args:
        text: the option's value.
        option: its name, for messages, e.g. "--policy".

    Raises:
        ValueError: there is none.
    """
    module, _, name = text.partition(":")
    try:
        function = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ValueError(
            f"there is no module {module!r} for {option}: run from its folder with PYTHONPATH=. "
            f"or install it."
        ) from error
    if not callable(function):
        raise ValueError(f"the module {module!r} has no function {name!r} for {option}.")
    return function
