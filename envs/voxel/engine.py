"""Voxel-v0: walk through forest and plains of blocks, drawn by the real voxel engine Luanti.

The seed fixes the place and the start; a step is a twentieth of a second: it stands, walks 0.2158
block (climbing one block by itself), or turns by 20 degrees. Knows no processes (link.py). ::

    import gymnasium, worldsim
    env = gymnasium.make("Voxel-v0", biome="forest")
    frame, info = env.reset(seed=0)                 # uint8 [128, 128, 3], info["pose"]
    frame, reward, terminated, truncated, info = env.step(1)
    env.close()                                     # ends the engine
"""

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from envs.engine import EngineEnv
from envs.voxel.pool import borrow, give_back
from envs.voxel.process import Engine
from envs.voxel.server_dir import BIOMES, FIELD_OF_VIEW, VIEW
from envs.voxel.walker import PublishedWalker, Walker, draw_kind, make_walker

FPS = 20
_TURN = 20  # degrees; a full turn is a whole number of them
_AT_REST = -0.0784  # what a body that stands falls a tick, before the ground stops it
# Places lie in cells of this width, which is also the engine's: from a cell's middle, a walk of two
# hundred blocks rounds coordinates in the same way whatever the engine did before.
_CELL, _CELLS, _LAYERS = 200, 148, 60
_AWAY = 1000  # blocks
_NEAR = 64
"""Blocks from a start within which the engine has kept its rounding, so that a state from there is
gone back to directly, fifty times as fast as from far away."""
_MOST_LOADS = 150  # of one engine


@dataclass(frozen=True)
class VoxelState:
    """All that the next frames depend on; immutable, so one copy may be restored many times.

    Attributes:
        biome: what grows there.
        start: x, y, z of the start, in blocks east, up and north.
        feet: x, y, z of the feet.
        fall: blocks a step upwards.
        grounded: whether something is stood on.
        heading: in degrees counter-clockwise from north, a multiple of 20 until a continuous action
            turns by another angle.
    """

    biome: str
    start: tuple[float, float, float]
    feet: tuple[float, float, float]
    fall: float
    grounded: bool
    heading: float


class VoxelEnv(EngineEnv[VoxelState]):
    """The land of blocks as a Gymnasium environment; its poses are in blocks east and north of the
    start, and `info["height"]` is the feet's above it. The engine starts with the first reset, and
    ends with close or with the program, however that ends.
    """

    metadata: ClassVar[dict] = {"render_modes": ["rgb_array"], "render_fps": FPS}
    noun, state_type = "the land of blocks", VoxelState
    takes_controls = True
    far = float(VIEW)
    field_of_view = float(FIELD_OF_VIEW)
    published_walker = PublishedWalker.kind

    def __init__(
        self,
        size: int = 128,
        biome: str = "mixed",
        render_mode: str | None = None,
        depth: bool = False,
        continuous: bool = False,
    ) -> None:
        """Make the environment; nothing is started before reset.

        Args:
            size: pixels a side, 64 or 128.
            biome: "mixed", "forest" or "plains".
            render_mode: None or "rgb_array".
            depth: whether `info["depth"]` is told, in blocks.
            continuous: whether the action space is of turns and strides as numbers.

        Raises:
            ValueError: another size, biome or mode.
        """
        super().__init__("voxel", size, render_mode, depth, continuous)
        if biome not in BIOMES:
            raise ValueError(f"biome must be one of {', '.join(BIOMES)}, got {biome!r}.")
        self.biome = biome
        self._turns = tuple(round(math.degrees(turn)) for turn in self.actions.turns)
        self._engine: Engine | None = None
        self._around: tuple[float, float, float] | None = None

    def close(self) -> None:
        """End the environment and its engine; returns when no process is left."""
        super().close()
        engine, self._engine = self._engine, None
        if engine is not None:
            give_back(engine)

    def walker(self, rng: np.random.Generator) -> Walker:
        """A walker that makes training data; see walker.py."""
        return make_walker(self.actions, rng)

    def walker_kind(self, rng: np.random.Generator) -> str:
        """The kind that `walker` would draw."""
        return draw_kind(rng)

    def _begin(self) -> VoxelState:
        cells = self.np_random.integers(-_CELLS, _CELLS, 2)
        layer = int(self.np_random.integers(-_LAYERS, _LAYERS))
        heading = _TURN * int(self.np_random.integers(360 // _TURN))
        middle = [int(cell) * _CELL + _CELL // 2 for cell in cells]
        start = tuple(self._live_engine().ask("spawn", *middle, layer))
        return VoxelState(self.biome, start, start, _AT_REST, True, heading)

    def _advance(self, state: VoxelState, action: int) -> VoxelState:
        turned = replace(state, heading=(state.heading + self._turns[action]) % 360)
        return self._walk(turned, int(action == self._forward))

    def _advance_by(self, state: VoxelState, turn: float, stride: float) -> VoxelState:
        walked = self._walk(state, stride)
        return replace(walked, heading=(state.heading + turn) % 360)

    def _walk(self, state: VoxelState, stride: float) -> VoxelState:
        """A share of a full step along the heading, or a fall."""
        words = *state.feet, state.fall, int(state.grounded), math.radians(state.heading)
        *feet, fall, grounded = self._engine.ask("walk", *words, stride)
        return replace(state, feet=tuple(feet), fall=fall, grounded=grounded == 1)

    def _look(self, state: VoxelState) -> np.ndarray:
        if math.dist(state.feet, state.start) > _NEAR:
            self._around = None
        self._engine.load(*state.feet)
        return self._engine.look(*state.feet, state.heading)

    def _measure(self, state: VoxelState) -> np.ndarray:
        return self._engine.depth(*state.feet, state.heading)

    def _enter(self, state: VoxelState) -> np.ndarray:
        """Go to a place: from far away, always from the same side, see _CELL, unless near it."""
        engine = self._live_engine()
        if self._around != state.start:
            self._around = None
            x, y, z = state.start
            engine.look(x - _AWAY, y - _AWAY, z - _AWAY, state.heading + 90)
            engine.look(x, y, z, state.heading + 180)
            self._around = state.start
        return self._look(state)

    def _pose(self, state: VoxelState) -> tuple[float, float, float]:
        x, y = state.feet[0] - state.start[0], state.feet[2] - state.start[2]
        return x, y, math.radians((state.heading + 90) % 360)

    def _info(self) -> dict[str, Any]:
        return super()._info() | {"height": self._state.feet[1] - self._state.start[1]}

    def _check_state(self, state: object) -> None:
        super()._check_state(state)
        if state.biome != self.biome:
            raise ValueError(f"state must be of biome {self.biome}, got {state.biome}.")

    def _live_engine(self) -> Engine:
        """The engine: the first, another for one that died, or for one that grew large."""
        old = self._engine
        if old is None or not old.alive or old.loads >= _MOST_LOADS:
            self._engine = self._around = None
            if old is not None:
                old.close()
            self._engine = borrow(self.size, self.biome)
        return self._engine
