"""Many dreams as a VecEnv of Stable-Baselines3: `pip install 'worldsim[agents]'`.

    dreams = gymnasium.make_vec(
        "FARDMLab-v0", num_envs=16, max_episode_steps=100, autoreset_mode="SameStep"
    )
    PPO("CnnPolicy", SB3VecEnv(dreams)).learn(10_000)

Step for step what SB3's own DummyVecEnv gives of the same single environments, in one forward of
the network. Adapts any Gymnasium vector environment that resets in the same step. Knows no network.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecEnv

Rows = int | Iterable[int] | None


class SB3VecEnv(VecEnv):
    """A Gymnasium vector environment, as SB3 wants it: a list of infos, seeds set beforehand.

    Attributes:
        many: the environment that is adapted.
    """

    def __init__(self, many: VectorEnv) -> None:
        """Adapt an environment; SB3 stacks, normalises and turns the pictures around it.

        Raises:
            ValueError: it does not reset in the same step.
        """
        mode = many.metadata.get("autoreset_mode")
        if mode != AutoresetMode.SAME_STEP:
            raise ValueError(
                f"autoreset_mode must be 'SameStep' for Stable-Baselines3, got {mode}: "
                f"make_vec(..., autoreset_mode='SameStep')."
            )
        self.many = many
        self._actions: np.ndarray | None = None
        super().__init__(many.num_envs, many.single_observation_space, many.single_action_space)

    def reset(self) -> np.ndarray:
        """Start every dream: uint8 `[N,H,W,3]`; `reset_infos` has what is told of each.

        Seeds and options are those of `seed()` and `set_options()`, used once.

        Raises:
            ValueError: dreams were given different options; an option does not fit.
        """
        options = self._options[0]
        if any(one != options for one in self._options):
            raise ValueError("options must be the same for all dreams: set_options({...}).")
        seeds = None if all(seed is None for seed in self._seeds) else self._seeds
        seen, info = self.many.reset(seed=seeds, options=options or None)
        self.reset_infos = split_infos(info, self.num_envs)
        self._reset_seeds()
        self._reset_options()
        return seen

    def step_async(self, actions: np.ndarray) -> None:
        """Note what to do, int `[N]`, or float32 `[N,2]` of continuous actions."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Do it.

        Returns:
            Frames uint8 `[N,H,W,3]`, rewards float32 `[N]`, dones bool `[N]`, and infos; that of a
            dream that ended has `terminal_observation`, and the frame is of its new start.
        """
        seen, rewards, terminated, truncated, info = self.many.step(self._actions)
        ended = terminated | truncated
        infos = self._merge_final(split_infos(info, self.num_envs), ended)
        for row, told in enumerate(infos):
            told["TimeLimit.truncated"] = bool(truncated[row] and not terminated[row])
        return seen, rewards.astype(np.float32), ended, infos

    def _merge_final(self, infos: list[dict[str, Any]], ended: np.ndarray) -> list[dict[str, Any]]:
        """Of a dream that ended, what was told of its end; what is told of its start goes aside."""
        for row in np.flatnonzero(ended):
            last, start = infos[row].pop("final_info"), infos[row]
            seen = start.pop("final_obs")
            self.reset_infos[row] = start
            infos[row] = last | {"terminal_observation": seen}
        return infos

    def close(self) -> None:
        """End the dreams."""
        self.many.close()

    def get_images(self) -> list[np.ndarray | None]:
        """The frames shown now; None of each without "rgb_array"."""
        shown = self.many.render()
        return [None] * self.num_envs if shown is None else list(shown)

    def get_attr(self, attr_name: str, indices: Rows = None) -> list[Any]:
        """An attribute of the environment, which all dreams share, once a dream."""
        return [getattr(self.many, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Rows = None) -> None:
        """Set an attribute for all dreams.

        Raises:
            ValueError: it is to be set for some dreams only.
        """
        if set(self._get_indices(indices)) != set(range(self.num_envs)):
            raise ValueError(f"{attr_name} is shared: it can only be set for all dreams at once.")
        setattr(self.many, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Rows = None, **kwargs: Any) -> list:
        """Refused: dreams of one batch have no methods of their own.

        Raises:
            AttributeError: always; call the method of `many`.
        """
        raise AttributeError(
            f"dreams of one batch have no method {method_name!r} each: call `.many.{method_name}`."
        )

    def env_is_wrapped(self, wrapper_class: type, indices: Rows = None) -> list[bool]:
        """Whether each dream is wrapped: none is."""
        return [False for _ in self._get_indices(indices)]


def split_infos(info: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The infos of single environments, of what a Gymnasium vector environment of N tells.

    A number is a numpy scalar; an array is a copy.
    """
    infos: list[dict[str, Any]] = [{} for _ in range(count)]
    for name, values in info.items():
        if name.startswith("_"):
            continue
        parts = split_infos(values, count) if isinstance(values, dict) else values
        for row in np.flatnonzero(info[f"_{name}"]):
            part = parts[row]
            infos[row][name] = part.copy() if isinstance(part, np.ndarray) else part
    return infos
