"""The loop of a session: ticks, requests and sinks. Knows no world: the Session brings one."""

import enum
import threading
from collections.abc import Callable
from contextlib import suppress

from worldsim.runtime.core.clock import Clock, Pacer
from worldsim.runtime.core.sinks import Sink
from worldsim.runtime.session.command_queue import Ask, Requests

LONGEST_SLEEP = 0.005  # a key is noticed within this time


class State(enum.Enum):
    """What the session is doing."""

    WARMUP = "warming up"
    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    REWINDING = "rewinding"
    CHOOSING = "choosing"
    CLOSED = "closed"


class Loop:
    """A named state machine that is ticked, asked and watched.

    Args:
        clock: where the time comes from.

    Attributes:
        state: what it is doing.
        requests: what was asked for from elsewhere.
        sinks: who watches.
        ticks: what is done in each state; each says whether there was anything to do.
        pacer: says when the next frame is due.
    """

    def __init__(self, clock: Clock | None) -> None:
        self.state = State.WARMUP
        self.requests = Requests()
        self.clock = clock or Clock()
        self.sinks: list[Sink] = []
        self.ticks: dict[State, Callable[[], bool]] = {State.CLOSED: lambda: False}
        self.pacer = Pacer(0, self.clock)
        self._closing = threading.Lock()

    def run(self, frames: int | None = None) -> None:
        """Tick until closed, or until so many frames were made; then close."""
        try:
            while self.state is not State.CLOSED and (frames is None or self.made < frames):
                if not self.tick():
                    self.clock.sleep(min(self.pacer.remaining() or LONGEST_SLEEP, LONGEST_SLEEP))
        finally:
            self.close()

    def tick(self) -> bool:
        """Do the next thing; False when there was nothing to do just now."""
        if self.requests.stopped:
            self.close()
            return True
        asked = self.requests.take()
        for ask in asked:
            self.obey(ask)
        did = self.ticks[self.state]()
        if did or asked or self.is_due():
            self.publish()
        return did

    def close(self) -> None:
        """Finish everything; a second time is nothing.

        Another thread may call it too, when a world does not come back from a step.
        """
        if not self._closing.acquire(blocking=False):
            return
        self.state = State.CLOSED
        for sink in self.sinks:
            sink.end("closed")
        with suppress(Exception):  # another thread may be in the middle of a step
            self.publish()
        for sink in self.sinks:
            sink.close()
        self.let_go()

    # ---- what a session is made of ----

    @property
    def made(self) -> int:
        """How many frames were made in all."""
        raise NotImplementedError

    def obey(self, ask: Ask) -> None:
        """Do what was asked for."""
        raise NotImplementedError

    def publish(self) -> None:
        """Show every sink the picture and the figures of this moment."""
        raise NotImplementedError

    def is_due(self) -> bool:
        """Whether the sinks have heard nothing for a while."""
        raise NotImplementedError

    def let_go(self) -> None:
        """Close what is played."""
        raise NotImplementedError
