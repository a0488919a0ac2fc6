"""The server's side of HTTP: who may come in, the page, connections, states as files.

GET  /?token=T                the page; a cookie lets its files and its connection in
GET  /play?session=ID&format=png   a WebSocket
GET  /state?session=ID        the present moment as a file
POST /state?session=ID        go on from such a file
"""

import asyncio
import hmac
import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from worldsim.paths import asset, asset_names
from worldsim.reading import cut_sentence
from worldsim.serve.protocol import VERSION, Refused, check_format, read_message
from worldsim.serve.room import FULL, Room
from worldsim.serve.session import Session
from worldsim.world.description import describe_play

HARD_LIMIT = 16  # times the limit of a message; at that size a connection ends
BEAT = 20.0  # seconds between two signs of life
TEND = 1.0
CLOSING = 2.0  # seconds in which a client may answer that it closes too
NOT_IN = "the token is missing or wrong: open the address that the server printed, as it is there"
HEADERS = {"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
KINDS = {".js": "text/javascript", ".html": "text/html; charset=utf-8"}
ROOM: web.AppKey[Room] = web.AppKey("room", Room)
TOKEN: web.AppKey[str] = web.AppKey("token", str)


def make_app(room: Room, token: str) -> web.Application:
    """An application that lets in who has the token."""
    most = _measure_state(room) + (1 << 20)
    app = web.Application(middlewares=[_check_token], client_max_size=most)
    app[ROOM], app[TOKEN] = room, token
    app.cleanup_ctx.append(_run_room)
    app.router.add_get("/play", _play)
    app.router.add_get("/state", _send_state)
    app.router.add_post("/state", _take_state)
    app.router.add_get("/{name:[a-z_.-]*}", _send_file)
    return app


def _measure_state(room: Room) -> int:
    tensors = room.batch.world.dynamics.initial(1).tensors()
    return sum(part.nbytes for part in tensors.values())


async def _run_room(app: web.Application) -> Any:
    room = app[ROOM]

    async def tend() -> None:
        while True:
            await asyncio.sleep(TEND)
            await room.tend()

    tasks = [asyncio.create_task(room.run()), asyncio.create_task(tend())]
    yield
    tasks[1].cancel()
    await tasks[0]


# ---- who may come in ----


@web.middleware
async def _check_token(request: web.Request, handler: Any) -> web.StreamResponse:
    cookie = f"worldsim-{request.url.port}"
    given = (request.query.get("token"), request.cookies.get(cookie), _read_bearer(request))
    if not any(one and _is_same(one, request.app[TOKEN]) for one in given):
        return web.Response(status=403, text=NOT_IN + "\n", headers=HEADERS)
    origin = request.headers.get("Origin")
    if origin and origin.partition("://")[2] != request.host:
        return web.Response(status=403, text="this page is of another server\n", headers=HEADERS)
    response = await handler(request)
    if given[0] and not response.prepared:
        how = {"httponly": True, "samesite": "Strict", "path": "/"}
        response.set_cookie(cookie, request.app[TOKEN], **how)
    return response


def _read_bearer(request: web.Request) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


def _is_same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), token.encode())


# ---- files ----


def find_files() -> dict[str, Path]:
    """The page's files: those of any page, and the engine that asks a server."""
    found = {}
    for folder in ("browser", "serve"):  # a file of the second takes the place of the first's
        found |= {name: asset(folder, name) for name in asset_names(folder)}
    return found


