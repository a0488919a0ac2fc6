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

import gymnasium
import numpy as np
from gymnasium.error import ClosedEnvironmentError, ResetNeeded

from envs.keys import keys_to_action
from envs.voxel.link import Engine
from envs.voxel.setting import BIOMES
from envs.voxel.spares import borrow, give_back
from envs.voxel.walker import Walker, make_walker
from worldsim.actions import load_actions

FPS = 20
SIZES = (64, 128)
_TURN = 20  # degrees; a full turn is a whole number of them
_AT_REST = -0.0784  # what a body that stands falls a tick, before the ground stops it
# Places lie in cells of this width, which is also the engine's: from a cell's middle, a walk of two
# hundred blocks rounds coordinates in the same way whatever the engine did before.
_CELL, _CELLS, _LAYERS = 200, 148, 60
_AWAY = 1000  # blocks
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
        heading: in degrees counter-clockwise from north, a multiple of 20.
    """

    biome: str
    start: tuple[float, float, float]
    feet: tuple[float, float, float]
    fall: float
    grounded: bool
    heading: int


class VoxelEnv(gymnasium.Env):
    """The land of blocks as a Gymnasium environment; it never ends by itself and gives no reward.

    Observations are uint8 `[size, size, 3]`. `info["pose"]` is float32 `[3]`: x and y in blocks
    east and north of the start, heading in radians in [0, 2 pi) counter-clockwise from east;
    forward is `(cos h, sin h)`. The engine starts with the first reset, and ends with close or with
    the program, however that ends.
    """

    metadata: ClassVar[dict] = {"render_modes": ["rgb_array"], "render_fps": FPS}

    def __init__(
        self, size: int = 128, biome: str = "mixed", render_mode: str | None = None
    ) -> None:
        """Make the environment; nothing is started before reset.

        Args:
            size: pixels a side, 64 or 128.
            biome: "mixed", "forest" or "plains".
            render_mode: None or "rgb_array".

        Raises:
            ValueError: another size, biome or mode.
        """
        if size not in SIZES:
            raise ValueError(f"voxel size should be one of {SIZES} pixels, got {size!r}.")
        if biome not in BIOMES:
            raise ValueError(f"biome should be one of {', '.join(BIOMES)}, got {biome!r}.")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode should be None or 'rgb_array', got {render_mode!r}.")
        self.size, self.biome = size, biome
        self.render_mode = render_mode
        self.actions = load_actions("voxel")
        self.observation_space = gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(len(self.actions))
        self._forward = self.actions.id("forward")
        self._turns = tuple(round(math.degrees(turn)) for turn in self.actions.turns)
        self._engine: Engine | None = None
        self._state: VoxelState | None = None
        self._frame: np.ndarray | None = None
        self._closed = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw a new place and a start in it.

        Args:
            seed: fixes both; None goes on from the last seed.
            options: none are known.

        Raises:
            ValueError: an option was given.
            ImportError: what the engine needs is not installed.
            ClosedEnvironmentError: the environment is closed.
        """
        self._check_open()
        if options:
            raise ValueError(f"the land of blocks has no reset options, got {list(options)}.")
        super().reset(seed=seed)
        self._renew_engine()
        cells = self.np_random.integers(-_CELLS, _CELLS, 2)
        layer = int(self.np_random.integers(-_LAYERS, _LAYERS))
        heading = _TURN * int(self.np_random.integers(360 // _TURN))
        middle = [int(cell) * _CELL + _CELL // 2 for cell in cells]
        start = tuple(self._engine.ask("spawn", *middle, layer))
        return self._enter(VoxelState(self.biome, start, start, _AT_REST, True, heading))

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Take one action.

        Raises:
            ValueError: not an action.
            ResetNeeded: the environment was never reset.
            ClosedEnvironmentError: the environment is closed.
        """
        state = self._live_state()
        action = self.actions.valid(action)
        heading = (state.heading + self._turns[action]) % 360
        words = *state.feet, state.fall, int(state.grounded), math.radians(heading)
        *feet, fall, grounded = self._engine.ask("walk", *words, int(action == self._forward))
        self._state = replace(
            state, feet=tuple(feet), fall=fall, grounded=grounded == 1, heading=heading
        )
        if (self._state.feet, heading) != (state.feet, state.heading):
            self._engine.load(*feet)
            self._frame = self._look(self._state)
        return self._frame.copy(), 0.0, False, False, self._info()

    def render(self) -> np.ndarray | None:
        """The current view as a fresh uint8 `[size, size, 3]`; None without a render mode."""
        self._live_state()
        return self._frame.copy() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """End the environment and its engine; returns when no process is left."""
        self._closed = True
        self._state = None
        engine, self._engine = self._engine, None
        if engine is not None:
            give_back(engine)

    def clone_state(self) -> VoxelState:
        """The current place and pose, to come back to.

        Raises:
            ResetNeeded: the environment was never reset.
            ClosedEnvironmentError: the environment is closed.
        """
        return self._live_state()

    def restore_state(self, state: VoxelState) -> tuple[np.ndarray, dict[str, Any]]:
        """Go back to a cloned state; it may come from another VoxelEnv of the same biome.

        Returns:
            The frame and info there, as reset does.

        Raises:
            ValueError: not a state of this biome.
            ClosedEnvironmentError: the environment is closed.
        """
        self._check_open()
        if not isinstance(state, VoxelState) or state.biome != self.biome:
            got = getattr(state, "biome", type(state).__name__)
            raise ValueError(f"{self.biome} land restores a VoxelState of its own, got {got}.")
        self._renew_engine()
        return self._enter(state)

    def walker(self, rng: np.random.Generator) -> Walker:
        """A walker that makes training data; see walker.py."""
        return make_walker(self.actions, rng)

    def get_keys_to_action(self) -> dict[tuple[int, ...], int]:
        """Keys to actions, as `gymnasium.utils.play` wants them."""
        return keys_to_action(self.actions)

    def _enter(self, state: VoxelState) -> tuple[np.ndarray, dict[str, Any]]:
        """Go to a place from far away, always from the same side: see _CELL."""
        x, y, z = state.start
        self._engine.look(x - _AWAY, y - _AWAY, z - _AWAY, state.heading + 90)
        self._engine.look(x, y, z, state.heading + 180)
        self._engine.load(*state.feet)
        self._frame = self._look(state)
        self._state = state
        return self._frame.copy(), self._info()

    def _look(self, state: VoxelState) -> np.ndarray:
        return self._engine.look(*state.feet, state.heading)

    def _renew_engine(self) -> None:
        """See to an engine: the first, another for one that died, or for one that grew large."""
        self._state = None  # nothing to step from should the engine fail
        old = self._engine
        if old is not None and old.alive and old.loads < _MOST_LOADS:
            return
        self._engine = None
        if old is not None:
            old.close()
        self._engine = borrow(self.size, self.biome)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedEnvironmentError("this land of blocks is closed: make a new one.")

    def _live_state(self) -> VoxelState:
        self._check_open()
        if self._state is None:
            raise ResetNeeded("this land of blocks has no state yet: call reset() first.")
        return self._state

    def _info(self) -> dict[str, Any]:
        state = self._state
        x, y = state.feet[0] - state.start[0], state.feet[2] - state.start[2]
        heading = math.radians((state.heading + 90) % 360)
        return {"pose": np.array([x, y, heading], np.float32)}
