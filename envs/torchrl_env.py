"""Many dreams as an environment of TorchRL: `pip install 'worldsim[agents]'`.

    env = TorchRLEnv(num_envs=16, world="dmlab", max_episode_steps=100)
    env.set_seed(0)
    rollout = env.rollout(100, policy, break_when_any_done=False)   # TensorDict [16, 100]

Keys: `pixels`, `frame`, `pose`, `seen`, `seen_share`, `uncertainty` (those that the world has), and
TorchRL's own. Dreams that are done start anew where `_reset` says so. Knows no network.
"""

from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode
from tensordict import TensorDict, TensorDictBase
from torchrl.data import Bounded, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

from envs.vector import DreamVectorEnv


class TorchRLEnv(EnvBase):
    """N dreams of one world; `batch_size` is `[N]`.

    Attributes:
        dreams: the Gymnasium vector environment inside.
    """

    def __init__(self, num_envs: int = 1, device: str = "cpu", **kwargs: Any) -> None:
        """Load the world and look at one frame of it, which says what it tells.

        Args:
            num_envs: how many dreams, N.
            device: where the network runs and the tensors are.
            **kwargs: as DreamVectorEnv takes them, but for `autoreset_mode`.

        Raises:
            ValueError: no such world, or an argument out of range.
        """
        self.dreams = DreamVectorEnv(
            num_envs, autoreset_mode=AutoresetMode.DISABLED, device=device, **kwargs
        )
        super().__init__(device=torch.device(device), batch_size=torch.Size([num_envs]))
        self._next_seed: int | None = None
        self._make_specs()

    def _make_specs(self) -> None:
        count, shape = self.dreams.num_envs, self.dreams.observation_space.shape
        _, info = self.dreams.reset()
        told: dict[str, Any] = {
            name: Unbounded(values.shape, dtype=torch.from_numpy(values).dtype, device=self.device)
            for name, values in info.items()
            if not name.startswith("_")
        }
        if self.dreams.uncertainty:
            told["uncertainty"] = Unbounded((count,), dtype=torch.float64, device=self.device)
        told["pixels"] = Bounded(0, 255, shape, dtype=torch.uint8, device=self.device)
        self.observation_spec = Composite(told, shape=(count,), device=self.device)
        self.action_spec = self._make_action_spec(count)
        self.reward_spec = Unbounded((count, 1), dtype=torch.float32, device=self.device)
        flag = Categorical(2, shape=(count, 1), dtype=torch.bool, device=self.device)
        names = ("done", "terminated", "truncated")
        done = {name: flag.clone() for name in names}
        self.done_spec = Composite(done, shape=(count,), device=self.device)

    def _make_action_spec(self, count: int) -> Bounded | Categorical:
        space = self.dreams.single_action_space
        if isinstance(space, Box):
            limits = (torch.from_numpy(side).expand(count, -1) for side in (space.low, space.high))
            return Bounded(*limits, shape=(count, 2), dtype=torch.float32, device=self.device)
        return Categorical(int(space.n), shape=(count,), dtype=torch.int64, device=self.device)

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs: Any) -> TensorDictBase:
        mask = None if tensordict is None else tensordict.get("_reset", None)
        options = dict(kwargs)
        if mask is not None:
            options["reset_mask"] = mask.reshape(-1).cpu().numpy().copy()
        seed = None
        if mask is None or mask.all():
            seed, self._next_seed = self._next_seed, None
        frames, info = self.dreams.reset(seed=seed, options=options)
        if mask is not None:  # of the others, what was told before stands
            rows = ~options["reset_mask"]
            info = {name: self._keep(tensordict, name, part, rows) for name, part in info.items()}
        none = np.zeros(self.dreams.num_envs, bool)
        return self._to_tensors(frames, info, none, none)

    @staticmethod
    def _keep(before: TensorDictBase, name: str, now: np.ndarray, rows: np.ndarray) -> np.ndarray:
        if name in before.keys():  # noqa: SIM118  a TensorDict is not its keys
            now[rows] = before.get(name).cpu().numpy()[rows]
        return now

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        actions = tensordict.get("action").cpu().numpy()
        frames, rewards, terminated, truncated, info = self.dreams.step(actions)
        told = self._to_tensors(frames, info, terminated, truncated)
        return told.set("reward", self._column(rewards.astype(np.float32)))

    def _to_tensors(
        self,
        frames: np.ndarray,
        info: dict[str, np.ndarray],
        terminated: np.ndarray,
        truncated: np.ndarray,
    ) -> TensorDict:
        arrays = {name: part for name, part in info.items() if not name.startswith("_")}
        if self.dreams.uncertainty:
            arrays.setdefault("uncertainty", np.zeros(len(frames)))
        told = {
            name: torch.from_numpy(part) for name, part in (arrays | {"pixels": frames}).items()
        }
        told |= {"terminated": self._column(terminated), "truncated": self._column(truncated)}
        told["done"] = told["terminated"] | told["truncated"]
        return TensorDict(told, batch_size=self.batch_size, device=self.device)

    def _column(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values.copy()).to(self.device)[:, None]

    def _set_seed(self, seed: int | None) -> None:
        """Dream i gets seed + i at the next reset of all, and goes on from there."""
        self._next_seed = seed

    def close(self, **kwargs: Any) -> None:
        """End the dreams."""
        super().close(**kwargs)
        self.dreams.close()
