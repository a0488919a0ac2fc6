"""Paired-v0: a dream and the engine it was learnt from, from one start, under one action.

    import gymnasium, worldsim
    env = gymnasium.make("Paired-v0", world="dmlab")
    frame, info = env.reset(seed=0)                 # the dream's frame; info["truth"] the engine's
    frame, reward, terminated, truncated, info = env.step(2)
    print(info["psnr"])                             # how near they still are, in dB

The dream has seen the engine's frames up to the start, of a place that no world was trained on.
Knows neither network nor engine: both are environments, found by name.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.envs.registration import load_env_creator

from worldsim.data.collect import SEED_RANGES
from worldsim.evaluate.metrics import psnr
from worldsim.ground_truth import open_engine, play
from worldsim.registration import DREAM, ENVIRONMENTS

if TYPE_CHECKING:
    from worldsim.world.model import WorldModel


class PairedState(NamedTuple):
    """A moment of both; one copy may be restored many times."""

    dream: Any
    engine: Any


class PairedEnv(gymnasium.Env):
    """A dream beside the truth, as a Gymnasium environment.

    Observations, `info` and all else are the dream's. `info` has besides: `truth`, the engine's
    frame uint8 `[H,W,3]`; `truth_pose`, where the engine tells it; `psnr`, how near the two frames
    are, in dB; and after a reset `engine_seed`, which says where in the engine this is.

    Attributes:
        dream: the environment that dreams.
        engine: the one that is real.
        actions: the action table of both.
    """

    def __init__(
        self,
        world: "str | Path | WorldModel" = "dmlab",
        context: int = 64,
        render_mode: str | None = None,
        **dream: Any,
    ) -> None:
        """Load the world and look for its engine.

        Args:
            world: the name of a bundled world, a world's folder, or a world that is loaded.
            context: steps the engine is walked before the start; the dream sees all their frames.
            render_mode: the dream's.
            dream: what else the dream is made with, such as `steps` and `device`.

        Raises:
            ValueError: no such world or engine, or an argument out of range.
        """
        if isinstance(context, bool) or not isinstance(context, int) or context < 0:
            raise ValueError(f"context must be an integer >= 0, got {context!r}.")
        make_dream = load_env_creator(ENVIRONMENTS[DREAM][0])
        self.dream = make_dream(world=world, render_mode=render_mode, **dream)
        self.engine = open_engine(self.dream.world.card)
        self.context = context
        self.actions, self.world = self.dream.actions, self.dream.world
        self.metadata, self.render_mode = self.dream.metadata, render_mode
        self.observation_space = self.dream.observation_space
        self.action_space = self.dream.action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Walk the engine for a while in a new place, and let the dream begin where it stands.

        Args:
            seed: fixes the place, the walk and all noise; None goes on from the last seed.
            options: `{"engine_seed": n}` for a place of one's own choice.

        Raises:
            ValueError: another option.
            ImportError: what the engine needs is not installed.
        """
        super().reset(seed=seed)
        chosen, noise = (int(self.np_random.integers(2**30)) for _ in range(2))
        given = dict(options or {})
        heldout = SEED_RANGES["heldout"]
        place = given.pop("engine_seed", heldout[chosen % len(heldout)])
        if given:
            raise ValueError(f"reset options must be among engine_seed, got {', '.join(given)}.")
        split = "train" if place in SEED_RANGES["train"] else "heldout"
        episode, truth = play(self.engine, place, self.context, split)
        context = {"frames": episode.frames, "actions": episode.actions}
        frame, info = self.dream.reset(seed=noise, options=context)
        return frame, self._beside(frame, info, *truth.start()) | {"engine_seed": place}

    def step(
        self, action: int | np.ndarray
    ) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Both take one action.

        Raises:
            ValueError: not an action.
            ResetNeeded: there was no reset.
            ClosedEnvironmentError: the environment is closed.
        """
        frame, reward, ended, cut, info = self.dream.step(action)
        true, _, true_ended, true_cut, true_info = self.engine.step(action)
        info = self._beside(frame, info, true, true_info)
        return frame, reward, ended or true_ended, cut or true_cut, info

    def observe(self, action: int | np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """The engine takes an action, and the dream takes in the frame it led to.

        Returns:
            The engine's frame, and the info of both, as reset does.

        Raises:
            ValueError: not an action.
            ResetNeeded: there was no reset.
            ClosedEnvironmentError: the environment is closed.
        """
        true, _, _, _, true_info = self.engine.step(action)
        frame, info = self.dream.observe(true, action)
        return frame, self._beside(frame, info, true, true_info)

    def render(self) -> np.ndarray | None:
        """What the dream renders."""
        return self.dream.render()

    def close(self) -> None:
        """End both."""
        self.dream.close()
        self.engine.close()

    def clone_state(self) -> PairedState:
        """The present moment of both, to come back to."""
        return PairedState(self.dream.clone_state(), self.engine.clone_state())

    def restore_state(self, state: PairedState) -> tuple[np.ndarray, dict[str, Any]]:
        """Go back to a cloned moment.

        Returns:
            The frame and info there, as reset does.

        Raises:
            ValueError: not a state of this pair.
        """
        if not isinstance(state, PairedState):
            raise ValueError(f"state must be a PairedState, got {type(state).__name__}.")
        frame, info = self.dream.restore_state(state.dream)
        return frame, self._beside(frame, info, *self.engine.restore_state(state.engine))

    def get_keys_to_action(self) -> dict[tuple[int, ...], int]:
        """Keys to actions, as `gymnasium.utils.play` wants them."""
        return self.dream.get_keys_to_action()

    @staticmethod
    def _beside(
        frame: np.ndarray, info: dict[str, Any], true: np.ndarray, true_info: dict[str, Any]
    ) -> dict[str, Any]:
        told = {"truth": true, "psnr": float(psnr(frame, true))}
        if "pose" in true_info:
            told["truth_pose"] = true_info["pose"]
        return info | told
