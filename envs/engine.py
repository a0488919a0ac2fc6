"""What our real engines have in common: spaces, checks, and a state that is a frozen dataclass.

An engine of ours says how a start is drawn, what an action makes of a state, and how a state looks;
everything that Gymnasium and our own contract ask for follows from that. Knows no engine.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

import gymnasium
import numpy as np
from gymnasium.error import ClosedEnvironmentError, ResetNeeded

from envs.keys import keys_to_action
from envs.spaces import make_action_space
from worldsim.actions import load_actions
from worldsim.controls import is_control, limit_controls, no_controls

State = TypeVar("State")
MOST_UNSEEN = 32  # steps between two views of a walk


class EngineEnv(gymnasium.Env, Generic[State]):
    """A place to walk in as a Gymnasium environment; it never ends by itself and gives no reward.

    Observations are uint8 `[size, size, 3]`; `info["pose"]` is float32 `[3]`: x, y, and heading in
    radians in [0, 2 pi), counter-clockwise; forward is `(cos h, sin h)`. On request `info["depth"]`
    is float32 `[size/2, size/2]`: how far along the viewing axis, in the unit of poses, what the
    middle of each block of 2 x 2 pixels shows lies from the eye; the sky lies at `far`.

    Attributes:
        noun: what a sentence calls it.
        sizes: pixels a side it can be drawn at.
        state_type: the class of its states, immutable: all that the next frames depend on.
        published_walker: the kind of walker that plays as the published data was made.
        far: the largest depth told.
        field_of_view: degrees, of the square picture, either way.
        actions: its action table.
        limits: what continuous actions may say; None where it takes none.
    """

    noun: ClassVar[str]
    sizes: ClassVar[tuple[int, ...]] = (64, 128)
    state_type: ClassVar[type]
    published_walker: ClassVar[str]
    far: ClassVar[float]
    field_of_view: ClassVar[float]
    takes_controls: ClassVar[bool] = False

    def __init__(
        self,
        action_set: str,
        size: int,
        render_mode: str | None,
        depth: bool = False,
        continuous: bool = False,
    ) -> None:
        """Make the spaces; nothing is drawn, started or loaded before reset.

        Raises:
            ValueError: another size or mode than there are, or no continuous actions.
        """
        if size not in self.sizes:
            raise ValueError(f"{self.noun}: size must be one of {self.sizes}, got {size!r}.")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode must be None or 'rgb_array', got {render_mode!r}.")
        self.size, self.render_mode, self.depth = size, render_mode, depth
        self.actions = load_actions(action_set)
        self.observation_space = gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.limits = limit_controls(self.actions) if self.takes_controls else None
        self.action_space = make_action_space(self.noun, self.actions, self.limits, continuous)
        self._forward = self.actions.id("forward")
        self._state: State | None = None
        self._frame: np.ndarray | None = None
        self._depth: np.ndarray | None = None
        self._closed = False

    # ---- what an engine says ----

    @abstractmethod
    def _begin(self) -> State:
        """Draw a start from `np_random`."""

    @abstractmethod
    def _advance(self, state: State, action: int) -> State:
        """What an action makes of a state; an equal state where nothing moves."""

    def _advance_by(self, state: State, turn: float, stride: float) -> State:
        """What a continuous action makes of a state: degrees counter-clockwise, and the share of a
        full step that is gone before.
        """
        raise NotImplementedError

    @abstractmethod
    def _look(self, state: State) -> np.ndarray:
        """The view of a state next to the one looked at last, uint8 `[size, size, 3]`."""

    @abstractmethod
    def _pose(self, state: State) -> tuple[float, float, float]:
        """x, y and heading, as in `info["pose"]`."""

    @abstractmethod
    def _measure(self, state: State) -> np.ndarray:
        """The depth of the view that was looked at last, as in `info["depth"]`."""

    def _enter(self, state: State) -> np.ndarray:
        """The view of a state, whatever was looked at before."""
        return self._look(state)

    def _check_state(self, state: object) -> None:
        if not isinstance(state, self.state_type):
            wanted, got = self.state_type.__name__, type(state).__name__
            raise ValueError(f"state of {self.noun} must be a {wanted}, got {got}.")

    # ---- what Gymnasium asks for ----

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
            raise ValueError(f"reset options of {self.noun} must be empty, got {list(options)}.")
        super().reset(seed=seed)
        self._state = None  # nothing to step from, should the engine fail
        return self._arrive(self._begin())

    def step(
        self, action: int | np.ndarray
    ) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Take one action: its id, or a continuous one, float32 `[turn, stride]`.

        Raises:
            ValueError: not an action.
            ResetNeeded: the environment was never reset.
            ClosedEnvironmentError: the environment is closed.
        """
        frame, info = self.advance([action])
        return frame, 0.0, False, False, info

    def advance(self, actions: Sequence[int | np.ndarray]) -> tuple[np.ndarray, dict[str, Any]]:
        """Take several actions and look once, after the last: quicker than a step each.

        Args:
            actions: as `step` takes them, in order, MOST_UNSEEN at most: an engine builds its land
                around what it drew.

        Returns:
            The frame and info there, as the last of the steps would give them.

        Raises:
            ValueError: too many, or one is no action; none is taken then.
            ResetNeeded: the environment was never reset.
            ClosedEnvironmentError: the environment is closed.
        """
        if len(actions) > MOST_UNSEEN:
            raise ValueError(f"actions must be at most {MOST_UNSEEN}, got {len(actions)}.")
        state = moved = self._live_state()
        for action in actions:
            moved = self._move(moved, action)
        if moved != state:
            self._see(self._look(moved), moved)
        self._state = moved
        return self._frame.copy(), self._info()

    def render(self) -> np.ndarray | None:
        """The current view as a fresh uint8 `[size, size, 3]`; None without a render mode."""
        self._live_state()
        return self._frame.copy() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """End the environment; does nothing twice."""
        self._closed = True
        self._state = self._frame = self._depth = None

    # ---- what our contract asks for besides ----

    def clone_state(self) -> State:
        """The current place and pose, to come back to.

        Raises:
            ResetNeeded: the environment was never reset.
            ClosedEnvironmentError: the environment is closed.
        """
        return self._live_state()

    def restore_state(self, state: State) -> tuple[np.ndarray, dict[str, Any]]:
        """Go back to a cloned state; it may come from another environment of the same kind.

        Returns:
            The frame and info there, as reset does.

        Raises:
            ValueError: not a state of this engine.
            ClosedEnvironmentError: the environment is closed.
        """
        self._check_open()
        self._check_state(state)
        return self._arrive(state)

    def get_keys_to_action(self) -> dict[tuple[int, ...], int]:
        """Keys to actions, as `gymnasium.utils.play` wants them."""
        return keys_to_action(self.actions)

    def _arrive(self, state: State) -> tuple[np.ndarray, dict[str, Any]]:
        self._state = None
        self._see(self._enter(state), state)
        self._state = state
        return self._frame.copy(), self._info()

    def _move(self, state: State, action: int | np.ndarray) -> State:
        if not is_control(action):
            return self._advance(state, self.actions.valid(action))
        if self.limits is None:
            raise no_controls(self.noun)
        return self._advance_by(state, *self.limits.valid(action).tolist())

    def _see(self, frame: np.ndarray, state: State) -> None:
        self._frame = frame
        if self.depth:
            self._depth = self._measure(state)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedEnvironmentError(f"{self.noun} is closed: make a new environment.")

    def _live_state(self) -> State:
        self._check_open()
        if self._state is None:
            raise ResetNeeded(f"{self.noun} has no state yet: call reset() first.")
        return self._state

    def _info(self) -> dict[str, Any]:
        info = {"pose": np.array(self._pose(self._state), np.float32)}
        return info | ({"depth": self._depth.copy()} if self.depth else {})
