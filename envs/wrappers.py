"""Tasks in a world that has none: rewards and ends, by wrappers that leave the world alone.

    env = gymnasium.make("FARDMLab-v0")
    env = GoalPicture(env, goal=picture, within=0.3)        # towards a picture
    env = Novelty(env)                                      # towards what was not seen yet
    env = Task(env, lambda step: float(step.action == 2))   # whatever you say
    env = EndWhenUnsure(gymnasium.make("FARDMLab-v0", uncertainty=3), above=12)

They work on any environment of frames; an engine needs `world=`, whose codec tells pictures apart.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium
import numpy as np

from worldsim.controls import is_control
from worldsim.tasks import Happened, Judge, verdict

if TYPE_CHECKING:
    from worldsim.world.model import WorldModel


class Sight:
    """How unlike two pictures are to a world's codec.

    Args:
        world: a loaded world, or the name or folder of one.
    """

    def __init__(self, world: "WorldModel | str") -> None:
        self.world = _load_cached(world) if isinstance(world, str) else world
        self._size = self.world.card.frame_size

    def latent(self, frame: np.ndarray) -> np.ndarray:
        """The code of a frame uint8 `[H,W,3]`: float32 `[C,h,w]`.

        Raises:
            ValueError: a frame of another size or type.
        """
        import torch

        frame, size = np.asarray(frame), self._size
        if frame.dtype != np.uint8 or frame.shape != (size, size, 3):
            raise ValueError(
                f"a picture for {self.world.card.name} must be uint8 [{size}, {size}, 3], got "
                f"{frame.dtype} {list(frame.shape)}."
            )
        with torch.no_grad():
            frames = torch.from_numpy(frame.copy())[None].to(self.world.device)
            return self.world.codec.encode(frames)[0].cpu().numpy()

    @staticmethod
    def distance(one: np.ndarray, other: np.ndarray) -> float:
        """The root mean square of the difference of two latents; 0 for the same picture."""
        return float(np.sqrt(np.mean((one - other) ** 2)))


class Moment(NamedTuple):
    """A state of the environment below, and what a wrapper itself remembers."""

    below: Any
    own: Any


class Restorable(gymnasium.Wrapper):
    """A wrapper whose states include what it remembers, and what wrappers below it do."""

    def clone_state(self) -> Moment:
        """The moment now; it stays good however often it is restored."""
        return Moment(self.env.get_wrapper_attr("clone_state")(), self._get_memory())

    def restore_state(self, state: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Go on from a moment of this wrapper's, or from a state of the environment alone, after
        which the wrapper begins anew.

        Returns:
            The frame there and its info.
        """
        below, own = state if isinstance(state, Moment) else (state, None)
        frame, info = self.env.get_wrapper_attr("restore_state")(below)
        return frame, info | self._begin(frame, own)

    def _get_memory(self) -> Any:
        """What has to be kept of this moment; not None if it matters."""

    def _begin(self, frame: np.ndarray, own: Any) -> dict[str, Any]:
        """Begin at a frame, with what was remembered there, if anything; what to add to info."""
        raise NotImplementedError


class GoalPicture(Restorable):
    """Rewards coming nearer to a picture, and ends there.

    The reward is how much the latent distance to the picture fell in the step, so an episode's sum
    is how much nearer it came; arriving adds 1. `info["distance"]` tells the distance.

    Args:
        env: any environment of frames.
        goal: uint8 `[H,W,3]`.
        within: the distance that counts as having arrived; None never ends.
        world: whose codec looks; None for the environment's own world.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        goal: np.ndarray,
        within: float | None = None,
        world: "WorldModel | str | None" = None,
    ) -> None:
        super().__init__(env)
        if within is not None and not within > 0:
            raise ValueError(f"within must be > 0, got {within!r}.")
        self.sight = _sight(env, world)
        self.goal, self.within = self.sight.latent(goal), within
        self._before = 0.0

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """As the environment's."""
        frame, info = self.env.reset(**kwargs)
        return frame, info | self._begin(frame, None)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """As the environment's, with the reward added to its own."""
        frame, reward, terminated, truncated, info = self.env.step(action)
        now = self._distance(frame)
        arrived = self.within is not None and now <= self.within
        reward = float(reward) + self._before - now + float(arrived)
        self._before = now
        return frame, reward, bool(terminated or arrived), truncated, info | {"distance": now}

    def _begin(self, frame: np.ndarray, own: Any) -> dict[str, Any]:
        self._before = self._distance(frame)
        return {"distance": self._before}

    def _distance(self, frame: np.ndarray) -> float:
        return self.sight.distance(self.sight.latent(frame), self.goal)


