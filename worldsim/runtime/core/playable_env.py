"""One environment as a session sees it: the few calls it needs, and what this one can do.

Environments differ: a dream has sampler steps, a context and saved states, an engine may have none
of them. The differences end here.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from worldsim.controls import ControlLimits, step_action
from worldsim.paths import check_name
from worldsim.runtime.core.moves import NO_NOISE, Move, Start
from worldsim.runtime.core.state_history import BUDGET
from worldsim.told import tell
from worldsim.world.depth_view import DepthView, read_depth_view
from worldsim.world.memory_map import MAPPERS


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a reset or a step.

    Attributes:
        frame: uint8 `[H,W,3]`.
        reward: 0 after a reset.
        ended: whether the episode is over.
        terminated: whether that is because its task ended, not because it was cut.
        pose: float32 `[3]`, or None where unknown.
    """

    frame: np.ndarray
    reward: float = 0.0
    ended: bool = False
    terminated: bool = False
    pose: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Which world this is; a recording and a quick save belong to one.

    Attributes:
        environment: the Gymnasium id.
        kwargs: what `gymnasium.make` was given, JSON values only.
        world: the world's name; None for an engine.
        world_hash: hash of its weights; None for an engine.
    """

    environment: str
    kwargs: dict[str, Any]
    world: str | None = None
    world_hash: str | None = None

    def is_same_world(self, other: "Identity") -> bool:
        """Whether frames of one can be made by the other."""
        mine, theirs = self._read_essence(), other._read_essence()
        return mine == theirs

    def as_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Identity":
        """From `as_json`, other keys left aside; the data may be a file's.

        Raises:
            KeyError: something is missing.
            ValueError: something is not of its type, or a name is none.
        """
        identity = cls(**{field.name: data[field.name] for field in fields(cls)})
        maybe = (identity.world, identity.world_hash)
        texts = [identity.environment, *(text for text in maybe if text is not None)]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(f"environment, world and world_hash must be text, got {texts!r:.100}")
        if not isinstance(identity.kwargs, dict):
            raise ValueError(f"kwargs must be named values, got {identity.kwargs!r:.100}")
        if identity.world is not None:
            check_name(identity.world, "a world's name")
        return identity

    def _read_essence(self) -> tuple:
        return (self.world_hash,) if self.world_hash else (self.environment, repr(self.kwargs))

    def __str__(self) -> str:
        return f"{self.world} ({self.world_hash[:12]})" if self.world_hash else self.environment


class PlayableEnv:
    """An environment with an action table, behind the calls a session makes.

    Args:
        env: made by `gymnasium.make`; `env.unwrapped.actions` is its ActionSet.
        environment: the id it was made by.
        kwargs: what it was made with, JSON values only.

    Attributes:
        spawns: the contexts that came with a dream; none in an engine.
        budget: bytes that going back in time may take.
        dreams: whether a network makes the frames.
        watch: entered while a frame is made.
        ended: what to tell when the episode is over.
        limits: what continuous actions may say; None where there are none.

    Raises:
        ValueError: it has no action table.
    """

    ended = tell(
        "The episode is over: Enter for a new start, U for the same one, Backspace to go back."
    )

    def __init__(self, env: gymnasium.Env, environment: str, kwargs: dict[str, Any]) -> None:
        self.env = env
        self.base = env.unwrapped
        if not hasattr(self.base, "actions"):
            raise ValueError(
                f"{environment} cannot be played here: it has no `actions` table that says which "
                "key is which action."
            )
        self.actions = self.base.actions
        self.limits: ControlLimits | None = getattr(self.base, "limits", None)
        self.budget = BUDGET
        self.watch: AbstractContextManager = nullcontext()
        self.fps = float(env.metadata.get("render_fps") or 30.0)
        # An environment with a world beside something else, such as Paired-v0, is no dream.
        world = getattr(self.base, "world", None) if hasattr(type(self.base), "memory") else None
        self.identity = Identity(
            environment=environment,
            kwargs=kwargs,
            world=world.card.name if world is not None else None,
            world_hash=world.hash if world is not None else None,
        )
        self.spawns = list(world.spawns) if world is not None else []
        # Which commands of the session this environment supports.
        self.rewinds = hasattr(self.base, "clone_state")
        self.saves_state = hasattr(self.base, "save_state")
        self.samples = hasattr(self.base, "steps") and world is not None
        self.dreams = self.rewinds and world is not None

    @property
    def steps(self) -> int:
        """Sampler steps a frame; 0 where there is no sampler."""
        return int(self.base.steps or self.base.world.card.steps) if self.samples else 0

    @steps.setter
    def steps(self, steps: int) -> None:
        if self.samples and steps:
            self.base.steps = steps

    @property
    def own_steps(self) -> int:
        """The world's own number of sampler steps; 0 where there is no sampler."""
        return int(self.base.world.card.steps) if self.samples else 0

    @property
    def noise(self) -> int:
        """Noise that frames are remembered with, in per cent; NO_NOISE where there is none."""
        noise = getattr(self.base, "context_noise", None)
        return NO_NOISE if noise is None else round(100 * noise)

    @noise.setter
    def noise(self, noise: int) -> None:
        if self.noise != NO_NOISE:
            self.base.context_noise = None if noise == NO_NOISE else noise / 100

    @property
    def seen(self) -> np.ndarray | None:
        """bool `[H,W]` which pixels of the newest frame memory showed; None where nobody knows."""
        seen = self.base.memory.seen if self.dreams else None
        return None if seen is None else seen[0]

    @property
    def view(self) -> DepthView | None:
        """How far away what the newest frame shows is; None where nobody knows."""
        return read_depth_view(self.base.world, self.base.memory) if self.dreams else None

    @property
    def knows_distances(self) -> bool:
        """Whether there is a view, as long as the world does not fail."""
        # Asked of the card, for a world that failed has no memory to look at.
        return self.dreams and getattr(self.base.world.card, "builder", "") in MAPPERS

    @property
    def remembers_space(self) -> bool:
        """Whether it knows what it invented, and can draw a map of what it remembers."""
        runtime = self.identity.kwargs.get("runtime", "torch")
        return self.knows_distances and runtime == "torch"

    def draw_map(self, size: int, reach: float) -> np.ndarray:
        """What is remembered, from above: uint8 `[size,size,3]`, `reach` from the middle to an
        edge in the unit of poses.

        Raises:
            ValueError: the world has no memory in space.
        """
        return self.base.draw_map(size, reach)

    def save_points(self, path: Path) -> None:
        """Write what is remembered as a PLY file.

        Raises:
            ValueError: the world has no memory in space.
            OSError: full disk, no permission.
        """
        self.base.save_points(path)

    def start(self, seed: int, spawn: int | None = None) -> Start:
        """A start: in an engine the seed says all, in a dream also a context of true frames.

        Args:
            seed: fixes the start and all chance after it.
            spawn: which of the world's contexts; None lets the seed choose.

        Raises:
            ValueError: there is no such spawn.
        """
        count = len(self.spawns)
        if spawn is None and not count:
            return Start(seed=seed)
        spawn = choose_spawn(seed, count) if spawn is None else spawn
        if not 0 <= spawn < count:
            there = f"has {count}, from 0 to {count - 1}" if count else "has no spawns"
            raise ValueError(f"there is no spawn {spawn}: {self.identity} {there}.")
        origin = getattr(self.spawns[spawn], "origin", None)
        return Start(
            seed=seed,
            options={"spawn": spawn, **(origin or {})},
            context_frames=self.spawns[spawn].frames,
            context_actions=self.spawns[spawn].actions,
        )

    def reset(self, start: Start) -> Outcome:
        """Go to a start."""
        options = None
        if self._is_spawn(start):  # the environment may remember it
            options = {"spawn": start.options["spawn"]}
        elif start.context_frames is not None:
            options = {"frames": start.context_frames, "actions": start.context_actions}
            if start.context_controls is not None:
                options["controls"] = start.context_controls
        frame, info = self.env.reset(seed=start.seed, options=options)
        return Outcome(frame=frame, pose=info.get("pose"))

    def _is_spawn(self, start: Start) -> bool:
        """Whether a start's context is the spawn it was once; a world may get other spawns."""
        number = start.options.get("spawn")
        if number is None or number >= len(self.spawns):
            return False
        spawn = self.spawns[number]
        return np.array_equal(spawn.frames, start.context_frames) and np.array_equal(
            spawn.actions, start.context_actions
        )

    def step(self, move: Move) -> Outcome:
        """Make a move."""
        self.steps, self.noise = move.steps, move.noise
        with self.watch:
            frame, reward, terminated, truncated, info = self.env.step(step_action(move.taken))
        ended = bool(terminated or truncated)
        return Outcome(
            frame=frame,
            reward=float(reward),
            ended=ended,
            terminated=bool(terminated),
            pose=info.get("pose"),
        )

    def clone(self) -> Any:
        """The state now."""
        return self.base.clone_state()

    def restore(self, state: Any) -> None:
        """Go back to a cloned state, which stays good for another time."""
        self.base.restore_state(state)

    def weigh(self, state: Any) -> int:
        """Bytes that a cloned state takes; an engine's few numbers count as nothing."""
        return int(getattr(state, "nbytes", 0))

    def save(self, path: Path) -> None:
        """Write the state to a file."""
        self.base.save_state(path)

    def load(self, path: Path) -> np.ndarray:
        """Go to a written state.

        Returns:
            The frame there.

        Raises:
            ValueError: it is another world's.
        """
        frame, _ = self.base.load_state(path)
        return frame

    def close(self) -> None:
        """Let go of the environment."""
        self.env.close()


def choose_spawn(seed: int, count: int) -> int:
    """Which of `count` spawns a seed chooses."""
    return int(np.random.default_rng(seed).integers(count))
