"""What was pressed while a video was recorded: a table beside it, `<video>.csv` or `<video>.jsonl`.

    frame,action          time,action          action
    0,forward             0.0,forward          forward
    31,left               1.03,left            forward
    35,forward            1.17,forward         left

An action is a name or an id of the action set. It holds from its frame (counted from 0) or time (in
seconds) until the next row; without either, row i is of frame i, and there is one for every frame.
The action of frame i led to frame i + 1. Knows no video.
"""

import csv
import itertools
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from worldsim.actions import ActionSet
from worldsim.reading import parse_json, read_text, reading, short_path

ENDINGS = (".csv", ".jsonl")
STARTS = ("frame", "time")
_WHAT, _ADVICE = "table of actions", "give the columns action and frame, or action and time"


class ActionRows(NamedTuple):
    """Actions int64 `[N]` and from where each holds, in frames of the video, float64 `[N]`; dense
    where there is a row for every frame.
    """

    starts: np.ndarray
    actions: np.ndarray
    dense: bool


def find_action_file(video: Path) -> Path | None:
    """The table beside a video; None where there is none.

    Raises:
        ValueError: there are two.
    """
    found = [path for ending in ENDINGS if (path := video.with_suffix(ending)).is_file()]
    if len(found) > 1:
        raise ValueError(f"{video} must have one table of actions, got {found[0]} and {found[1]}.")
    return found[0] if found else None


def read_action_file(path: Path, table: ActionSet, rate: float) -> ActionRows:
    """Read the table of a video of `rate` frames a second.

    Raises:
        ValueError: it is none, or names an action that the set does not have; one sentence.
    """
    with reading(path, _WHAT, _ADVICE):
        rows = _read_rows(path)
        kind = _find_kind(rows)
        actions = np.array([_read_action(row.get("action"), table) for row in rows], np.int64)
        if kind is None:
            return ActionRows(np.arange(len(rows), dtype=np.float64), actions, dense=True)
        starts = np.array([_read_start(row.get(kind), kind) for row in rows])
        starts *= rate if kind == "time" else 1
        if starts[0] > 0 or (np.diff(starts) <= 0).any():
            raise ValueError(f"its {kind}s must rise from 0 on, each once")
        return ActionRows(starts, actions, dense=False)


def _read_rows(path: Path) -> list[dict]:
    text = read_text(path)
    if path.suffix == ".jsonl":
        rows = [parse_json(line) for line in text.splitlines() if line.strip()]
    else:
        rows = list(csv.DictReader(text.splitlines(), skipinitialspace=True, strict=True))
    if not rows or not all(isinstance(row, dict) and "action" in row for row in rows):
        raise ValueError("each of its rows must name an action, and it must have one")
    return rows


def _find_kind(rows: list[dict]) -> str | None:
    kinds = [kind for kind in STARTS if kind in rows[0]]
    if len(kinds) > 1:
        raise ValueError("it must have frames or times, got both")
    return kinds[0] if kinds else None


def _read_action(value: object, table: ActionSet) -> int:
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str) and text in table.names:
        return table.id(text)
    number = int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else text
    return table.valid(number)


def _read_start(value: object, kind: str) -> float:
    number = float(value) if isinstance(value, str | int | float) else math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"a {kind} must be a number from 0 on, got {value!r:.40}")
    return number


def choose_actions(rows: ActionRows, frames: np.ndarray, source: Path) -> np.ndarray:
    """The action that led from each of some frames to the next, int64 `[T]`: the one that held
    longest between them, of those that held as long the first of the action set.

    Args:
        rows: of the video.
        frames: numbers of its kept frames, int64 `[T+1]`, rising.
        source: the table's path, for a sentence.

    Raises:
        ValueError: a table of a row for every frame ends before the frames do.
    """
    if rows.dense and len(rows.actions) < frames[-1]:
        raise ValueError(
            f"{short_path(source)} must have a row for every frame of its video, {frames[-1]} at "
            f"least, got {len(rows.actions)}: give the column frame where actions hold on."
        )
    spans = itertools.pairwise(frames.tolist())
    return np.array([_find_longest(rows, start, end) for start, end in spans], np.int64)


def _find_longest(rows: ActionRows, start: int, end: int) -> int:
    """The action that holds longest between two frames."""
    first = int(np.searchsorted(rows.starts, start, "right")) - 1
    held = slice(first, int(np.searchsorted(rows.starts, end, "left")))
    bounds = np.append(rows.starts[held], end).clip(start, end)
    return int(np.bincount(rows.actions[held], weights=np.diff(bounds)).argmax())
