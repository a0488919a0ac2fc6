"""Batches drawn ahead of time in processes of their own, in the same order as without them.

What is drawn depends on the drawer's state alone, and that travels with every batch: a training
that resumes goes on with the batch after the last one that it used. Several processes, each with
a drawer of its own, take turns: the order of their batches does not depend on who is faster.
"""

import contextlib
import multiprocessing
import queue
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

AHEAD = 3  # batches
USED = None  # what is sent back for each batch


class Drawer(Protocol):
    """Draws batches; what comes next is a function of its state."""

    def draw(self, batch: int) -> Any:
        """The next batch."""

    def state_dict(self) -> dict:
        """Where the random numbers stand."""

    def load_state_dict(self, state: dict) -> None:
        """Inverse of state_dict."""


class Prefetcher:
    """A Drawer whose batches come from another process.

    Args:
        make: makes the drawer there; picklable.
        batch: samples of a batch.
        state: of the drawer; None for a new one.
    """

    def __init__(self, make: Callable[[], Drawer], batch: int, state: dict | None = None):
        self.make, self.batch, self.state = make, batch, state
        self._process: multiprocessing.Process | None = None

    def draw(self) -> Any:
        """The next batch.

        Raises:
            RuntimeError: the process ended.
        """
        self.start()
        item = self._batches.get()
        if item is None:
            self._batches.put(item)  # for whoever asks again
            raise RuntimeError("the process that draws samples ended: run the command again")
        with contextlib.suppress(OSError):  # it may have ended since; what it sent is still good
            self._connection.send(USED)
        arrays, self.state = item
        return tree_map(torch.from_numpy, arrays)

    def load_state_dict(self, state: dict | None) -> None:
        """Go on from a state; None: from the beginning."""
        self.close()
        self.state = state

    def state_dict(self) -> dict | None:
        """The state after the last batch that was used."""
        return self.state

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.terminate()
            self._process.join()
            self._thread.join()
            self._connection.close()
            self._process = None

    def start(self) -> None:
        """Begin to draw ahead, if that has not begun."""
        if self._process is not None:
            return
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        arguments = (self.make, self.batch, self.state, theirs)
        self._process = context.Process(target=_draw_all, args=arguments, daemon=True)
        self._process.start()
        theirs.close()  # the other process has its own: only so its end is noticed, at any moment
        self._batches: queue.SimpleQueue = queue.SimpleQueue()
        parts = self._connection, self._batches
        self._thread = threading.Thread(target=_receive, args=parts, daemon=True, name="prefetch")
        self._thread.start()


class RoundRobin:
    """A Drawer whose batches come from several processes in turn.

    Args:
        makes: of each process, makes its drawer there; picklable.
        batch: samples of a batch.
    """

    def __init__(self, makes: Sequence[Callable[[], Drawer]], batch: int):
        self.workers, self.turn = [Prefetcher(make, batch) for make in makes], 0

    def draw(self) -> Any:
        """The next batch.

        Raises:
            RuntimeError: a process ended.
        """
        for worker in self.workers:
            worker.start()
        batch = self.workers[self.turn].draw()
        self.turn = (self.turn + 1) % len(self.workers)
        return batch

    def state_dict(self) -> dict | None:
        """The states after the last batch that was used, and whose turn is next; of a single
        process its drawer's state.
        """
        states = [worker.state_dict() for worker in self.workers]
        return {"workers": states, "turn": self.turn} if len(states) > 1 else states[0]

    def load_state_dict(self, state: dict) -> None:
        """Go on from a state. Of another number of processes, as many as there are on both sides go
        on where they were, and others begin.
        """
        states, turn = state.get("workers", [state]), state.get("turn", 0)
        self.turn = turn if len(states) == len(self.workers) else 0
        for worker, own in zip(self.workers, states, strict=False):
            worker.load_state_dict(own)

    def close(self) -> None:
        """End the processes."""
        for worker in self.workers:
            worker.close()


def _receive(connection: Connection, batches: queue.SimpleQueue) -> None:
    """Take what the other process sends, and None when it has ended."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            batches.put(connection.recv())
    batches.put(None)


def _draw_all(
    make: Callable[[], Drawer], batch: int, state: dict | None, connection: Connection
) -> None:
    """Draw until the other process is gone, AHEAD batches before it uses them."""
    torch.set_num_threads(1)
    drawer, sent = make(), 0
    if state is not None:
        drawer.load_state_dict(state)
    while True:
        # arrays, since tensors would travel as open files of shared memory
        item = tree_map(Tensor.numpy, drawer.draw(batch)), drawer.state_dict()
        try:
            if sent >= AHEAD:
                connection.recv()  # USED
            connection.send(item)
        except (EOFError, OSError):
            return  # nobody is there
        sent += 1
