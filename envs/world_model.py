"""FARDMLab-v0: any world that a network dreams, as a Gymnasium environment.

    import gymnasium, worldsim
    env = gymnasium.make("FARDMLab-v0")
    frame, info = env.reset(seed=0)                 # uint8 [64, 64, 3], the end of a true context
    frame, reward, terminated, truncated, info = env.step(2)

A dream has no reward and no end. All its chance comes from the reset's seed: the same seed, start
and actions give the same frames. Knows no network: `worldsim.world` loads one by name.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.error import ClosedEnvironmentError, ResetNeeded

from envs.keys import keys_to_action

if TYPE_CHECKING:
    from worldsim.runtime.window import Viewer
    from worldsim.world import WorldModel, WorldState

STEPS = (1, 2, 4)
_OPTIONS = ("spawn", "frames", "actions")


@dataclass(frozen=True)
class DreamState:
    """A moment of a dream; it may be restored any number of times, in any env of its world.

    Attributes:
        world_hash: the world it belongs to.
        state: the network's memory; nobody steps it, a copy is made first.
        frame: uint8 `[H,W,3]`, the frame that is shown there.
    """

    world_hash: str
    state: "WorldState"
    frame: np.ndarray


class WorldModelEnv(gymnasium.Env):
    """A world as an environment.

    Observations are uint8 `[size, size, 3]`. `info["frame"]` counts the frames of the episode, the
    context's included; `info["pose"]` (float32 `[3]`: x and y in cells, heading in radians) is
    there where the world tells it.

    Attributes:
        world: the loaded world; envs of one process share it.
        actions: its action table.
    """

    metadata = {"render_modes": ["human", "rgb_array"], "render_fps": 15}  # noqa: RUF012

    def __init__(
        self,
        world: "str | Path | WorldModel" = "dmlab",
        render_mode: str | None = None,
        steps: int | None = None,
        zoom: int = 8,
        device: str = "cpu",
    ) -> None:
        """Load the world, once per process.

        Args:
            world: the name of a bundled world, a world's folder, or a world that is loaded.
            render_mode: None, "rgb_array", or "human": a window of its own.
            steps: sampler steps a frame, 1, 2 or 4; None for the world's own number.
            zoom: screen pixels a pixel in the window.
            device: where the network runs, "cpu" or "cuda".

        Raises:
            ValueError: no such world, or an argument out of range.
        """
        if render_mode not in (None, *self.metadata["render_modes"]):
            known = ", ".join(self.metadata["render_modes"])
            raise ValueError(f"render_mode should be None or one of {known}, got {render_mode!r}.")
        if not isinstance(zoom, int) or zoom < 1:
            raise ValueError(f"zoom should be a whole number from 1, got {zoom!r}.")
        self.steps = steps
        self.world = _loaded(str(world), device) if isinstance(world, str | Path) else world
        self.actions = self.world.actions
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": self.world.card.fps}
        size = self.world.card.frame_size
        self.observation_space = gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(len(self.actions))
        self._zoom = zoom
        self._viewer: Viewer | None = None
        self._state: WorldState | None = None
        self._frame: np.ndarray | None = None
        self._closed: str | None = None

    @property
    def steps(self) -> int | None:
        """Sampler steps a frame: 1, 2 or 4, or None for the world's own number."""
        return self._steps

    @steps.setter
    def steps(self, steps: int | None) -> None:
        if steps is not None and steps not in STEPS:
            raise ValueError(f"steps should be 1, 2, 4 or None, got {steps!r}.")
        self._steps = steps

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a dream after a context of true frames, and show the context's last frame.

        Args:
            seed: fixes the start and all noise; None goes on from the last seed.
            options: `{"spawn": i}` for one of the world's starts, or `{"frames": uint8
                [T,H,W,3], "actions": int [T-1]}` for one's own, where action t led to frame t+1.

        Raises:
            ValueError: an option is unknown or does not fit the world.
        """
        self._check_open()
        super().reset(seed=seed)
        # Drawn in every reset, so that a start chosen by hand leaves the noise of a seed alone.
        noise_seed = int(self.np_random.integers(2**31))
        frames, actions = self._context(options or {}, drawn=self.np_random.random())
        self._state = self.world.reset(frames[None], actions[None], [noise_seed])
        self._frame = frames[-1].copy()
        self._show()
        return self._frame.copy(), self._info()

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Dream the frame an action leads to.

        Returns:
            The frame; reward 0; terminated never; truncated when the window was closed; info.

        Raises:
            ValueError: not an action of this world.
            ResetNeeded: there was no reset.
            ClosedEnvironmentError: the environment, or its window, is closed.
        """
        state = self._live_state()
        action = self.actions.valid(action)
        self._state, frames = self.world.step(state, np.array([action]), self.steps)
        self._frame = frames[0]
        info = self._info()
        truncated = not self._show()
        return self._frame.copy(), 0.0, False, truncated, info

    def render(self) -> np.ndarray | None:
        """The frame that is shown now, as a fresh array; None without "rgb_array"."""
        self._live_state()
        return self._frame.copy() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Close the window and end; the process keeps the world's weights for the next env."""
        self._end("this environment is closed: make a new one.")

    def clone_state(self) -> DreamState:
        """The present moment, to come back to."""
        return DreamState(self.world.hash, self._live_state().fork(), self._frame.copy())

    def restore_state(self, state: DreamState) -> tuple[np.ndarray, dict[str, Any]]:
        """Go back to a cloned moment, which stays usable.

        Returns:
            The frame and info there, as reset does.

        Raises:
            ValueError: not a state of this world.
        """
        self._check_open()
        if not isinstance(state, DreamState):
            raise ValueError(f"a dream restores a DreamState, got {type(state).__name__}.")
        if state.world_hash != self.world.hash:
            raise ValueError(
                f"the state belongs to the world {state.world_hash[:12]}, this one is "
                f"{self.world.hash[:12]}: make the environment with the state's own world."
            )
        self._state, self._frame = state.state.fork(), state.frame.copy()
        self._show()
        return self._frame.copy(), self._info()

    def get_keys_to_action(self) -> dict[tuple[int, ...], int]:
        """Keys to actions, as `gymnasium.utils.play` wants them."""
        return keys_to_action(self.actions)

    # ---- starts ----

    def _context(self, options: dict[str, Any], drawn: float) -> tuple[np.ndarray, np.ndarray]:
        for name in options:
            if name not in _OPTIONS:
                known = ", ".join(_OPTIONS)
                raise ValueError(f"reset knows the options {known}, got {name!r}.")
        if "spawn" in options:
            if len(options) > 1:
                raise ValueError("reset takes a spawn, or frames and actions, not both.")
            return self._spawn(options["spawn"])
        if options:
            return self._own_context(options)
        return self._spawn(int(drawn * len(self.world.spawns)))

    def _spawn(self, number: Any) -> tuple[np.ndarray, np.ndarray]:
        count = len(self.world.spawns)
        if not count:
            raise ValueError("this world has no spawns: reset with the options frames and actions.")
        whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
        if not whole or not 0 <= number < count:
            raise ValueError(f"spawn should be a number from 0 to {count - 1}, got {number!r}.")
        spawn = self.world.spawns[number]
        return spawn.frames, spawn.actions

    def _own_context(self, options: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        if set(options) != {"frames", "actions"}:
            raise ValueError("a start of one's own needs both options, frames and actions.")
        frames, actions = np.asarray(options["frames"]), np.asarray(options["actions"])
        size = self.world.card.frame_size
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != (size, size, 3):
            raise ValueError(
                f"frames should be uint8 [T, {size}, {size}, 3], got {frames.dtype} "
                f"{list(frames.shape)}."
            )
        if len(frames) == 0 or actions.shape != (len(frames) - 1,):
            raise ValueError(
                f"T frames, at least one, need T - 1 actions: action t leads to frame t + 1; "
                f"got {len(frames)} frames and actions of shape {list(actions.shape)}."
            )
        valid = [self.actions.valid(action) for action in actions.reshape(-1)]
        return frames, np.array(valid, np.int64)

    # ---- the present ----

    def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = {"frame": int(self._state.frame_count[0])}
        if self._state.poses is not None:
            info["pose"] = np.array(self._state.poses[0], np.float32)
        return info

    def _live_state(self) -> "WorldState":
        self._check_open()
        if self._state is None:
            raise ResetNeeded("the dream has not begun: call reset() first.")
        return self._state

    def _check_open(self) -> None:
        if self._closed is not None:
            raise ClosedEnvironmentError(self._closed)

    def _show(self) -> bool:
        """Show the frame in the window, if there is one; False once the user has closed it."""
        if self.render_mode != "human":
            return True
        if self._viewer is None:
            from worldsim.runtime.window import Viewer

            height, width, _ = self.observation_space.shape
            self._viewer = Viewer(self.world.card.title, (width, height), self._zoom)
        if self._viewer.show(self._frame):
            return True
        self._end("its window was closed: make a new environment.")
        return False

    def _end(self, why: str) -> None:
        self._closed = self._closed or why
        self._state = self._frame = None
        if self._viewer is not None:
            self._viewer.close()
            self._viewer = None


@lru_cache(maxsize=4)
def _loaded(world: str, device: str) -> "WorldModel":
    from worldsim.world import load_world

    return load_world(world, device=device)
