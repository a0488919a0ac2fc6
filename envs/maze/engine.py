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
from typing import ClassVar

import numpy as np

from envs.engine import EngineEnv
from envs.maze.layout import Layout, find_centre, make_layout, slide
from envs.maze.walker import GoalWalker, Walker, draw_kind, make_walker

FORWARD = 0.38  # cells a step
FPS = 7.5
_HEADINGS = 16


@dataclass(frozen=True)
class MazeState:
    """All that the next frames depend on; immutable, so one copy may be restored many times.

    Attributes:
        layout: the maze.
        x: cells, to the right.
        y: cells, up.
        heading: sixteenths of a turn, counter-clockwise from +x; whole ones until a continuous
            action turns by another angle.
    """

    layout: Layout
    x: float
    y: float
    heading: float


class MazeEnv(EngineEnv[MazeState]):
    """The maze as a Gymnasium environment; its poses are in cells."""

    metadata: ClassVar[dict] = {"render_modes": ["rgb_array"], "render_fps": FPS}
    noun, state_type = "the maze", MazeState
    far = 30.0
    field_of_view = 73.0
    published_walker = GoalWalker.kind
    takes_controls = True

    def __init__(
        self,
        size: int = 64,
        render_mode: str | None = None,
        depth: bool = False,
        continuous: bool = False,
    ) -> None:
        """Make the environment; nothing is drawn or loaded before reset.

        Args:
            size: pixels a side, 64 or 128.
            render_mode: None or "rgb_array".
            depth: whether `info["depth"]` is told, in cells.
            continuous: whether the action space is of turns and strides as numbers.

        Raises:
            ValueError: another size or mode.
        """
        super().__init__("dmlab", size, render_mode, depth, continuous)
        self._turns = tuple(round(turn / math.tau * _HEADINGS) for turn in self.actions.turns)

    def walker(self, rng: np.random.Generator) -> Walker:
        """A walker that makes training data in the current maze; see walker.py."""
        return make_walker(self._live_state().layout, self.actions, rng)

    def walker_kind(self, rng: np.random.Generator) -> str:
        """The kind that `walker` would draw, told without a maze."""
        return draw_kind(rng)

    def _begin(self) -> MazeState:
        layout = make_layout(self.np_random)
        cells = layout.free_cells()
        x, y = find_centre(cells[self.np_random.integers(len(cells))])
        return MazeState(layout, x, y, int(self.np_random.integers(_HEADINGS)))

    def _advance(self, state: MazeState, action: int) -> MazeState:
        heading = (state.heading + self._turns[action]) % _HEADINGS
        x, y = state.x, state.y
        if action == self._forward:
            angle = _to_radians(heading)
            walk = FORWARD * math.cos(angle), FORWARD * math.sin(angle)
            x, y = slide(state.layout.walls, x, y, *walk)
        return MazeState(state.layout, x, y, heading)

    def _advance_by(self, state: MazeState, turn: float, stride: float) -> MazeState:
        angle, length = _to_radians(state.heading), FORWARD * stride
        walk = length * math.cos(angle), length * math.sin(angle)
        x, y = slide(state.layout.walls, state.x, state.y, *walk) if stride else (state.x, state.y)
        return MazeState(state.layout, x, y, (state.heading + turn / 360 * _HEADINGS) % _HEADINGS)

    def _look(self, state: MazeState) -> np.ndarray:
        from envs.maze.scene import open_scene

        return open_scene(self.size).draw(state.layout, *self._pose(state))

    def _measure(self, state: MazeState) -> np.ndarray:
        from envs.maze.scene import open_scene

        return np.minimum(open_scene(self.size).measure(state.layout, *self._pose(state)), self.far)

    def _pose(self, state: MazeState) -> tuple[float, float, float]:
        return state.x, state.y, _to_radians(state.heading)


def _to_radians(heading: float) -> float:
    return heading * math.tau / _HEADINGS
