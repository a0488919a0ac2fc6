"""Maze-v0: walk through a random maze that looks like the published DMLab data.

The seed fixes the maze, its textures and the start; a step turns by 22.5 degrees, walks 0.38 cell
(sliding along walls) or stands. Knows no drawing (scene.py) and no maze making (layout.py). ::

    import gymnasium, worldsim
    env = gymnasium.make("Maze-v0", size=64)
    frame, info = env.reset(seed=0)                 # uint8 [64, 64, 3], info["pose"]
    frame, reward, terminated, truncated, info = env.step(2)
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.error import ClosedEnvironmentError, ResetNeeded

from envs.keys import keys_to_action
from envs.maze.layout import Layout, centre_of, make_layout, slide
from envs.maze.walker import Walker, make_walker
from worldsim.actions import load_actions

FORWARD = 0.38  # cells a step
FPS = 7.5
SIZES = (64, 128)
_HEADINGS = 16


@dataclass(frozen=True)
class MazeState:
    """All that the next frames depend on; immutable, so one copy may be restored many times.

    Attributes:
        layout: the maze.
        x: cells, to the right.
        y: cells, up.
        heading: sixteenths of a turn, counter-clockwise from +x.
    """

    layout: Layout
    x: float
    y: float
    heading: int


class MazeEnv(gymnasium.Env):
    """The maze as a Gymnasium environment; it never ends by itself and gives no reward.

    Observations are uint8 `[size, size, 3]`. `info["pose"]` is float32 `[3]`: x and y in cells,
    heading in radians in [0, 2 pi), counter-clockwise; forward is `(cos h, sin h)`.
    """

    metadata: ClassVar[dict] = {"render_modes": ["rgb_array"], "render_fps": FPS}

    def __init__(self, size: int = 64, render_mode: str | None = None) -> None:
        """Make the environment; nothing is drawn or loaded before reset.

        Args:
            size: pixels a side, 64 or 128.
            render_mode: None or "rgb_array".

        Raises:
            ValueError: another size or mode.
        """
        if size not in SIZES:
            raise ValueError(f"maze size should be one of {SIZES} pixels, got {size!r}.")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode should be None or 'rgb_array', got {render_mode!r}.")
        self.size = size
        self.render_mode = render_mode
        self.actions = load_actions("dmlab")
        self.observation_space = gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(len(self.actions))
        self._forward = self.actions.id("forward")
        self._turns = tuple(round(turn / math.tau * _HEADINGS) for turn in self.actions.turns)
        self._state: MazeState | None = None
        self._closed = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw a new maze and a start in it.

        Args:
            seed: fixes both; None goes on from the last seed.
            options: none are known.

        Raises:
            ValueError: an option was given.
            ClosedEnvironmentError: the environment is closed.
        """
        self._check_open()
        if options:
            raise ValueError(f"the maze has no reset options, got {list(options)}.")
        super().reset(seed=seed)
        layout = make_layout(self.np_random)
        cells = layout.free_cells()
        x, y = centre_of(cells[self.np_random.integers(len(cells))])
        heading = int(self.np_random.integers(_HEADINGS))
        self._state = MazeState(layout, x, y, heading)
        return self._draw(), self._info()

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Take one action.

        Raises:
            ValueError: not an action.
            ResetNeeded: the environment was never reset.
            ClosedEnvironmentError: the environment is closed.
        """
        state = self._live_state()
        action = self.actions.valid(action)
        heading = (state.heading + self._turns[action]) % _HEADINGS
        x, y = state.x, state.y
        if action == self._forward:
            angle = _radians(heading)
            walk = FORWARD * math.cos(angle), FORWARD * math.sin(angle)
            x, y = slide(state.layout.walls, x, y, *walk)
        self._state = MazeState(state.layout, x, y, heading)
        return self._draw(), 0.0, False, False, self._info()

    def render(self) -> np.ndarray | None:
        """The current view as a fresh uint8 `[size, size, 3]`; None without a render mode."""
        self._live_state()
        return self._draw() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """End the environment; the process keeps its renderer for the next one."""
        self._closed = True
        self._state = None

    def clone_state(self) -> MazeState:
        """The current maze and pose, to come back to.

        Raises:
            ResetNeeded: the environment was never reset.
            ClosedEnvironmentError: the environment is closed.
        """
        return self._live_state()

    def restore_state(self, state: MazeState) -> tuple[np.ndarray, dict[str, Any]]:
        """Go back to a cloned state; it may come from another MazeEnv.

        Returns:
            The frame and info there, as reset does.

        Raises:
            ValueError: not a state of a maze.
            ClosedEnvironmentError: the environment is closed.
        """
        self._check_open()
        if not isinstance(state, MazeState):
            raise ValueError(f"a maze restores a MazeState, got {type(state).__name__}.")
        self._state = state
        return self._draw(), self._info()

    def walker(self, rng: np.random.Generator) -> Walker:
        """A walker that makes training data in the current maze; see walker.py."""
        return make_walker(self._live_state().layout, self.actions, rng)

    def get_keys_to_action(self) -> dict[tuple[int, ...], int]:
        """Keys to actions, as `gymnasium.utils.play` wants them."""
        return keys_to_action(self.actions)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedEnvironmentError("this maze is closed: make a new one.")

    def _live_state(self) -> MazeState:
        self._check_open()
        if self._state is None:
            raise ResetNeeded("this maze has no state yet: call reset() first.")
        return self._state

    def _draw(self) -> np.ndarray:
        from envs.maze.scene import scene

        state = self._state
        return scene(self.size).draw(state.layout, state.x, state.y, _radians(state.heading))

    def _info(self) -> dict[str, Any]:
        state = self._state
        return {"pose": np.array([state.x, state.y, _radians(state.heading)], np.float32)}


def _radians(heading: int) -> float:
    return heading * math.tau / _HEADINGS
