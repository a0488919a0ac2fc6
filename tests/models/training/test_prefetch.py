"""Batches drawn ahead in another process are those that would have been drawn here."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from models.training.prefetch import Prefetcher

ROOT = Path(__file__).resolve().parents[3]
LARGE = 300_000  # numbers; more than a pipe holds


class Counting:
    """A drawer of consecutive numbers: its state is the next one."""

    def __init__(self, last: int = 2**30):
        self.next, self.last = 0, last

    def draw(self, batch: int) -> torch.Tensor:
        if self.next >= self.last:
            raise ValueError("nothing is left to draw")
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
    until = time.monotonic() + 120  # two looks at its parent, on a machine that is busy
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
