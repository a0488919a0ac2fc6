"""A straight line of play: a start, and the moves made since. It says how to make any frame again.

Worlds are deterministic: the start (a seed, and the reset's options) and the moves after it give
the same frames, bit for bit. So a line of a few kilobytes stands for every frame of an evening.
Rewinding shortens the line; a quick save keeps it; a recording stores where on it it began.
"""

import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from worldsim.controls import NO_CONTROL, Action
from worldsim.data.npz import read_arrays
from worldsim.reading import ReadError, check_number, parse_json, short_path

_DTYPES = {
    "header": "|u1",
    "lead_in": "<i4",
    "frame": "|u1",
    "lead_controls": "<f4",
    "pose": "<f4",
    "context_frames": "|u1",
    "context_actions": "<i8",
    "context_controls": "<f4",
}
_OPTIONAL = ("lead_controls", "pose", "context_frames", "context_actions", "context_controls")


MOST_BYTES = 512 << 20
"""That a start may unpack to."""
MOST_SIDE = 4096
NO_NOISE = -1
"""The context noise of a move in a world that takes none."""


class Move(NamedTuple):
    """One step of a line: the action's id, the sampler steps (0 where the world has none), and the
    noise that the frame is remembered with, in per cent (NO_NOISE where the world takes none, or
    gives its own). A continuous action has its `control` (turn in degrees, stride) besides, and the
    id of the nearest action.
    """

    action: int
    steps: int
    noise: int = NO_NOISE
    control: tuple[float, float] | None = None

    @property
    def taken(self) -> Action:
        """The control where there is one, else the id."""
        return self.action if self.control is None else self.control


@dataclass(frozen=True, kw_only=True)
class Start:
    """How a line began.

    Attributes:
        seed: what `env.reset` was given.
        options: what else is known of the start, e.g. the spawn's number; JSON values only.
        context_frames: uint8 `[T,H,W,3]`, the true frames a dream started from; None for an engine.
        context_actions: int64 `[T-1]`; action t led to context frame t+1.
        context_controls: float32 `[T-1,2]` of the continuous ones of these actions, NaN of the
            others; None where there are none.
        future: what truly followed, where that is known: frames uint8 `[N+1,H,W,3]`, the last
            context frame first, and N actions. Recordings and saves do not keep it.
    """

    seed: int
    options: dict[str, Any] = field(default_factory=dict)
    context_frames: np.ndarray | None = None
    context_actions: np.ndarray | None = None
    context_controls: np.ndarray | None = None
    future: tuple[np.ndarray, Sequence[Action] | np.ndarray] | None = None


class Moves:
    """A growing list of moves that stays small: five numbers each, never objects.

    Args:
        moves: int `[N,3]`, or `[N,2]` from before there was noise; None for no moves.
        controls: float32 `[N,2]`, NaN where an action was told by its id; None where all were.
    """

    def __init__(
        self, moves: "np.ndarray | None" = None, controls: "np.ndarray | None" = None
    ) -> None:
        self._array = np.zeros((64, 3), np.int32)
        self._controls = np.zeros((64, 2), np.float32)
        self._count = 0
        for number, move in enumerate(moves if moves is not None else ()):
            control = None if controls is None else read_control(controls[number])
            self.append(Move(*map(int, move), control=control))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Move:
        if not 0 <= index < self._count:
            raise IndexError(f"move must be in [0, {self._count - 1}], got {index}.")
        control = read_control(self._controls[index])
        return Move(*map(int, self._array[index]), control=control)

    def __iter__(self) -> Iterator[Move]:
        return (self[index] for index in range(self._count))

    def append(self, move: Move) -> None:
        """Add a move at the end."""
        if self._count == len(self._array):
            self._array = np.concatenate([self._array, np.zeros_like(self._array)])
            self._controls = np.concatenate([self._controls, np.zeros_like(self._controls)])
        self._array[self._count] = move[:3]
        self._controls[self._count] = NO_CONTROL if move.control is None else move.control
        self._count += 1

    def cut(self, count: int) -> None:
        """Forget all but the first `count` moves."""
        assert 0 <= count <= self._count
        self._count = count

    def array(self) -> np.ndarray:
        """A copy: int32 `[N,3]`, action, sampler steps and noise."""
        return self._array[: self._count].copy()

    def controls(self, count: int | None = None) -> np.ndarray | None:
        """A copy of those of the first `count` moves (None: of all): float32 `[N,2]`, NaN where an
        action was told by its id; None where all were.
        """
        found = self._controls[: self._count][:count]
        return None if np.isnan(found).all() else found.copy()


