"""FARDMLab-v0, FARMinecraft-v0: any world that a network dreams, as a Gymnasium environment.

    import gymnasium, worldsim
    env = gymnasium.make("FARDMLab-v0")             # or make("FARDMLab-v0", world=FOLDER)
    frame, info = env.reset(seed=0)                 # uint8 [64, 64, 3], the end of a true context
    frame, reward, terminated, truncated, info = env.step(2)

A dream has no reward and no end, unless the world has learnt them from its data. All its chance
comes from the reset's seed: the same seed, start and actions give the same frames.

Knows no network: `worldsim.world.model` loads one by name.
"""

import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.error import ClosedEnvironmentError, ResetNeeded

from envs.keys import keys_to_action
from envs.spaces import check_action, make_action_space
from envs.start import Context, begin, choose_context
from envs.state import DreamState, outcomes
from envs.uncertainty import step_ensemble
from worldsim.runtime.core.clock import Pacer
from worldsim.types import STEPS
from worldsim.world.moment_file import read_state, write_state

if TYPE_CHECKING:
    from worldsim.runtime.window.window import Viewer
    from worldsim.world.model import WorldModel
    from worldsim.world.snapshot import Snapshot
    from worldsim.world.state import WorldState


MOST_NOISES = 256  # of one step's uncertainty, all in one batch


