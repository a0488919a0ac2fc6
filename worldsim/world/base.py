"""What every world is, whichever runtime computes it: a card, actions, starts, and the checks of
what goes in. Knows no network and no torch.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from worldsim.actions import ActionSet, load_actions
from worldsim.controls import (
    STRIDE,
    TURN,
    WALK,
    ControlLimits,
    are_controls,
    find_nearest,
    is_told,
    name_controls,
    no_controls,
)
from worldsim.paths import asset
from worldsim.types import NULL_ACTION
from worldsim.world.arrays import Array
from worldsim.world.card import Spawn, WorldCard, list_start_names, read_spawn
from worldsim.world.checkpoint import CARD
from worldsim.world.error import WorldError
from worldsim.world.protocols import Controls
from worldsim.world.state import WorldState
from worldsim.zoo import fetch_by_name

EXPORT = "pipeline.json"  # there in a folder that `worldsim export` wrote
RAN_AWAY = "the dream ran away to numbers that are not finite: reset, or restore an earlier state"


class Chosen(NamedTuple):
    """Actions of B dreams: ids, and float32 `[B,2]` where they were told as controls, of which the
    ids are the nearest.
    """

    ids: list[int]
    controls: np.ndarray | None


class World:
    """The part of a world that computes nothing.

    Args:
        card: what it is.
        world_hash: its identity.
        spawn_paths: files of its starts.

    Attributes:
        dynamics: what happens next (worldsim/world/protocols.py).
        actions: its action table.
    """

    def __init__(
        self, card: WorldCard, dynamics: Any, world_hash: str, spawn_paths: Sequence[Path]
    ):
        self.card, self.hash, self.dynamics = card, world_hash, dynamics
        self.actions: ActionSet = load_actions(card.action_set)
        self._spawn_paths = list(spawn_paths)
        self._spawns: list[Spawn] | None = None

    @property
    def spawns(self) -> list[Spawn]:
        """The starts that came with the world."""
        if self._spawns is None:
            names = list_start_names(self.card, self._spawn_paths)
            named = zip(self._spawn_paths, names, strict=True)
            self._spawns = [read_spawn(path, name) for path, name in named]
        return self._spawns

    @property
    def context_noise(self) -> float | None:
        """How much noise dreamt frames are remembered with, 0 to 1; None where none can be."""
        return getattr(self.dynamics, "context_noise", None)

    def check_noise(self, context_noise: float) -> float:
        """A context noise that this world takes.

        Raises:
            ValueError: out of range, or the world takes none.
        """
        if self.context_noise is None:
            raise ValueError(
                f"{self.card.name} remembers its frames as they are: leave context_noise None"
            )
        number = isinstance(context_noise, int | float) and not isinstance(context_noise, bool)
        if not number or not 0 <= context_noise < 1:
            raise ValueError(f"context_noise must be a number in [0, 1), got {context_noise!r}")
        return float(context_noise)

    @property
    def takes_poses(self) -> bool:
        """Whether a step can be told where the bodies go."""
        return getattr(self.dynamics, "takes_poses", False)

    def check_poses(self, poses: np.ndarray, batch: int) -> np.ndarray:
        """Poses float32 `[B,4]` that a step can be told.

        Raises:
            ValueError: others, or the world cannot be told.
        """
        if not self.takes_poses:
            raise ValueError(f"{self.card.name} has no memory in space: leave poses None")
        given = np.array(poses, np.float32)
        if given.shape != (batch, 4) or not np.isfinite(given).all():
            raise ValueError(
                f"poses must be [{batch}, 4] finite numbers, one row per dream, got "
                f"{list(given.shape)}"
            )
        return given

    @property
    def limits(self) -> ControlLimits | None:
        """What continuous actions may say; None where the world has none."""
        told = self.card.continuous
        able = getattr(self.dynamics, "takes_controls", False)
        return ControlLimits(**told) if told is not None and able else None

    def check_control(self, control: object) -> np.ndarray:
        """A continuous action float32 `[2]` that this world takes.

        Raises:
            ValueError: another, or the world takes none.
        """
        if self.limits is None:
            raise no_controls(self.card.name)
        return self.limits.valid(control)

    def reset(
        self,
        frames: np.ndarray,
        actions: np.ndarray,
        seeds: Sequence[int],
        controls: np.ndarray | None = None,
    ) -> WorldState:
        """Start dreams from true frames.

        Args:
            frames: uint8 `[B,T,H,W,3]`, T at least 1.
            actions: int `[B,T-1]`; `actions[:, t]` led to frame t + 1.
            seeds: one a row; the noise of every frame follows from it.
            controls: float32 `[B,T-1,2]` of the continuous ones of these actions (turn in degrees,
                stride), NaN of the others; None where there are none.

        Raises:
            ValueError: shapes, types or actions that don't fit.
        """
        frames, actions = self._check_context(np.asarray(frames), np.asarray(actions), len(seeds))
        told = self._check_led(controls, actions.shape)
        carry = self.dynamics.initial(len(frames))
        for t in range(frames.shape[1]):
            led = np.full(len(frames), NULL_ACTION) if t == 0 else actions[:, t - 1]
            by_numbers = None if told is None or t == 0 else told[:, t - 1]
            how = {"controls": by_numbers} if is_told(by_numbers) else {}
            carry = self.observe(carry, frames[:, t], led, **how)
        return WorldState(carry, [int(seed) for seed in seeds], [0] * len(frames), self.hash)

    def step(
        self,
        state: WorldState,
        actions: Sequence[int] | np.ndarray,
        steps: int | None = None,
        context_noise: float | None = None,
        poses: np.ndarray | None = None,
    ) -> tuple[WorldState, np.ndarray]:
        """Dream one frame a row: the state advanced, and frames uint8 `[B,H,W,3]`."""
        raise NotImplementedError

    def observe(
        self,
        carry: Any,
        frames: np.ndarray,
        actions: Sequence[int] | np.ndarray,
        controls: np.ndarray | None = None,
    ) -> Any:
        """Take in true frames uint8 `[B,H,W,3]`, which actions `[B]` led to (-1: none), or controls
        float32 `[B,2]` where these are not NaN.
        """
        raise NotImplementedError

    def reconstruct(self, frames: np.ndarray) -> np.ndarray:
        """What the codec keeps of frames uint8 `[N,H,W,3]`."""
        raise NotImplementedError

    def restore_state_of(
        self, tensors: dict[str, Array], seeds: list[int], counts: list[int]
    ) -> WorldState:
        """The state whose memory these tensors are."""
        return WorldState(self.dynamics.carry_from(tensors), seeds, counts, self.hash)

    def check_actions(self, state: WorldState, actions: Sequence[int] | np.ndarray) -> "Chosen":
        """What this world can do, one action per dream, by ids or all as controls.

        Raises:
            ValueError: others, or another number of them.
        """
        if len(actions) != state.batch:
            raise ValueError(f"actions must be {state.batch}, one per dream, got {len(actions)}")
        if not are_controls(actions):
            return Chosen([self.actions.valid(action) for action in actions], None)
        controls = np.stack([self.check_control(control) for control in actions])
        return Chosen([find_nearest(control, self.actions) for control in controls], controls)

    def check_unled(self, poses: np.ndarray | None) -> None:
        """Refuse poses beside controls: each says where the bodies go.

        Raises:
            ValueError: there are poses.
        """
        if poses is not None:
            raise ValueError("actions must be ids where poses lead the dreams, got continuous ones")

    def to_controls(self, controls: np.ndarray) -> Controls:
        """Controls `[B,2]` as a dynamics takes them, as arrays; NaN stays."""
        turns = np.radians(controls[:, TURN].astype(np.float64)).astype(np.float32)
        walks = np.full(len(turns), self.actions.id(WALK), np.int64)
        named = (controls[:, None] == name_controls(self.actions)).all(axis=2).any(axis=1)
        return Controls(turns, controls[:, STRIDE].copy(), walks, named)

    def load_state(self, path: str | Path) -> WorldState:
        """Read a state saved by `WorldState.save`.

        Raises:
            WorldError: not a state, one of another world, or one that its network cannot use.
        """
        from worldsim.world.state_file import read_state_file

        return read_state_file(self, path)

    def check_state(self, state: WorldState) -> None:
        """Refuse a state of another world with one sentence."""
        if state.world_hash != self.hash:
            raise WorldError(
                f"the state is of another world ({state.world_hash[:12]}), this is "
                f"{self.card.name} ({self.hash[:12]}): restore it there"
            )

    def _check_led(self, controls: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray | None:
        """The controls float32 `[B,T-1,2]` of a context; None where there are none."""
        if controls is None or not is_told(controls):
            return None
        given = np.array(controls, np.float32)
        if given.shape != (*shape, 2):
            raise ValueError(
                f"context controls must be {[*shape, 2]}, one row an action, got "
                f"{list(given.shape)}"
            )
        for row in given[~np.isnan(given).all(axis=-1)]:
            self.check_control(row)
        return given

    def _check_context(
        self, frames: np.ndarray, actions: np.ndarray, seeds: int
    ) -> tuple[np.ndarray, np.ndarray]:
        size = self.card.frame_size
        if (
            frames.dtype != np.uint8
            or frames.ndim != 5
            or frames.shape[2:] != (size, size, 3)
            or not frames.shape[1]
        ):
            raise ValueError(
                f"context frames must be uint8 [B, T, {size}, {size}, 3] with T >= 1, got "
                f"{frames.dtype} {list(frames.shape)}"
            )
        if actions.shape != (len(frames), frames.shape[1] - 1):
            raise ValueError(
                f"context actions must be [{len(frames)}, {frames.shape[1] - 1}] for "
                f"{frames.shape[1]} frames, got {list(actions.shape)}"
            )
        if seeds != len(frames):
            raise ValueError(f"seeds must be {len(frames)}, one per dream, got {seeds}")
        for action in np.unique(actions):
            self.actions.valid(action)
        return frames, actions


def world_folder(path_or_name: str | Path) -> Path:
    """The folder of a world given by path, or by its name: bundled, or in the zoo, from where it is
    fetched on first use.

    Raises:
        WorldError: there is none, or it can't be fetched.
        ImportError: what fetching needs is not installed.
    """
    given = Path(path_or_name)
    bundled = [asset("worlds", given.name)] if given.parts == (given.name,) else []
    for folder in (given, *bundled):
        if folder.is_dir() and (folder / CARD).is_file():
            return folder
    if (fetched := fetch_by_name(str(path_or_name))) is not None:
        return fetched
    known = sorted(path.parent.name for path in asset("worlds").glob(f"*/{CARD}"))
    raise WorldError(
        f"there is no world {str(path_or_name)!r}: give a folder that `worldsim train` made, one "
        f"of the bundled ({', '.join(known) or 'none'}), or one that `worldsim zoo` lists"
    )
