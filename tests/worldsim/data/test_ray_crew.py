"""Work shared out over Ray: the command as it is given, and a process killed under it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.corridor import FOLDER, count_starts
from worldsim.data.ray_crew import Worker, count_workers
from worldsim.data.store import EpisodeStore

ROOT = Path(__file__).resolve().parents[3]


def double(tasks):
    for task in tasks:
        yield 2 * task


def test_what_a_killed_process_had_in_hand_another_does(tmp_path):
    """A cluster of this machine; all but the episode in hand are played once."""
    command = [sys.executable, "-m", "worldsim", "collect", "--cluster", "local", "--episodes", "6"]
    command += ["--env", "tests.support.corridor:Corridor-v0", "--workers", "1"]
    command += ["--task", "tests.support.corridor:kill_once", "--out", str(tmp_path)]
    variables = os.environ | {FOLDER: str(tmp_path), "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    done = subprocess.run(
        command, env=variables, cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "6 new episodes" in done.stdout
    assert (tmp_path / "killed").exists()
    assert EpisodeStore(tmp_path / "train").seeds() == set(range(6))
    assert count_starts(tmp_path) == [1] * 5 + [2]


def test_a_machine_without_the_folder_is_named(tmp_path):
    report = Worker(double, tmp_path / "mounted elsewhere").do(1)
    assert isinstance(report, ValueError)
    assert "that all machines of the cluster share" in str(report)


def test_a_worker_takes_one_task_at_a_time(tmp_path):
    worker = Worker(double, tmp_path)
    assert [worker.do(task) for task in (1, 5)] == [2, 10]
    worker.close()


class Room:
    def count_room(self):
        return 3


def test_no_more_processes_than_there_is_room():
    assert count_workers(None, Room(), default=1) == 3
    assert count_workers(2, Room(), default=1) == 2
    with pytest.raises(ValueError, match=r"--workers must be in \[1, 3\], .* got 4"):
        count_workers(4, Room(), default=1)
    assert count_workers(None, None, default=8) == 8
