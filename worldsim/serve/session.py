"""A player's session: what was asked and not yet made, what was made and not yet sent. Knows no
network connection but a `Line` to write to, and no world.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol

from worldsim.serve.dreams import Dream
from worldsim.serve.limits import Limits
from worldsim.serve.protocol import Refused, Step, pack_frame


class Line(Protocol):
    """A connection to a client."""

    form: str  # how it wants its frames

    async def send(self, message: bytes | dict[str, Any]) -> None:
        """Send a message; waits while the client does not read."""

    async def close(self, code: int, sentence: str) -> None:
        """End it, and say why."""


@dataclass(eq=False)
class Session:
    """One player.

    Attributes:
        id: a secret that resumes it.
        number: its place in the order of all.
        turn: counts its dreams.
        awaited: frames that were asked and are not made yet.
        out: messages for the client, the oldest first.
        fresh: set when there is something to send.
        sending: whether a message is on its way.
        blocked: whether its dream is being changed.
        handled: whether a message of the client's is being dealt with.
        warned: whether the client was told that its dream cannot be kept.
        asked_at: when the client wrote last.
        next_at: before this no frame is made.
        served_at: when a frame was made last.
        gone_at: since when nobody is connected.
    """

    id: str
    number: int
    turn: int = 0
    dream: Dream | None = None
    line: Line | None = None
    awaited: set[int] = field(default_factory=set)
    out: deque[bytes | dict[str, Any]] = field(default_factory=deque)
    fresh: asyncio.Event = field(default_factory=asyncio.Event)
    sending: bool = False
    blocked: bool = False
    warned: bool = False
    handled: bool = False
    asked_at: float = 0.0
    next_at: float = 0.0
    served_at: float = 0.0
    gone_at: float = 0.0

    def is_ready(self, now: float, limits: Limits) -> bool:
        """Whether a frame may be made for it: a slow client's dream waits."""
        return self.wants_frame(limits) and now >= self.next_at

    def wants_frame(self, limits: Limits) -> bool:
        """Whether a frame is to be made, now or when its pace allows."""
        if self.dream is None or not self.dream.ahead or self.line is None:
            return False
        return len(self.out) + self.sending < limits.queue and not self.blocked

    def is_idle(self, now: float, seconds: float) -> bool:
        """Whether its client has asked for nothing, and got nothing, for so long."""
        return not self.handled and now - max(self.asked_at, self.served_at) > seconds

    def ask(self, step: Step, limits: Limits, actions: int) -> int | None:
        """Take a step that a client asks for.

        Returns:
            The action, if it is to be made; None where it was, or is being made.

        Raises:
            Refused: out of order, too many at once, or no such action.
        """
        dream = self.find_dream(step.turn)
        if not 0 <= step.action < actions:
            raise Refused("bad_number", f"action must be in [0, {actions - 1}], got {step.action}")
        if step.step <= dream.count:
            self.show(step.step)
            return None
        if step.step > dream.count + 1:
            raise Refused(
                "out_of_order",
                f"step must be {dream.count + 1}, which comes next, got {step.step}",
            )
        if len(self.awaited) >= limits.queue:
            raise Refused("busy", f"{limits.queue} frames are asked for already: wait for one")
        dream.ask(step.action)
        self.awaited.add(step.step)
        return step.action

    def find_dream(self, turn: int) -> Dream:
        """Its dream.

        Raises:
            Refused: it has none, or another one by now.
        """
        if self.dream is None:
            raise Refused("no_dream", "there is no dream yet: begin one first")
        if turn != self.turn:
            raise Refused("out_of_order", f"turn must be {self.turn}, the newest, got {turn}")
        return self.dream

    @property
    def present(self) -> Dream:
        """Its dream, which has begun."""
        assert self.dream is not None, "a dream must have begun"
        return self.dream

    def show(self, number: int) -> None:
        """Send a frame that was made, or that is being made, once it is.

        Raises:
            Refused: it is not kept any more.
        """
        dream = self.present
        if number > dream.history.last:
            self.awaited.add(number)
        elif number < dream.history.first:
            raise Refused("out_of_order", f"frame {number} is not kept any more")
        else:
            self.send_frame(number)

    def send_frame(self, number: int) -> None:
        """Queue a frame for the client, if there is one."""
        self.awaited.discard(number)
        if self.line is not None:
            frame = self.present.history[number].frame
            self.send(pack_frame(self.turn, number, frame, self.line.form))

    def send(self, message: bytes | dict[str, Any]) -> None:
        """Queue a message for the client, if there is one."""
        if self.line is not None:
            self.out.append(message)
            self.fresh.set()

    def describe(self) -> dict[str, Any]:
        """Its dream for a client that does not know it; `moves` in digits of base 36."""
        dream = self.present
        moves = "".join("0123456789abcdefghijklmnopqrstuvwxyz"[move] for move in dream.moves)
        where = {"turn": self.turn, "start": dream.start, "seed": dream.seed}
        where |= {"origin": dream.origin, "earliest": dream.history.first}
        return where | {"count": dream.count, "moves": moves}
