"""Tables of what was pressed: all ways to write one say the same, a wrong one is a sentence."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from worldsim.actions import load_actions
from worldsim.data.action_file import (
    ActionRows,
    choose_actions,
    find_action_file,
    read_action_file,
)

TABLE = load_actions("dmlab")  # left, right, forward, stand
RATE = 10.0


def read(path: Path, text: str) -> ActionRows:
    path.write_text(text, encoding="utf-8-sig")
    return read_action_file(path, TABLE, RATE)


def write_lines(*rows: tuple) -> str:
    """JSON lines, with an empty one before the last."""
    lines = [json.dumps({"action": action, kind: start}) for action, kind, start in rows]
    return "\n".join([*lines[:-1], "", lines[-1]])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "frame,action\n0,forward\n3,left\n4,stand\n"),
        ("a.csv", "action, time\nforward, 0\n0, 0.3\n3, 0.4\n"),
        ("a.csv", "action\n2\n2\n2\nleft\nstand\n"),
        ("a.csv", "note,frame,action\r\nx,0,forward\r\n,3,left\r\n,4,stand\r\n"),
        ("a.jsonl", write_lines((2, "frame", 0), (0, "frame", 3), ("stand", "frame", 4))),
        ("a.jsonl", write_lines(("forward", "time", 0), (0, "time", 0.3), (3, "time", 0.4))),
    ],
)
def test_every_form_says_the_same(tmp_path, name, text):
    rows = read(tmp_path / name, text)
    chosen = choose_actions(rows, np.arange(6), tmp_path / name)
    assert chosen.dtype == np.int64
    assert chosen.tolist() == [2, 2, 2, 0, 3]


def test_between_kept_frames_what_held_longest_counts(tmp_path):
    """Beside counting frame by frame, at a rate that is no whole number of frames."""
    rng = np.random.default_rng(0)
    starts = np.concatenate(([0], np.sort(rng.choice(np.arange(1, 200), 60, replace=False))))
    rows = ActionRows(starts.astype(float), rng.integers(0, 4, 61), dense=False)
    frames = np.floor(np.arange(60) * 10 / 3 + 0.5).astype(int)
    held = rows.actions[np.searchsorted(starts, np.arange(200), "right") - 1]
    spans = itertools.pairwise(frames)
    slow = [np.bincount(held[a:b], minlength=4).argmax() for a, b in spans]
    assert choose_actions(rows, frames, Path("a.csv")).tolist() == slow
    assert len(set(slow)) == 4


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "each of its rows must name an action"),
        ("frame\n1\n", "each of its rows must name an action"),
        ("frame,action\n0,jump\n", "action must be an integer in"),
        ("frame,action\n0,7\n", "action must be an integer in"),
        ("frame,action\n0,\n", "action must be an integer in"),
        ("frame,action\n5,left\n", "must rise from 0 on"),
        ("frame,action\n0,left\n4,left\n4,right\n", "must rise from 0 on"),
        ("frame,action\n0,left\n-1,left\n", "a frame must be a number from 0 on"),
        ("frame,action\n0,left\nnan,left\n", "a frame must be a number from 0 on"),
        ("time,action\n0,left\nsoon,left\n", "could not convert"),
        ("time,frame,action\n0,0,left\n", "frames or times, got both"),
    ],
)
def test_a_wrong_table_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        read(tmp_path / "a.csv", text)
    assert str(tmp_path / "a.csv")[-20:] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_short_dense_table_is_not_held_on(tmp_path):
    """100 rows beside 300 frames would repeat the last action two hundred times."""
    rows = read(tmp_path / "a.csv", "action\nleft\nleft\n")
    assert choose_actions(rows, np.arange(3), tmp_path / "a.csv").tolist() == [0, 0]
    with pytest.raises(ValueError, match=r"a row for every frame of its video, 3 at least, got 2"):
        choose_actions(rows, np.arange(4), tmp_path / "a.csv")


def test_one_table_lies_beside_a_video(tmp_path):
    video = tmp_path / "a.mp4"
    assert find_action_file(video) is None
    (tmp_path / "a.csv").touch()
    assert find_action_file(video) == tmp_path / "a.csv"
    (tmp_path / "a.jsonl").touch()
    with pytest.raises(ValueError, match="must have one table of actions"):
        find_action_file(video)
