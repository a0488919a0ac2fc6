"""What is recorded and trained on: an Episode of frames and actions, in numpy only.

The one rule of alignment: `actions[t]` led to `frames[t + 1]`, so an episode of T actions has
T + 1 frames and the first frame was made by no action at all.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

NULL_ACTION = -1
"""The action before the first frame: nobody pressed anything yet."""


STEPS = (1, 2, 4, 8)
"""Sampler steps a frame that can be chosen; a world's own number may be another."""


@dataclass(frozen=True, kw_only=True)
class EpisodeMeta:
    """Where an episode came from.

    Attributes:
        source: what made the frames: an environment id, or the name of a published data set.
        action_set: name of the ActionSet that gives the action ids their meaning.
        fps: frames a second at which it was played or recorded.
        seed: the environment's seed, None where unknown.
        world: name of the world model, None for an engine.
        world_hash: hash of that world's weights, None for an engine.
        terminated: whether the last action ended it, as tasks end; not so where it was cut.
        extra: anything else, JSON values only.
    """

    source: str
    action_set: str
    fps: float
    seed: int | None = None
    world: str | None = None
    world_hash: str | None = None
    terminated: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Episode:
    """T actions and the T + 1 frames around them; `actions[t]` led to `frames[t + 1]`.

    Attributes:
        frames: uint8 `[T+1, H, W, 3]`, RGB.
        actions: int64 `[T]`.
        rewards: float32 `[T]`.
        poses: float32 `[T+1, 3]`: x and y in cells, heading in radians counter-clockwise
            (0 looks along +x, so forward is `(cos h, sin h)`); None where unknown.
        depths: float16 `[T+1, h, w]`: how far along the viewing axis, in cells, what the middle of
            each of h x w equal blocks of a frame shows lies from the eye; None where unknown.
        heights: float32 `[T+1]`: of the eye above where it was at the start of its place, in cells;
            None where unknown.
        controls: float32 `[T, 2]`: of continuous actions the turn in degrees, counter-clockwise,
            and the stride as a share of the full step; `actions` names the nearest. NaN where an
            action was taken by its id, None where all were.
        meta: where it came from.

    Raises:
        ValueError: shapes or types that do not fit together.
    """

    frames: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    poses: np.ndarray | None = None
    depths: np.ndarray | None = None
    heights: np.ndarray | None = None
    controls: np.ndarray | None = None
    meta: EpisodeMeta

    def __post_init__(self) -> None:
        _expect("frames", self.frames, np.uint8, (None, None, None, 3))
        steps = len(self.frames) - 1
        _expect("actions", self.actions, np.int64, (steps,))
        _expect("rewards", self.rewards, np.float32, (steps,))
        if self.poses is not None:
            _expect("poses", self.poses, np.float32, (steps + 1, 3))
        if self.depths is not None:
            _expect("depths", self.depths, np.float16, (steps + 1, None, None))
        if self.heights is not None:
            _expect("heights", self.heights, np.float32, (steps + 1,))
        if self.controls is not None:
            _expect("controls", self.controls, np.float32, (steps, 2))

    def __len__(self) -> int:
        """The number of actions, T."""
        return len(self.actions)


def _expect(name: str, array: np.ndarray, dtype: type, shape: tuple[int | None, ...]) -> None:
    got = getattr(array, "shape", None), getattr(array, "dtype", type(array).__name__)
    fits = got[0] is not None and len(got[0]) == len(shape) and got[1] == dtype
    if not fits or any(n is not None and n != m for n, m in zip(shape, got[0], strict=True)):
        wanted = "x".join("any" if n is None else str(n) for n in shape)
        raise ValueError(
            f"episode {name} must be {np.dtype(dtype)} of shape {wanted} (T actions need T+1 "
            f"frames), got {got[1]} of shape {got[0]}."
        )