def read_control(row: np.ndarray) -> tuple[float, float] | None:
    """The control of a row `[2]`, which is NaN where there is none."""
    turn, stride = row.tolist()
    return None if math.isnan(turn) else (turn, stride)


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one move made; what every sink is shown.

    Attributes:
        number: how many moves since the line's start, this one included.
        move: what led to the frame.
        frame: uint8 `[H,W,3]`; nobody writes into it.
        reward: what the environment gave.
        pose: float32 `[3]` or None.
        seconds: how long the environment took.
        pressed_at: when the key of the action was pressed, on the session's clock; or None.
        terminated: whether the move ended the episode, as tasks end.
    """

    number: int
    move: Move
    frame: np.ndarray
    reward: float
    pose: np.ndarray | None
    seconds: float
    pressed_at: float | None = None
    terminated: bool = False


@dataclass(frozen=True, kw_only=True)
class Point:
    """A place on a line from which steps follow: what a recorder needs to begin.

    Attributes:
        start: how the line began.
        lead_in: int32 `[N,3]`: the moves from the start to here.
        frame: uint8 `[H,W,3]`, the frame that is shown here.
        pose: float32 `[3]` or None.
        lead_controls: float32 `[N,2]` of the continuous ones of these moves, NaN of the others;
            None where there are none.
    """

    start: Start
    lead_in: np.ndarray
    frame: np.ndarray
    pose: np.ndarray | None = None
    lead_controls: np.ndarray | None = None

    @property
    def moves(self) -> Moves:
        """The moves from the start to here."""
        return Moves(self.lead_in, self.lead_controls)


def pack(point: Point, header: dict[str, Any]) -> bytes:
    """A point and a JSON header as the bytes of an npz file, without pickles."""
    start = point.start
    text = json.dumps({**header, "seed": start.seed, "options": start.options})
    arrays = {
        "header": np.frombuffer(text.encode(), np.uint8),
        "lead_in": point.lead_in,
        "lead_controls": point.lead_controls,
        "frame": point.frame,
        "pose": point.pose,
        "context_frames": start.context_frames,
        "context_actions": start.context_actions,
        "context_controls": start.context_controls,
    }
    file = io.BytesIO()
    np.savez_compressed(file, **{name: a for name, a in arrays.items() if a is not None})
    return file.getvalue()


def unpack(data: bytes, name: str) -> tuple[Point, dict[str, Any]]:
    """What `pack` packed.

    Args:
        data: the bytes; they are not trusted.
        name: where they came from, for the error.

    Raises:
        ValueError: they are damaged.
    """
    try:
        arrays = read_arrays(io.BytesIO(data), _DTYPES, _OPTIONAL, most=MOST_BYTES)
        _check_shapes(arrays)
        header = parse_json(arrays["header"].tobytes())
        start = Start(
            seed=check_number(header["seed"], "seed", 0, 2**64, whole=True),
            options=header["options"],
            context_frames=arrays.get("context_frames"),
            context_actions=arrays.get("context_actions"),
            context_controls=arrays.get("context_controls"),
        )
        if not isinstance(start.options, dict):
            raise ValueError("options must be named values")
    except Exception as error:
        raise ReadError(
            f"{short_path(name)} is damaged, or no start of a line of play ({error!s:.120})."
        ) from error
    point = Point(
        start=start,
        lead_in=arrays["lead_in"],
        frame=arrays["frame"],
        pose=arrays.get("pose"),
        lead_controls=arrays.get("lead_controls"),
    )
    return point, header


def _check_shapes(arrays: dict[str, np.ndarray]) -> None:
    """Shapes of a point's arrays: `[H,W,3]`, `[N,2]` or `[N,3]`, `[N,2]` of controls, `[3]`, and a
    context of T frames with T - 1 actions.
    """
    frame, lead_in = arrays["frame"].shape, arrays["lead_in"].shape
    good = len(frame) == 3 and frame[2] == 3 and min(frame) > 0 and max(frame) <= MOST_SIDE
    good &= len(lead_in) == 2 and lead_in[1] in (2, 3)
    good &= arrays.get("lead_controls", np.empty((lead_in[0], 2))).shape == (lead_in[0], 2)
    good &= "pose" not in arrays or arrays["pose"].shape == (3,)
    context, led = arrays.get("context_frames"), arrays.get("context_actions")
    good &= (context is None) == (led is None)
    if context is not None and led is not None:
        good &= context.ndim == 4 and context.shape[3] == 3 and len(context) > 0
        good &= led.shape == (len(context) - 1,)
        good &= arrays.get("context_controls", np.empty((len(led), 2))).shape == (len(led), 2)
    if not good:
        raise ValueError("its arrays do not fit together")
