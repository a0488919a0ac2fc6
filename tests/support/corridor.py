"""An engine of three steps that costs nothing, and a task that kills the process once.

`worldsim collect --env tests.support.corridor:Corridor-v0 --task tests.support.corridor:kill_once`
"""

import os
import signal
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from worldsim.tasks import Happened

FOLDER = "CORRIDOR_FOLDER"  # the variable that names where it writes


class Corridor(gymnasium.Env):
    """Writes down every seed that it is started with."""

    actions = type("Actions", (), {"name": "two", "__len__": lambda self: 2})()
    metadata = {"render_fps": 5.0, "render_modes": []}  # noqa: RUF012
    observation_space, action_space = Box(0, 255, (4, 4, 3), np.uint8), Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.left = 3
        with open(Path(os.environ[FOLDER]) / "seeds", "a") as file:
            file.write(f"{seed}\n")
        return np.zeros((4, 4, 3), np.uint8), {}

    def step(self, action):
        self.left -= 1
        return np.full((4, 4, 3), self.left, np.uint8), 1.0, self.left == 0, False, {}


def kill_once(step: Happened) -> float:
    """Kill the process that comes first, without warning."""
    try:
        (Path(os.environ[FOLDER]) / "killed").touch(exist_ok=False)
    except FileExistsError:
        return 0.0
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("it is still alive")


def count_starts(folder: Path) -> list[int]:
    """How often each seed was started with, in order of size."""
    seeds = (folder / "seeds").read_text().split()
    return sorted(seeds.count(seed) for seed in set(seeds))


gymnasium.register("Corridor-v0", entry_point="tests.support.corridor:Corridor")
