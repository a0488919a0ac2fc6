"""Batches drawn ahead in other processes are those that would have been drawn here."""

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from models.training.prefetch import Prefetcher, RoundRobin

ROOT = Path(__file__).resolve().parents[3]
LARGE = 300_000  # numbers; more than a pipe holds


class Counting:
    """A drawer of consecutive numbers: its state is the next one. Each batch takes a while."""

    def __init__(self, last: int = 2**30, first: int = 0, seconds: float = 0.0):
        self.next, self.last, self.seconds = first, last, seconds

    def draw(self, batch: int) -> torch.Tensor:
        if self.next >= self.last:
            raise ValueError("nothing is left to draw")
        time.sleep(self.seconds)
        start, self.next = self.next, self.next + batch
        return torch.arange(start, self.next)

    def state_dict(self) -> dict:
        return {"next": self.next}

    def load_state_dict(self, state: dict) -> None:
        self.next = state["next"]


def only_two() -> Counting:
    return Counting(last=2 * LARGE)


def draw_three(drawer: Prefetcher) -> None:
    for _ in range(3):
        drawer.draw()


@pytest.fixture
def ahead():
    drawer = Prefetcher(Counting, LARGE)
    yield drawer
    drawer.close()


def test_batches_come_in_order_and_resume_after_the_last_that_was_used(ahead):
    """Though later ones have been drawn already when the state is asked for."""
    here = Counting()
    for _ in range(2):
        assert torch.equal(ahead.draw(), here.draw(LARGE))
    assert ahead.state_dict() == here.state_dict()
    state = ahead.state_dict()
    ahead.draw()
    ahead.load_state_dict(state)
    assert torch.equal(ahead.draw(), here.draw(LARGE))


def open_workers(*firsts: int) -> RoundRobin:
    """Processes that count from several numbers, two to a batch; the first one is slow."""
    slow = [0.3] + [0.0] * (len(firsts) - 1)
    pairs = zip(firsts, slow, strict=True)
    return RoundRobin([functools.partial(Counting, first=f, seconds=s) for f, s in pairs], 2)


@pytest.fixture
def three():
    """Three processes."""
    workers = open_workers(0, 1000, 2000)
    yield workers
    workers.close()


def first_numbers(workers: RoundRobin, batches: int) -> list[int]:
    return [int(workers.draw()[0]) for _ in range(batches)]


def test_several_processes_take_turns_and_resume_in_the_middle_of_one(three):
    """However slow one is; the one whose turn had not come begins, and what others drew ahead is
    not lost. A process that ends is told.
    """
    assert first_numbers(three, 2) == [0, 1000]
    state = three.state_dict()
    assert first_numbers(three, 4) == [2000, 2, 1002, 2002]
    three.load_state_dict(state)
    assert first_numbers(three, 4) == [2000, 2, 1002, 2002]
    os.kill(three.workers[1]._process.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="the process that draws samples ended"):
        first_numbers(three, 20)


def test_a_single_process_keeps_its_drawers_state():
    """Checkpoints of before there were several hold that."""
    workers = open_workers(0)
    workers.load_state_dict({"next": 8})
    assert workers.state_dict() == {"next": 8}


def test_another_number_of_processes_goes_on_with_those_that_were():
    more, fewer = open_workers(0, 1000, 2000), open_workers(0, 1000)
    more.load_state_dict({"next": 8})
    assert more.state_dict() == {"workers": [{"next": 8}, None, None], "turn": 0}
    states = [{"next": 8}, {"next": 1002}, None]
    fewer.load_state_dict({"workers": states, "turn": 2})
    assert fewer.state_dict() == {"workers": states[:2], "turn": 0}
    alone = open_workers(0)
    alone.load_state_dict(fewer.state_dict())
    assert alone.state_dict() == {"next": 8}


def test_a_drawer_that_fails_is_told(capfd):
    drawer = Prefetcher(only_two, LARGE)
    with pytest.raises(RuntimeError, match="the process that draws samples ended"):
        draw_three(drawer)
    assert "nothing is left to draw" in capfd.readouterr().err
    drawer.close()


def test_its_process_ends_with_a_parent_that_is_killed():
    """Killed with a full queue, and more of the next batch than a pipe holds still to be sent."""
    program = (
        "import time\n"
        "from models.training.prefetch import Prefetcher\n"
        "from tests.models.training.test_prefetch import LARGE, Counting\n"
        "if __name__ == '__main__':\n"
        "    drawer = Prefetcher(Counting, LARGE)\n"
        "    drawer.draw()\n"
        "    print(drawer._process.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 120  # on a machine that is busy
    while time.monotonic() < until and _runs(child):
        time.sleep(0.2)
    alive = _runs(child)
    if alive:
        os.kill(child, signal.SIGKILL)
    assert not alive


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
