"""Work shared out over processes: every task once, whoever dies."""

import sys

import pytest

from tests.support.corridor import FOLDER, count_starts
from worldsim.data.collect import main
from worldsim.data.store import EpisodeStore
from worldsim.data.workers import share_out


def double(tasks):
    for task in tasks:
        yield 2 * task


def look_up(tasks):
    for task in tasks:
        yield {}[task]


def refuse(tasks):
    for task in tasks:
        raise ValueError(f"no {task}")
        yield


def test_every_task_is_done_once():
    assert sorted(share_out(double, range(7), workers=2)) == list(range(0, 14, 2))


def test_no_tasks_need_no_process():
    assert list(share_out(sys.exit, [], workers=2)) == []


def test_who_dies_over_a_task_again_and_again_is_noticed():
    """Killed for memory, say: an executor's pool would wait for it for ever."""
    with pytest.raises(RuntimeError, match=r"a process died 3 times .*exit status 1"):
        list(share_out(sys.exit, ["x", "x"], workers=2))


def test_an_error_is_told_and_not_tried_again(capfd):
    with pytest.raises(RuntimeError, match="an error that its own output tells"):
        list(share_out(look_up, ["x"], workers=1))
    assert capfd.readouterr().err.count("KeyError: 'x'") == 1
    with pytest.raises(ValueError, match="no x"):
        list(share_out(refuse, ["x"], workers=1))


def test_what_a_killed_process_had_in_hand_another_does(tmp_path, monkeypatch):
    """The collection ends well, and all but the episode in hand are played once."""
    monkeypatch.setenv(FOLDER, str(tmp_path))
    command = ["--env", "tests.support.corridor:Corridor-v0", "--episodes", "9", "--workers", "2"]
    command += ["--task", "tests.support.corridor:kill_once", "--out", str(tmp_path)]
    assert main(command) == 0
    assert (tmp_path / "killed").exists()
    assert EpisodeStore(tmp_path / "train").seeds() == set(range(9))
    assert count_starts(tmp_path) == [1] * 8 + [2]