async def _send_file(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"] or "index.html"
    path = find_files().get(name)
    if path is None:
        return web.Response(status=404, text=f"there is no {name} here\n", headers=HEADERS)
    kind = {"Content-Type": KINDS[path.suffix]} if path.suffix in KINDS else {}
    return web.FileResponse(path, headers=HEADERS | {"Cache-Control": "no-cache"} | kind)


async def _send_state(request: web.Request) -> web.StreamResponse:
    room, session = request.app[ROOM], request.query.get("session", "")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        try:
            await room.write(session, path)
        except Refused as refused:
            return _refuse(refused)
        data = path.read_bytes()
    name = f'attachment; filename="{room.batch.world.card.name}.state"'
    kind = {"Content-Type": "application/octet-stream", "Content-Disposition": name}
    return web.Response(body=data, headers=HEADERS | kind)


async def _take_state(request: web.Request) -> web.StreamResponse:
    room, session = request.app[ROOM], request.query.get("session", "")
    try:
        data = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        return _refuse(Refused("too_large", f"a state of this world is smaller ({error.text})"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        path.write_bytes(data)
        try:
            await room.read(session, path)
        except ValueError as error:
            told = str(error).replace(str(path), "the file")
            return _refuse(Refused(getattr(error, "code", "bad_state"), told))
    return web.json_response({"type": "restored"}, headers=HEADERS)


def _refuse(refused: Refused) -> web.Response:
    return web.json_response(refused.message(), status=400, headers=HEADERS)


# ---- connections ----


class Connection:
    """A WebSocket as a session's line."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, form: str) -> None:
        self._request, self._socket, self.form = request, socket, form

    async def send(self, message: bytes | dict[str, Any]) -> None:
        """Send a message; waits while the client does not read."""
        with suppress(ConnectionError):
            if isinstance(message, bytes):
                await self._socket.send_bytes(message)
            else:
                await self._socket.send_str(json.dumps(message))

    async def close(self, code: int, sentence: str) -> None:
        """End it, and say why; a client that does not read is cut off."""
        reason = sentence.encode()[:120]
        with suppress(ConnectionError):
            try:
                await asyncio.wait_for(self._socket.close(code=code, message=reason), CLOSING)
            except TimeoutError:
                self.abort()

    def abort(self) -> None:
        """End it at once; what was not sent is dropped."""
        if self._request.transport is not None:
            self._request.transport.abort()


async def _play(request: web.Request) -> web.StreamResponse:
    room = request.app[ROOM]
    try:
        form = check_format(request.query.get("format", "png"))
    except Refused as refused:
        return _refuse(refused)
    most = room.limits.message * HARD_LIMIT
    socket = web.WebSocketResponse(
        heartbeat=BEAT, timeout=CLOSING, max_msg_size=most, compress=False
    )
    await socket.prepare(request)
    line = Connection(request, socket, form)
    try:
        session, why = await room.enter(line, request.query.get("session"))
    except Refused as refused:
        await line.send(refused.message())
        await line.close(FULL, str(refused))
        return socket
    await line.send(_welcome(room, session, why))
    if session.dream is not None:
        room.greet(session)
    sender = asyncio.create_task(_send_all(room, session, line))
    try:
        await _receive_all(room, session, socket, line)
    finally:
        sender.cancel()
        room.leave(session, line)
    return socket


def _welcome(room: Room, session: Session, why: str) -> dict[str, Any]:
    limits = room.limits
    told = {"type": "welcome", "version": VERSION, "session": session.id, "turn": session.turn}
    told |= {"resumed": session.dream is not None, "world": describe_play(room.batch.world)}
    told |= {"limits": {"pace": limits.pace, "queue": limits.queue, "message": limits.message}}
    return told | ({"why": cut_sentence(why)} if why else {})


async def _send_all(room: Room, session: Session, line: Connection) -> None:
    """Send what is queued; while the client does not read, its dream waits."""
    while True:
        await session.fresh.wait()
        session.fresh.clear()
        while session.out and session.line is line:
            message, session.sending = session.out.popleft(), True
            await line.send(message)
            session.sending = False
            room.wake()


async def _receive_all(
    room: Room, session: Session, socket: web.WebSocketResponse, line: Connection
) -> None:
    async for message in socket:
        try:
            if message.type is not WSMsgType.TEXT:
                raise Refused("unknown_message", "a message must be text, got bytes")
            if len(message.data.encode()) > room.limits.message:
                most = room.limits.message
                raise Refused("too_large", f"a message must have at most {most} bytes, got more")
            if session.line is not line:
                return
            await room.handle(session, read_message(message.data))
        except Refused as refused:
            await line.send(refused.message())
