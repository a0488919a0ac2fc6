"""A server on loopback, and players of it that speak its protocol."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np
from aiohttp import web

from worldsim.serve.app import make_app
from worldsim.serve.dreams import DreamBatch
from worldsim.serve.limits import Limits
from worldsim.serve.protocol import unpack_frame
from worldsim.serve.room import Room

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-of-tests"
SMALL = 4096  # bytes that the system keeps for a client that does not read; it doubles them


class Player:
    """A client.

    Attributes:
        heard: text messages that came, the newest last.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse):
        self.socket, self.heard, self.turn, self.count = socket, [], 0, 0

    async def send(self, **message):
        await self.socket.send_str(json.dumps(message))

    async def hear(self):
        """The next message: a dict, or turn, step and frame."""
        message = await self.socket.receive(timeout=240)
        if message.type is aiohttp.WSMsgType.BINARY:
            return unpack_frame(message.data)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        self.heard.append(json.loads(message.data))
        return self.heard[-1]

    async def frame(self):
        """The next frame: its number and the picture."""
        while isinstance(told := await self.hear(), dict):
            assert told["type"] in ("began", "welcome"), told
        turn, self.count, frame = told
        assert turn == self.turn
        return self.count, frame

    async def begin(self, start, seed):
        self.turn += 1
        await self.send(type="begin", turn=self.turn, start=start, seed=seed)
        return (await self.frame())[1]

    async def step(self, action):
        wanted = self.count + 1
        await self.send(type="step", turn=self.turn, step=wanted, action=action)
        number, frame = await self.frame()
        assert number == wanted
        return frame

    async def walk(self, actions):
        return np.stack([await self.step(action) for action in actions])


@dataclass
class Served:
    """A server that runs."""

    room: Room
    address: str
    client: aiohttp.ClientSession

    async def connect(self, client=None, **query):
        """A player, and what the server said first."""
        query = {"token": TOKEN} | query
        client = client or self.client
        player = Player(await client.ws_connect(f"{self.address}/play", params=query))
        welcome = await player.hear()
        if welcome["type"] == "welcome":
            player.turn = welcome["turn"]
        return player, welcome


def small_client():
    """A client for which the system keeps little that it has not read."""

    def make_socket(address):
        made = socket.socket(*address[:3])
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        return made

    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=make_socket))


@asynccontextmanager
async def serving(world, folder: Path, small_buffers: bool = False, **limits):
    """A server of a world."""
    usual = {"pace": 1000.0}
    room = Room(DreamBatch(world), Limits(**usual | limits), folder)
    listener = socket.socket()
    if small_buffers:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
    listener.bind(("127.0.0.1", 0))
    runner = web.AppRunner(make_app(room, TOKEN), shutdown_timeout=2.0)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        async with aiohttp.ClientSession() as client:
            yield Served(room, address, client)
    finally:
        await room.close()
        await runner.cleanup()


def dream_alone(world, start, seed, actions):
    """The frames of a dream that is alone, `[T,H,W,3]`."""
    spawn = world.spawns[start]
    state, made = world.reset(spawn.frames[None], spawn.actions[None], [seed]), []
    for action in actions:
        state, frames = world.step(state, [action])
        made.append(frames[0])
    return np.stack(made)


class Background:
    """A server in a thread of its own, beside a browser that is waited for.

    Attributes:
        address: of the page, with its token.
    """

    def __init__(self, served: Served, loop: asyncio.AbstractEventLoop):
        self._served, self._loop = served, loop
        self.address = f"{served.address}/?token={TOKEN}"

    @property
    def sessions(self):
        """Those in memory."""
        return list(self._served.room.sessions.values())

    def cut(self):
        """Cut every connection, as a network does."""
        for session in self.sessions:
            self._loop.call_soon_threadsafe(session.line.abort)

    def open_elsewhere(self, session):
        """Open a session in a second place."""
        opening = self._served.connect(session=session.id)
        asyncio.run_coroutine_threadsafe(opening, self._loop).result(240)


@contextmanager
def serving_in_background(world, folder: Path, **limits):
    """A server of a world, in a thread."""
    ready, made = threading.Event(), {}

    async def run():
        async with serving(world, folder, **limits) as served:
            made["loop"], made["stop"] = asyncio.get_running_loop(), asyncio.Event()
            made["server"] = Background(served, made["loop"])
            ready.set()
            await made["stop"].wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert ready.wait(240)
    try:
        yield made["server"]
    finally:
        made["loop"].call_soon_threadsafe(made["stop"].set)
        thread.join()


@contextmanager
def serve_process(*options: str, **environment: str):
    """The command `worldsim serve`, and the address that it printed."""
    command = [sys.executable, "-m", "worldsim", "serve", *options, "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | environment
    )
    try:
        for line in process.stdout:
            if "http://" in line:
                break
        else:
            raise AssertionError("the server has ended")
        yield process, line.strip()
    finally:
        if process.poll() is None:
            process.kill()
        process.stdout.close()
        process.wait()
