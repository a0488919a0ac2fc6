"""Who is there, and whose frames are made next. Everything here runs in one event loop; what takes
long (the network, files) runs in one thread, one thing at a time.

Fair: of the sessions that wait for a frame those are taken first that were served longest ago, and
all of a step get theirs together.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from worldsim.reading import ReadError
from worldsim.serve.dreams import Dream, DreamBatch
from worldsim.serve.limits import Limits
from worldsim.serve.protocol import Begin, Message, Refused, Rewind, Step
from worldsim.serve.session import Line, Session
from worldsim.serve.session_folder import SessionFolder
from worldsim.world.moment_file import read_state, write_state

GATHER = 0.008  # seconds in which players who got their frames together ask for the next
SAVE_EVERY = 256  # frames between two states on the disk
TAKEN, IDLE, FULL, LEAVING = 4001, 4002, 4003, 1001  # why a connection is closed

GONE = "this session is not here any more, or cannot be read: begin again"

log = logging.getLogger(__name__)
Made = TypeVar("Made")


class Room:
    """The sessions of one world.

    Args:
        batch: their dreams.
        limits: of them.
        folder: where sessions are kept.

    Attributes:
        ended: set when no more frames are made.
    """

    def __init__(self, batch: DreamBatch, limits: Limits, folder: Path) -> None:
        self.batch, self.limits = batch, limits
        self.folder = SessionFolder(folder, limits.kept)
        self.sessions: dict[str, Session] = {}
        self._thread = ThreadPoolExecutor(1, "dreams")
        self._wake, self._count, self._closing = asyncio.Event(), 0, False
        self._door, self._running = asyncio.Lock(), asyncio.Lock()
        self.ended, self._shut = asyncio.Event(), False

    # ---- who is there ----

    async def enter(self, line: Line, session_id: str | None) -> tuple[Session, str]:
        """A session for a connection: the one of that id, or else a new one.

        Returns:
            The session, and why it is not the one that was asked for (empty if it is).

        Raises:
            Refused: all places are taken.
        """
        async with self._door:
            session, why = self.sessions.get(session_id or ""), ""
            if session is None:
                await self._make_room()
            if session is None and session_id is not None:
                try:
                    session = await self._restore(session_id)
                except (ReadError, OSError) as error:
                    log.warning("a session cannot be resumed: %s", error)
                    why = GONE
            session = session or self._add(secrets.token_urlsafe(18))
            await self._connect(session, line)
            return session, why

    async def _restore(self, session_id: str) -> Session:
        turn, dream = await self._run(lambda: self.folder.load(session_id, self.batch))
        session = self._add(session_id)
        session.turn, session.dream = turn, dream
        return session

    async def _make_room(self) -> None:
        if len(self.sessions) < self.limits.players:
            return
        gone = [session for session in self.sessions.values() if session.line is None]
        if not gone:
            most = self.limits.players
            raise Refused("full", f"all {most} places are taken: try again later")
        try:
            await self._park(min(gone, key=lambda session: session.gone_at))
        except OSError as error:
            raise Refused("full", f"no session can be put aside ({error}): try later") from None

    def _add(self, session_id: str) -> Session:
        self._count += 1
        session = self.sessions[session_id] = Session(session_id, self._count)
        return session

    async def _connect(self, session: Session, line: Line) -> None:
        former, session.line = session.line, line
        session.out.clear()
        session.awaited.clear()
        session.asked_at = _now()
        if former is not None:
            await former.close(TAKEN, "this session was opened somewhere else")

    def leave(self, session: Session, line: Line) -> None:
        """A connection has ended; the session stays for a while."""
        if session.line is line:
            session.line, session.gone_at = None, _now()
            session.out.clear()
            if session.dream is None:
                self.sessions.pop(session.id, None)

    async def _park(self, session: Session) -> None:
        """Move a session from the memory to the disk; it stays where that cannot be written."""
        dream = session.dream
        if dream is not None:
            await self._run(lambda: self._save(session, dream))
            await self._run(lambda: self.batch.forget(dream))
        del self.sessions[session.id]

    # ---- what is asked ----

    async def handle(self, session: Session, message: Message) -> None:
        """Do what a client asks for.

        Raises:
            Refused: it cannot be done; nothing has changed.
        """
        session.asked_at = _now()
        if len(session.out) >= 2 * self.limits.queue:
            raise Refused("busy", "frames wait to be read: read them first")
        handlers: dict[type, Callable[[Session, Any], Awaitable[None]]] = {
            Begin: self._begin,
            Step: self._step,
            Rewind: self._rewind,
        }
        session.handled = True
        try:
            await handlers[type(message)](session, message)
        finally:
            session.asked_at, session.handled = _now(), False

    async def _begin(self, session: Session, asked: Begin) -> None:
        starts = len(self.batch.world.spawns)
        if asked.start >= starts:
            raise Refused("bad_number", f"start must be in [0, {starts - 1}], got {asked.start}")
        dream = session.dream
        if asked.turn < session.turn:
            raise Refused("out_of_order", f"turn must be above {session.turn}, got {asked.turn}")
        if dream is None or asked.turn > session.turn:
            made = await self._run(lambda: self.batch.begin(asked.start, asked.seed))
            await self._replace(session, asked.turn, made)
        elif (dream.start, dream.seed) != (asked.start, asked.seed):
            raise Refused("out_of_order", f"turn {asked.turn} began from elsewhere: count on")
        self.greet(session)

    async def _replace(self, session: Session, turn: int, dream: Dream) -> None:
        """Let a session have another dream."""
        former, session.dream, session.turn = session.dream, dream, turn
        session.awaited.clear()
        session.out.clear()
        session.warned = False
        world_hash, in_use = self.batch.world.hash, set(self.sessions)
        begin = partial(self.folder.begin, session.id, turn, dream, world_hash, in_use)
        await self._keep(session, begin)
        if former is not None:
            await self._run(lambda: self.batch.forget(former))

    def greet(self, session: Session) -> None:
        """Tell a client of its dream, and show its newest frame."""
        session.send({"type": "began", **session.describe()})
        session.show(session.present.count)
        self.wake()

    async def _step(self, session: Session, asked: Step) -> None:
        action = session.ask(asked, self.limits, len(self.batch.world.actions))
        if action is not None:
            await self._note(session, action)
        self.wake()

    async def _note(self, session: Session, action: int) -> None:
        try:
            self.folder.note(session.id, session.turn, action)
        except OSError as error:
            self._warn(session, error)

    async def _rewind(self, session: Session, asked: Rewind) -> None:
        dream = session.find_dream(asked.turn)
        try:
            await self._go_back(session, dream, asked.step)
        except ValueError as error:
            raise Refused("bad_number", str(error)) from None
        session.awaited.clear()
        session.out.clear()
        await self._keep(session, lambda: self.folder.cut(session.id, session.turn, dream))
        self.greet(session)

    async def _go_back(self, session: Session, dream: Dream, number: int) -> None:
        session.blocked = True
        try:
            await self._run(lambda: self.batch.rewind(dream, number))
        finally:
            session.blocked = False

    # ---- states ----

    async def write(self, session_id: str, path: Path) -> None:
        """Write the present moment of a session to a file.

        Raises:
            Refused: there is no such session, or its frame is being made.
        """
        session = self._find(session_id)
        dream = session.dream
        if dream is None or dream.ahead:
            raise Refused("busy", "a frame is being made: save again when it is shown")
        await self._run(lambda: write_state(path, self.batch.current(dream), dream.frame))

    async def read(self, session_id: str, path: Path) -> None:
        """Let a session go on from a moment that was written.

        Raises:
            ValueError: the file is damaged, or of another world.
        """
        session = self._find(session_id)
        state, frame = await self._run(lambda: read_state(path, self.batch.world))
        if state.batch != 1:
            raise Refused("bad_state", f"a state must be of one dream, got {state.batch}")
        dream = await self._run(lambda: Dream(state, frame, None))
        await self._replace(session, session.turn + 1, dream)
        self.greet(session)

    def _find(self, session_id: str) -> Session:
        if session_id not in self.sessions:
            raise Refused("no_session", "there is no such session: open the page again")
        return self.sessions[session_id]

    # ---- frames ----

    async def run(self) -> None:
        """Make frames until the room is closed."""
        try:
            async with self._running:
                while not self._closing:
                    chosen = self._choose()
                    await (self._make(chosen) if chosen else self._rest())
        finally:
            self.ended.set()

    def wake(self) -> None:
        """Look again whether a frame may be made."""
        self._wake.set()

    async def _rest(self) -> None:
        """Wait until somebody asks, or until the pace of somebody who did allows a frame."""
        self._wake.clear()
        waiting = [s.next_at for s in self.sessions.values() if s.wants_frame(self.limits)]
        pause = max(min(waiting) - _now(), 0) if waiting else None
        try:
            await asyncio.wait_for(self._wake.wait(), pause)
            await asyncio.sleep(GATHER)
        except TimeoutError:
            pass

    def _choose(self) -> list[Session]:
        now = _now()
        ready = [s for s in self.sessions.values() if s.is_ready(now, self.limits)]
        ready.sort(key=lambda session: session.served_at)
        # In one order, so that the same sessions are the same batch.
        return sorted(ready[: self.limits.batch], key=lambda session: session.number)

    async def _make(self, chosen: list[Session]) -> None:
        began = _now()
        dreams = {session: session.present for session in chosen}
        failed = await self._run(lambda: self.batch.step(list(dreams.values())))
        for session, dream in dreams.items():
            session.served_at, session.next_at = _now(), began + 1 / self.limits.pace
            if session.dream is not dream:  # begun anew meanwhile
                continue
            if dream in failed:
                await self._ran_away(session, dream, failed[dream])
            elif dream.made in session.awaited:
                session.send_frame(dream.made)
            if dream not in failed and dream.made % SAVE_EVERY == 0:
                await self._keep(session, partial(self._save, session, dream))

    async def _ran_away(self, session: Session, dream: Dream, why: str) -> None:
        await self._go_back(session, dream, dream.history.last)
        session.awaited.clear()
        refused = Refused("ran_away", f"{why}; you are at frame {dream.count}")
        session.send(refused.message(step=dream.count))
        await self._keep(session, lambda: self.folder.cut(session.id, session.turn, dream))

    # ---- keeping ----

    def _save(self, session: Session, dream: Dream) -> None:
        frame = dream.history[dream.made].frame
        self.folder.save(session.id, session.turn, self.batch.current(dream), frame)

    async def _keep(self, session: Session, write: Callable[[], None]) -> None:
        try:
            await self._run(write)
        except OSError as error:
            self._warn(session, error)

    def _warn(self, session: Session, error: OSError) -> None:
        """Play goes on; that a restart of the server would lose it is said once a dream."""
        if not session.warned:
            session.warned = True
            log.warning("a session cannot be kept: %s", error)
            session.send(Refused("not_kept", f"this session cannot be kept: {error}").message())

    async def _run(self, work: Callable[[], Made]) -> Made:
        if self._shut:
            raise Refused("stopped", "the server was stopped; the session is kept")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def tend(self) -> None:
        """Close connections that ask for nothing, and park sessions that have none."""
        idle = self.limits.idle
        for session in list(self.sessions.values()) if not self._closing else ():
            if session.line is None and _now() - session.gone_at > idle:
                await self._put_aside(session)
            elif session.line is not None and session.is_idle(_now(), idle):
                told = f"nothing was asked for {idle:g} seconds; the session is kept"
                await session.line.close(IDLE, told)

    async def _put_aside(self, session: Session) -> None:
        async with self._door:
            if session.line is None and session.id in self.sessions:
                try:
                    await self._park(session)
                except OSError as error:
                    session.gone_at = _now()  # it is tried again
                    self._warn(session, error)

    async def close(self) -> int:
        """Keep every session and end.

        Returns:
            How many were kept.
        """
        self._closing = True
        self.wake()
        lines = [session.line for session in self.sessions.values() if session.line]
        told = "the server was stopped; the session is kept"
        await asyncio.gather(*(line.close(LEAVING, told) for line in lines))
        dreamers = [session for session in self.sessions.values() if session.dream is not None]
        async with self._running:  # the step that is under way is done
            for session in dreamers:
                await self._keep(session, partial(self._save, session, session.present))
        self._shut = True
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)
        return len(dreamers)


def _now() -> float:
    return asyncio.get_running_loop().time()