class WorldModelEnv(gymnasium.Env):
    """A world as an environment.

    Observations are uint8 `[size, size, 3]`. `info["frame"]` counts the frames dreamt since the
    reset; `info["pose"]` (float32 `[3]`: x and y in cells, heading in radians, from the context's
    first frame) is there where the world tells it, and so are `info["seen"]` (bool `[size, size]`:
    which pixels its memory showed, the others are invented) and `info["seen_share"]` (a float, 0 to
    1); `info["uncertainty"]` (levels of grey) where it was asked for.

    Attributes:
        world: the loaded world; envs of one process share it.
        actions: its action table.
        limits: what continuous actions may say; None where the world has none.
        context: what the newest reset started from; None before it.
    """

    metadata = {"render_modes": ["human", "rgb_array"], "render_fps": 15}  # noqa: RUF012

    def __init__(
        self,
        world: "str | Path | WorldModel" = "dmlab",
        render_mode: str | None = None,
        steps: int | None = None,
        zoom: int | None = None,
        device: str = "cpu",
        uncertainty: int = 0,
        context_noise: float | None = None,
        runtime: str = "torch",
        continuous: bool = False,
    ) -> None:
        """Load the world, once per process.

        Args:
            world: the name of a bundled world, a world's folder, or a world that is loaded.
            render_mode: None, "rgb_array", or "human": a window of its own.
            steps: sampler steps a frame, 1, 2, 4 or 8; None for the world's own number.
            zoom: screen pixels a pixel in the window; None for a window of a comfortable size.
            device: where the network runs, "cpu" or "cuda".
            uncertainty: how many other noises each step is dreamt with, in the same batch; how
                much the frames differ becomes `info["uncertainty"]`. The dream stays the same.
            context_noise: how much noise dreamt frames are remembered with, from 0 to below 1;
                None for the world's own.
            runtime: "torch", or "onnx" for a folder that `worldsim export` wrote.
            continuous: whether the action space is a `Box` of turns in degrees and strides, instead
                of `Discrete`.

        Raises:
            ValueError: no such world, or an argument out of range.
        """
        if render_mode not in (None, *self.metadata["render_modes"]):
            known = ", ".join(self.metadata["render_modes"])
            raise ValueError(f"render_mode must be None or one of {known}, got {render_mode!r}.")
        whole = isinstance(zoom, int) and not isinstance(zoom, bool)
        if zoom is not None and not (whole and zoom >= 1):
            raise ValueError(f"zoom must be an integer >= 1, got {zoom!r}.")
        whole = isinstance(uncertainty, int) and not isinstance(uncertainty, bool)
        if not whole or not 0 <= uncertainty <= MOST_NOISES:
            raise ValueError(
                f"uncertainty must be an integer in [0, {MOST_NOISES}], got {uncertainty!r:.40}."
            )
        self.uncertainty = uncertainty
        self.world = (
            _load_cached(str(world), device, runtime) if isinstance(world, str | Path) else world
        )
        self.steps, self.context_noise = steps, context_noise
        self.actions = self.world.actions
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": self.world.card.fps}
        size = self.world.card.frame_size
        self.observation_space = gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.limits = getattr(self.world, "limits", None)
        name = self.world.card.name
        self.action_space = make_action_space(name, self.actions, self.limits, continuous)
        self._zoom = zoom
        self._pacer = Pacer(self.world.card.fps)
        self._viewer: Viewer | None = None
        self._state: WorldState | None = None
        self._frame: np.ndarray | None = None
        self.context: Context | None = None
        self._moment: Snapshot | None = None  # the newest, which the next one is compared with
        self._closed: str | None = None

    @property
    def steps(self) -> int:
        """Sampler steps a frame: 1, 2, 4 or 8; set it to None for the world's own number."""
        return self._steps

    @steps.setter
    def steps(self, steps: int | None) -> None:
        if steps is None:  # a world's own number may be any: published FAR takes 25
            self._steps = self.world.card.steps
            return
        known = isinstance(steps, int) and not isinstance(steps, bool)
        if not known or steps not in (*STEPS, self.world.card.steps):
            raise ValueError(f"steps must be 1, 2, 4, 8 or None, got {steps!r}.")
        self._steps = steps

    @property
    def context_noise(self) -> float | None:
        """How much noise dreamt frames are remembered with; set it to None for the world's own.
        None where the world takes none.
        """
        return self._context_noise

    @context_noise.setter
    def context_noise(self, noise: float | None) -> None:
        own = self.world.context_noise
        self._context_noise = own if noise is None else self.world.check_noise(noise)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a dream after a context of true frames, and show the context's last frame.

        Args:
            seed: fixes the start and all noise; None goes on from the last seed.
            options: `{"spawn": i}` for one of the world's starts; `{"engine_seed": n}` for what the
                engine's own walker sees there; or `{"frames": uint8 [T,H,W,3], "actions": int
                [T-1]}` for one's own, where action t led to frame t+1; with `"controls"` float32
                `[T-1,2]` of the continuous ones of these, NaN of the others.

        Raises:
            ValueError: an option is unknown or does not fit the world.
        """
        self._check_open()
        super().reset(seed=seed)
        # Drawn in every reset, so that a start chosen by hand leaves the noise of a seed alone.
        noise_seed = int(self.np_random.integers(2**31))
        context = choose_context(self.world, options or {}, drawn=self.np_random.random())
        self._state = begin(self.world, context, noise_seed)
        self.context = context
        return self._arrive(context.frames[-1].copy())

    def step(
        self, action: int | np.ndarray
    ) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Dream the frame an action leads to.

        Args:
            action: its id; or where the world has continuous actions float32 `[turn, stride]`,
                whatever the action space is.

        Returns:
            The frame; reward and terminated, 0 and False unless the world has learnt them;
            truncated when the window was closed; info.

        Raises:
            ValueError: not an action of this world.
            ResetNeeded: there was no reset.
            ClosedEnvironmentError: the environment, or its window, is closed.
        """
        state = self._live_state()
        action = check_action(self.world, action)
        self._state = None  # stepping uses it up, also when it fails
        unsure = None
        if self.uncertainty:
            self._state, (frame,), (unsure,) = step_ensemble(
                self.world, state, [action], self.steps, self.uncertainty, self.context_noise
            )
        else:
            self._state, (frame,) = self.world.step(
                state, np.array([action]), self.steps, self.context_noise
            )
        self._frame = frame
        info = self._info() | ({} if unsure is None else {"uncertainty": np.float64(unsure)})
        (reward,), (terminated,) = outcomes(self._state)
        truncated = not self._show()
        return frame.copy(), float(reward), bool(terminated), truncated, info

    def observe(
        self, frame: np.ndarray, action: int | np.ndarray
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Take in the frame that an action truly led to, instead of dreaming one.

        Args:
            frame: uint8 `[H,W,3]`, of the engine for example.
            action: as step takes it.

        Returns:
            The frame and info, as reset does.

        Raises:
            ValueError: a frame or an action that does not fit; nothing has changed then.
            ResetNeeded: there was no reset.
            ClosedEnvironmentError: the environment is closed.
        """
        from worldsim.world.batching import observe

        state, frame = self._live_state(), np.asarray(frame)
        led = np.array([check_action(self.world, action)])
        self._state = observe(self.world, state, frame[None], led)
        return self._arrive(frame.copy())

    def render(self) -> np.ndarray | None:
        """The frame that is shown now, as a fresh array; None without "rgb_array"."""
        self._live_state()
        return self._frame.copy() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Close the window and end; the process keeps the world's weights for the next env."""
        self._end("this environment is closed: make a new one.")

    def clone_state(self) -> DreamState:
        """The present moment, to come back to; costs memory for what differs from the last one."""
        from worldsim.world.snapshot import take

        self._moment = take(self._live_state(), self._moment)
        return DreamState(self.world.hash, self._moment, self._frame.copy())

    def restore_state(self, state: DreamState) -> tuple[np.ndarray, dict[str, Any]]:
        """Go back to a cloned moment, which stays usable.

        Returns:
            The frame and info there, as reset does.

        Raises:
            ValueError: not a state of this world.
        """
        self._check_open()
        if not isinstance(state, DreamState):
            raise ValueError(f"state must be a DreamState, got {type(state).__name__}.")
        from worldsim.world.snapshot import recall

        state.check_world(self.world)
        self._state, self._moment = recall(self.world, state.memory), state.memory
        return self._arrive(state.frame.copy())

    @property
    def memory(self) -> "WorldState":
        """What the network remembers now, to be looked at; a step uses it up."""
        return self._live_state()

    def save_state(self, path: str | Path) -> None:
        """Write the present moment to a file, whole or not at all.

        Raises:
            OSError: full disk, no permission.
        """
        write_state(path, self._live_state(), self._frame)

    def load_state(self, path: str | Path) -> tuple[np.ndarray, dict[str, Any]]:
        """Go to a moment that was written.

        Returns:
            The frame and info there, as reset does.

        Raises:
            ValueError: the file is damaged, or of another world.
        """
        self._check_open()
        self._state, frame = read_state(path, self.world)
        return self._arrive(frame)

    def draw_map(self, size: int = 256, reach: float = 4.0) -> np.ndarray:
        """A map from above of what the dream remembers, uint8 `[size,size,3]`, ahead is up.

        Args:
            size: pixels a side.
            reach: from the middle to an edge, in the unit of poses.

        Raises:
            ValueError: the world has no memory in space.
        """
        from worldsim.world.memory_map import draw_map

        return draw_map(self.world, self._live_state(), size, reach)

    def save_points(self, path: str | Path) -> None:
        """Write what the dream remembers as a PLY file: coloured points, invented ones marked.

        Raises:
            ValueError: the world has no memory in space.
            OSError: full disk, no permission.
        """
        from worldsim.atomic import atomic_write
        from worldsim.world.memory_map import format_points

        data = format_points(self.world, self._live_state())
        atomic_write(Path(path), lambda scratch: scratch.write_bytes(data))

    def get_keys_to_action(self) -> dict[tuple[int, ...], int]:
        """Keys to actions, as `gymnasium.utils.play` wants them."""
        return keys_to_action(self.actions)

    # ---- the present ----

    def _arrive(self, frame: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        self._frame = frame
        info = self._info()
        self._show()
        return frame.copy(), info

    def _info(self) -> dict[str, Any]:
        # Numbers are numpy's: TorchRL's readers and Gymnasium's vectors take these as they are.
        info: dict[str, Any] = {"frame": np.int64(self._state.frame_count[0])}
        if self._state.poses is not None:
            info["pose"] = np.array(self._state.poses[0], np.float32)
        if (seen := self._state.seen) is not None:
            info |= {"seen": seen[0].copy(), "seen_share": np.float64(seen[0].mean())}
        return info

    def _live_state(self) -> "WorldState":
        self._check_open()
        if self._state is None:
            raise ResetNeeded("step() needs a started dream: call reset() first.")
        return self._state

    def _check_open(self) -> None:
        if self._closed is not None:
            raise ClosedEnvironmentError(self._closed)

    def _show(self) -> bool:
        """Show the frame in the window, if there is one; False once the user has closed it."""
        if self.render_mode != "human":
            return True
        if self._viewer is None:
            from worldsim.runtime.window.window import Viewer

            height, width, _ = self.observation_space.shape
            self._viewer = Viewer(self.world.card.title, (width, height), self._zoom)
        time.sleep(self._pacer.remaining())
        self._pacer.beat()
        if self._viewer.show(self._frame):
            return True
        self._end("its window was closed: make a new environment.")
        return False

    def _end(self, why: str) -> None:
        self._closed = self._closed or why
        self._state = self._frame = self._moment = None
        if self._viewer is not None:
            self._viewer.close()
            self._viewer = None


@lru_cache(maxsize=4)
def _load_cached(world: str, device: str, runtime: str) -> "WorldModel":
    from worldsim.world.opening import open_world

    return open_world(world, device, runtime)