class Novelty(Restorable):
    """Rewards pictures that are unlike all of the episode so far: the latent distance to the
    nearest of them.

    Args:
        env: any environment of frames.
        memory: how many of the newest pictures are remembered.
        world: whose codec looks; None for the environment's own world.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        memory: int = 1000,
        world: "WorldModel | str | None" = None,
    ) -> None:
        super().__init__(env)
        if isinstance(memory, bool) or not isinstance(memory, int) or memory < 1:
            raise ValueError(f"memory must be an integer >= 1, got {memory!r}.")
        self.sight, self._memory = _sight(env, world), memory
        self._seen: list[np.ndarray] = []

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """As the environment's; forgets what was seen."""
        frame, info = self.env.reset(**kwargs)
        return frame, info | self._begin(frame, None)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """As the environment's, with the reward added to its own."""
        frame, reward, terminated, truncated, info = self.env.step(action)
        latent = self.sight.latent(frame)
        apart = np.square(np.stack(self._seen) - latent).mean(axis=(1, 2, 3))
        self._seen = [*self._seen[-self._memory + 1 :], latent][-self._memory :]
        return frame, float(reward) + float(np.sqrt(apart.min())), terminated, truncated, info

    def _get_memory(self) -> list[np.ndarray]:
        return self._seen  # never changed in place

    def _begin(self, frame: np.ndarray, own: Any) -> dict[str, Any]:
        self._seen = [self.sight.latent(frame)] if own is None else own
        return {}


class Task(Restorable):
    """A reward, and an end, that a function gives.

    Args:
        env: any environment of frames.
        judge: called with what happened; returns the reward, or the reward and whether it is over.
    """

    def __init__(self, env: gymnasium.Env, judge: Judge) -> None:
        super().__init__(env)
        self._judge = judge
        self._before: np.ndarray | None = None

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """As the environment's."""
        frame, info = self.env.reset(**kwargs)
        return frame, info | self._begin(frame, None)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """As the environment's, with the reward added to its own.

        Raises:
            ValueError: the function returned something else.
        """
        frame, reward, terminated, truncated, info = self.env.step(action)
        done = action if is_control(action) else int(action)
        happened = Happened(self._before, done, frame.copy(), info)
        gained, over = verdict(self._judge, happened)
        self._before = frame.copy()
        return frame, float(reward) + gained, bool(terminated or over), truncated, info

    def _begin(self, frame: np.ndarray, own: Any) -> dict[str, Any]:
        self._before = frame.copy()
        return {}


class EndWhenUnsure(Restorable):
    """Truncates a dream that drifts: its uncertainty was above a level for several steps.

    Args:
        env: a dream made with `uncertainty=k`.
        above: levels of grey; what is normal for a world is found by looking at it.
        patience: how many steps in a row.
    """

    def __init__(self, env: gymnasium.Env, above: float, patience: int = 3) -> None:
        super().__init__(env)
        if not getattr(env.unwrapped, "uncertainty", 0):
            raise ValueError(
                "this environment tells no uncertainty: make it with uncertainty=3, for example."
            )
        if not above > 0 or patience < 1:
            raise ValueError(f"above must be > 0 and patience >= 1, got {above} and {patience}.")
        self._above, self._patience, self._unsure = above, patience, 0

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """As the environment's."""
        self._unsure = 0
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """As the environment's, truncated when the dream drifts."""
        frame, reward, terminated, truncated, info = self.env.step(action)
        self._unsure = self._unsure + 1 if info["uncertainty"] > self._above else 0
        drifts = self._unsure >= self._patience
        return frame, reward, terminated, bool(truncated or drifts), info

    def _get_memory(self) -> int:
        return self._unsure

    def _begin(self, frame: np.ndarray, own: Any) -> dict[str, Any]:
        self._unsure = own or 0
        return {}


def _sight(env: gymnasium.Env, world: "WorldModel | str | None") -> Sight:
    world = getattr(env.unwrapped, "world", None) if world is None else world
    if world is None:
        raise ValueError(
            "this environment has no world whose codec could look: name one, e.g. world='dmlab'."
        )
    return Sight(world)


@lru_cache(maxsize=2)
def _load_cached(name: str) -> "WorldModel":
    from worldsim.world.model import load_world

    return load_world(name)
