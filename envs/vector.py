"""Many dreams as one Gymnasium vector environment: one forward of the network for all of them.

    dreams = gymnasium.make_vec("FARDMLab-v0", num_envs=16, max_episode_steps=100)
    frames, info = dreams.reset(seed=0)                       # uint8 [16, 64, 64, 3]
    frames, rewards, terminated, truncated, info = dreams.step(dreams.action_space.sample())

Dream i is the single environment reset with seed + i; on a CPU bit for bit
(worldsim/world/batch_invariant.py). Every dream is at a frame of its own. Knows no network.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.spaces import check_action
from envs.start import begin, choose_context
from envs.state import DreamState, outcomes
from envs.uncertainty import step_ensemble
from envs.world_model import WorldModelEnv
from worldsim.controls import are_controls

if TYPE_CHECKING:
    from worldsim.world.model import WorldModel
    from worldsim.world.state import WorldState


class DreamVectorEnv(VectorEnv):
    """N dreams of one world.

    Attributes:
        world: the loaded world.
        actions: its action table.
        lengths: int `[N]`, steps after which a dream is truncated; 0 for never.
    """

    def __init__(
        self,
        num_envs: int = 1,
        world: "str | Path | WorldModel" = "dmlab",
        max_episode_steps: int | Sequence[int] | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        steps: int | None = None,
        device: str = "cpu",
        uncertainty: int = 0,
        context_noise: float | None = None,
        runtime: str = "torch",
        continuous: bool = False,
    ) -> None:
        """Load the world, once per process.

        Args:
            num_envs: how many dreams, N.
            world: the name of a bundled world, a world's folder, or a world that is loaded.
            max_episode_steps: steps after which a dream is truncated, for all or one a dream.
            autoreset_mode: Gymnasium's NEXT_STEP, SAME_STEP or DISABLED (reset with a
                `reset_mask` yourself).
            render_mode: None or "rgb_array".
            steps: sampler steps a frame, 1, 2, 4 or 8; None for the world's own number.
            device: where the network runs, "cpu" or "cuda".
            uncertainty: how many other noises each step is dreamt with, as in the single
                environment; `info["uncertainty"]` tells it of the dreams that stepped.
            context_noise: as in the single environment.
            runtime: as in the single environment.
            continuous: as in the single environment.

        Raises:
            ValueError: no such world, or an argument out of range.
        """
        if isinstance(num_envs, bool) or not isinstance(num_envs, int) or num_envs < 1:
            raise ValueError(f"num_envs must be an integer >= 1, got {num_envs!r}.")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode must be None or 'rgb_array', got {render_mode!r}.")
        # One single environment checks the arguments, and says what a single dream is.
        one = WorldModelEnv(
            world,
            render_mode=render_mode,
            steps=steps,
            device=device,
            uncertainty=uncertainty,
            context_noise=context_noise,
            runtime=runtime,
            continuous=continuous,
        )
        self.num_envs, self.world, self.uncertainty = num_envs, one.world, one.uncertainty
        self.actions, self.steps = one.actions, one.steps
        self.context_noise = one.context_noise
        self.render_mode = render_mode
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**one.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = one.observation_space
        self.single_action_space = one.action_space
        self.observation_space = batch_space(one.observation_space, num_envs)
        self.action_space = batch_space(one.action_space, num_envs)
        self.lengths = _check_lengths(max_episode_steps, num_envs)
        self._generators: list[np.random.Generator | None] = [None] * num_envs
        self._seeds: list[int] = [-1] * num_envs
        self._state: WorldState | None = None
        self._frames = np.zeros(self.observation_space.shape, np.uint8)
        self._elapsed = np.zeros(num_envs, np.int64)
        self._over = np.zeros(num_envs, bool)
        self._moments: list[DreamState | None] = [None] * num_envs
        self._shut = False

    @property
    def np_random(self) -> tuple[np.random.Generator | None, ...]:
        """The dreams' own random generators; None before a reset."""
        return tuple(self._generators)

    @property
    def np_random_seed(self) -> tuple[int, ...]:
        """The seeds of the generators; -1 where unknown."""
        return tuple(self._seeds)

    # ---- reset ----

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start dreams.

        Args:
            seed: dream i gets seed + i, or its own of a list; None goes on from the last seed.
            options: those of the single environment for all dreams; `"spawn"` or
                `"engine_seed"` may be a list of one number a dream; `"reset_mask"`, bool `[N]`,
                says which dreams start anew, the others are left alone.

        Returns:
            Frames uint8 `[N,H,W,3]`, and info of the dreams that were started.

        Raises:
            ValueError: an option that is unknown or does not fit; nothing has changed then, but
                the random generators.
        """
        self._check_open()
        given = dict(options or {})
        mask = self._mask(given.pop("reset_mask", None))
        rows = np.flatnonzero(mask)
        self._reseed(_spread_seeds(seed, self.num_envs), rows)
        self._begin(rows, self._spread_options(given))
        return self._frames.copy(), self._info(mask)

    def _mask(self, mask: Any) -> np.ndarray:
        if mask is None:
            return np.ones(self.num_envs, bool)
        fits = isinstance(mask, np.ndarray) and mask.dtype == np.bool_
        if not fits or mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(
                f"reset_mask must be a bool array of {self.num_envs}, at least one of them "
                f"True, got {mask!r}."
            )
        if self._state is None and not mask.all():
            raise ResetNeeded(
                "reset_mask is for dreams that were reset before: call reset() without it first."
            )
        return mask

    def _spread_options(self, options: dict[str, Any]) -> list[dict[str, Any]]:
        each = [options] * self.num_envs
        for name in ("spawn", "engine_seed"):
            given = options.get(name)
            if not isinstance(given, list | tuple | np.ndarray):
                continue
            if len(given) != self.num_envs:
                raise ValueError(
                    f"{name} must be one value or {self.num_envs}, one per dream, got {len(given)}."
                )
            each = [one | {name: number} for one, number in zip(each, given, strict=True)]
        return each

    def _reseed(self, seeds: list[int | None], rows: np.ndarray) -> None:
        for row in rows:
            if seeds[row] is not None or self._generators[row] is None:
                self._generators[row], self._seeds[row] = seeding.np_random(seeds[row])

    def _begin(self, rows: np.ndarray, options: list[dict[str, Any]]) -> None:
        """Start some dreams; draws what the single environment's reset draws, in its order."""
        from worldsim.world.batching import concat, insert

        starts, frames = [], []
        for row in rows:
            generator = self._generators[row]
            noise_seed = int(generator.integers(2**31))
            context = choose_context(self.world, options[row], drawn=generator.random())
            starts.append(begin(self.world, context, noise_seed))
            frames.append(context.frames[-1])
        if self._state is None:
            self._state = concat(starts)
        else:
            for row, start in zip(rows, starts, strict=True):
                insert(self._state, [row], start)
        self._frames[rows] = frames
        self._elapsed[rows], self._over[rows] = 0, False
        for row in rows:
            self._moments[row] = None

    # ---- step ----

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Dream one frame in every dream.

        Args:
            actions: ids `[N]`; or where the world has continuous actions float `[N,2]`, a turn and
                a stride of each.

        Returns:
            Frames uint8 `[N,H,W,3]`, rewards float64 `[N]`, terminated and truncated bool `[N]`
            (zeros and False unless the world has learnt them), and info.

        Raises:
            ValueError: not one action a dream; nothing has changed.
            ResetNeeded: no reset, or with autoreset disabled a dream that is over.
        """
        self._check_started()
        chosen = self._valid(actions)
        over = self._over.copy()
        if self.autoreset_mode == AutoresetMode.DISABLED and over.any():
            raise ResetNeeded(
                f"the dreams {np.flatnonzero(over).tolist()} are over: reset them with a "
                f"reset_mask."
            )
        told = self._dream(chosen, ~over)
        if over.any():  # NEXT_STEP: this step of theirs is their reset
            self._begin(np.flatnonzero(over), [{}] * self.num_envs)
        truncated = (self.lengths > 0) & (self._elapsed >= self.lengths)
        infos = self._after(told, truncated)
        return self._frames.copy(), told.rewards, told.terminated, truncated, infos

    def _valid(self, actions: Any) -> np.ndarray:
        """Ids int64 `[N]` or controls float32 `[N,2]`."""
        if not isinstance(actions, list | tuple | np.ndarray) or len(actions) != self.num_envs:
            raise ValueError(
                f"actions must be {self.num_envs} integers, one per dream, got {actions!r}."
            )
        if are_controls(actions):
            return np.stack([check_action(self.world, np.asarray(row)) for row in actions])
        return np.array([self.actions.valid(action) for action in actions])

    def _dream(self, actions: np.ndarray, live: np.ndarray) -> "_Told":
        """Step all dreams; what is told of those that live."""
        told = _Told(np.zeros(self.num_envs), np.zeros(self.num_envs, bool), None, live)
        if not live.any():
            return told
        state, self._state = self._state, None  # stepping uses it up, also when it fails
        if self.uncertainty:
            stepped = step_ensemble(
                self.world, state, actions, self.steps, self.uncertainty, self.context_noise
            )
            self._state, self._frames, unsure = stepped
            told = told._replace(unsure=unsure)
        else:
            self._state, self._frames = self.world.step(
                state, actions, self.steps, self.context_noise
            )
        self._elapsed += 1
        rewards, ended = outcomes(self._state)
        return told._replace(rewards=np.where(live, rewards, 0.0), terminated=ended & live)

    def _after(self, told: "_Told", truncated: np.ndarray) -> dict[str, Any]:
        everyone, ended = np.ones(self.num_envs, bool), told.terminated | truncated
        if self.autoreset_mode != AutoresetMode.SAME_STEP or not ended.any():
            self._over = ended
            return self._info(everyone) | told.doubt(everyone)
        last = self._info(ended) | told.doubt(ended)
        frames, rows = np.full(self.num_envs, None, object), np.flatnonzero(ended)
        for row in rows:
            frames[row] = self._frames[row].copy()
        self._begin(rows, [{}] * self.num_envs)
        final = {"final_obs": frames, "final_info": last}
        masks = {f"_{name}": ended.copy() for name in final}
        return self._info(everyone) | told.doubt(~ended) | final | masks

    # ---- states ----

    def clone_state(self) -> tuple[DreamState, ...]:
        """The present moment of every dream, as the single environment's clone_state gives it."""
        from worldsim.world.snapshot import take

        self._check_started()
        for row in range(self.num_envs):
            before = self._moments[row]
            memory = take(self._state.select([row]), None if before is None else before.memory)
            self._moments[row] = DreamState(self.world.hash, memory, self._frames[row].copy())
        return tuple(self._moments)

    def restore_state(
        self, states: DreamState | Sequence[DreamState]
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Go to cloned moments, of this or another env of the world; they stay good.

        Args:
            states: one a dream, or one for all of them.

        Returns:
            Frames and info there, as reset does. Lengths count from here.

        Raises:
            ValueError: not states of this world, or not one a dream.
        """
        from worldsim.world.batching import concat
        from worldsim.world.snapshot import recall

        self._check_open()
        if not isinstance(states, list | tuple):
            states = [states] * self.num_envs
        if len(states) != self.num_envs:
            raise ValueError(f"states must be {self.num_envs}, one per dream, got {len(states)}.")
        for state in states:
            if not isinstance(state, DreamState):
                raise ValueError(f"state must be a DreamState, got {type(state).__name__}.")
            state.check_world(self.world)
        known = {id(state): recall(self.world, state.memory) for state in states}
        self._state = concat([known[id(state)] for state in states])
        self._frames = np.stack([state.frame for state in states])
        self._moments = list(states)
        self._elapsed[:], self._over[:] = 0, False
        everyone = np.ones(self.num_envs, bool)
        for row in range(self.num_envs):
            if self._generators[row] is None:
                self._generators[row], self._seeds[row] = seeding.np_random(None)
        return self._frames.copy(), self._info(everyone)

    def close_extras(self, **kwargs: Any) -> None:
        """Forget the dreams; the process keeps the world's weights."""
        self._shut, self._state, self._moments = True, None, []

    def render(self) -> tuple[np.ndarray, ...] | None:
        """The frames shown now, fresh; None without "rgb_array"."""
        self._check_started()
        return tuple(self._frames.copy()) if self.render_mode == "rgb_array" else None

    def _info(self, mask: np.ndarray) -> dict[str, Any]:
        info = {"frame": self._state.frame_count}
        if self._state.poses is not None:
            info["pose"] = self._state.poses.astype(np.float32)
        if (seen := self._state.seen) is not None:
            info |= {"seen": seen, "seen_share": seen.mean(axis=(1, 2))}
        for name in list(info):
            info[name][~mask] = 0
            info[f"_{name}"] = mask.copy()
        return info

    def _check_open(self) -> None:
        if self._shut or self.closed:
            raise ClosedEnvironmentError("this environment is closed: make a new one.")

    def _check_started(self) -> None:
        self._check_open()
        if self._state is None:
            raise ResetNeeded("step() needs started dreams: call reset() first.")


class _Told(NamedTuple):
    """What a step tells besides frames: rewards float64, terminated bool, and the uncertainty
    (float64, or None), all `[N]`; and which dreams truly stepped.
    """

    rewards: np.ndarray
    terminated: np.ndarray
    unsure: np.ndarray | None
    live: np.ndarray

    def doubt(self, mask: np.ndarray) -> dict[str, Any]:
        """The info of the uncertainty of some dreams, as Gymnasium writes it."""
        mask = mask & self.live
        if self.unsure is None or not mask.any():
            return {}
        return {"uncertainty": np.where(mask, self.unsure, 0.0), "_uncertainty": mask}


def _check_lengths(steps: int | Sequence[int] | None, count: int) -> np.ndarray:
    given = [steps or 0] * count if steps is None or isinstance(steps, int) else list(steps)
    whole = all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in given)
    if len(given) != count or not whole or (steps is not None and min(given) < 1):
        raise ValueError(
            f"max_episode_steps must be an integer >= 1, or {count} of them, got {steps!r}."
        )
    return np.array(given, np.int64)


def _spread_seeds(seed: Any, count: int) -> list[int | None]:
    if seed is None:
        return [None] * count
    if isinstance(seed, int | np.integer):
        return [int(seed) + row for row in range(count)]
    if len(seed) != count:
        raise ValueError(f"seed must be one integer or {count}, one per dream, got {len(seed)}.")
    return list(seed)
