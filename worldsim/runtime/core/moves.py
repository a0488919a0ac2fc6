"""A straight line of play: a start, and the moves made since. It says how to make any frame again.

Worlds are deterministic: the start (a seed, and the reset's options) and the moves after it give
the same frames, bit for bit. So a line of a few kilobytes stands for every frame of an evening.
Rewinding shortens the line; a quick save keeps it; a recording stores where on it it began.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from worldsim.data.npz import read_arrays
from worldsim.reading import ReadError, check_number, parse_json, short_path

_DTYPES = {
    "header": "|u1",
    "lead_in": "<i4",
    "frame": "|u1",
    "pose": "<f4",
    "context_frames": "|u1",
    "context_actions": "<i8",
}
_OPTIONAL = ("pose", "context_frames", "context_actions")


MOST_BYTES = 512 << 20
"""That a start may unpack to."""
MOST_SIDE = 4096
NO_NOISE = -1
"""The context noise of a move in a world that takes none."""


class Move(NamedTuple):
    """One step of a line: the action's id, the sampler steps (0 where the world has none), and the
    noise that the frame is remembered with, in per cent (NO_NOISE where the world takes none, or
    gives its own).
    """

    action: int
    steps: int
    noise: int = NO_NOISE


@dataclass(frozen=True, kw_only=True)
class Start:
    """How a line began.

    Attributes:
        seed: what `env.reset` was given.
        options: what else is known of the start, e.g. the spawn's number; JSON values only.
        context_frames: uint8 `[T,H,W,3]`, the true frames a dream started from; None for an engine.
        context_actions: int64 `[T-1]`; action t led to context frame t+1.
        future: what truly followed, where that is known: frames uint8 `[N+1,H,W,3]`, the last
            context frame first, and actions int64 `[N]`. Recordings and saves do not keep it.
    """

    seed: int
    options: dict[str, Any] = field(default_factory=dict)
    context_frames: np.ndarray | None = None
    context_actions: np.ndarray | None = None
    future: tuple[np.ndarray, np.ndarray] | None = None


class Moves:
    """A growing list of moves that stays small: three numbers each, never objects.

    Args:
        moves: int `[N,3]`, or `[N,2]` from before there was noise; None for no moves.
    """

    def __init__(self, moves: "np.ndarray | None" = None) -> None:
        self._array = np.zeros((64, len(Move._fields)), np.int32)
        self._count = 0
        for move in moves if moves is not None else ():
            self.append(Move(*map(int, move)))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Move:
        if not 0 <= index < self._count:
            raise IndexError(f"move must be in [0, {self._count - 1}], got {index}.")
        return Move(*map(int, self._array[index]))

    def __iter__(self) -> Iterator[Move]:
        return (self[index] for index in range(self._count))

    def append(self, move: Move) -> None:
        """Add a move at the end."""
        if self._count == len(self._array):
            self._array = np.concatenate([self._array, np.zeros_like(self._array)])
        self._array[self._count] = move
        self._count += 1

    def cut(self, count: int) -> None:
        """Forget all but the first `count` moves."""
        assert 0 <= count <= self._count
        self._count = count

    def array(self) -> np.ndarray:
        """A copy: int32 `[N,3]`, action, sampler steps and noise."""
        return self._array[: self._count].copy()


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
    """

    start: Start
    lead_in: np.ndarray
    frame: np.ndarray
    pose: np.ndarray | None = None


def pack(point: Point, header: dict[str, Any]) -> bytes:
    """A point and a JSON header as the bytes of an npz file, without pickles."""
    start = point.start
    text = json.dumps({**header, "seed": start.seed, "options": start.options})
    arrays = {
        "header": np.frombuffer(text.encode(), np.uint8),
        "lead_in": point.lead_in,
        "frame": point.frame,
        "pose": point.pose,
        "context_frames": start.context_frames,
        "context_actions": start.context_actions,
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
        )
        if not isinstance(start.options, dict):
            raise ValueError("options must be named values")
    except Exception as error:
        raise ReadError(
            f"{short_path(name)} is damaged, or no start of a line of play ({error!s:.120})."
        ) from error
    point = Point(
        start=start, lead_in=arrays["lead_in"], frame=arrays["frame"], pose=arrays.get("pose")
    )
    return point, header


def _check_shapes(arrays: dict[str, np.ndarray]) -> None:
    """Shapes of a point's arrays: `[H,W,3]`, `[N,2]` or `[N,3]`, `[3]`, and a context of T frames
    with T - 1 actions.
    """
    frame, lead_in = arrays["frame"].shape, arrays["lead_in"].shape
    good = len(frame) == 3 and frame[2] == 3 and min(frame) > 0 and max(frame) <= MOST_SIDE
    good &= len(lead_in) == 2 and lead_in[1] in (2, 3)
    good &= "pose" not in arrays or arrays["pose"].shape == (3,)
    context, led = arrays.get("context_frames"), arrays.get("context_actions")
    good &= (context is None) == (led is None)
    if context is not None and led is not None:
        good &= context.ndim == 4 and context.shape[3] == 3 and len(context) > 0
        good &= led.shape == (len(context) - 1,)
    if not good:
        raise ValueError("its arrays do not fit together")
