"""`worldsim serve`: play a world in a browser that a computer elsewhere dreams, alone or with
others, as in `worldsim serve dmlab`.
"""

import argparse
import asyncio
import os
import secrets
import signal
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from worldsim.arguments import at_most, between, parse_count_to
from worldsim.serve.limits import Limits

HOST, PORT = "127.0.0.1", 8765
TOKEN = "WORLDSIM_TOKEN"
LEAST_TOKEN = 8
SEND_BUFFER = 1 << 16  # bytes that the system keeps for a client that does not read


def main(argv: list[str] | None = None) -> int:
    """Serve a world until it is stopped.

    Returns:
        The exit status.

    Raises:
        ValueError: no such world, one without starts, or a port that is taken.
        ImportError: aiohttp is not installed.
    """
    options = parse(argv)
    try:
        import aiohttp  # noqa: F401
    except ImportError:
        raise ImportError("worldsim serve needs aiohttp: pip install 'worldsim[serve]'") from None
    token = _choose_token()
    with tempfile.TemporaryDirectory(prefix="worldsim-serve-") as scratch:
        folder = options.sessions or Path(scratch)
        with _listen(options.host, options.port) as listener:  # before what takes seconds
            batch = _open(options)
            lasting = options.sessions is not None
            return asyncio.run(_serve(batch, _limits(options), folder, listener, token, lasting))


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line as options."""
    usual = Limits()
    parser = argparse.ArgumentParser(
        prog="worldsim serve",
        description="Let players in browsers play a world that is dreamt here.",
    )
    add = parser.add_argument
    add("world", metavar="WORLD", help="a bundled world, a world's folder, or an exported one")
    add(
        "--host", default=HOST, help="the address to listen at; 0.0.0.0: all (default: %(default)s)"
    )
    add("--port", type=at_most(65535), default=PORT, help="0: any (default: %(default)s)")
    add("--players", type=parse_count_to(256), default=usual.players, metavar="N",
        help="sessions at once (default: %(default)s)")  # fmt: skip
    add("--pace", type=between(0.1, 240), default=usual.pace, metavar="N",
        help="frames a second of one player at most (default: %(default)s)")  # fmt: skip
    add("--idle", type=between(1, 86400), default=usual.idle, metavar="SECONDS",
        help="after which a silent connection is closed (default: %(default)s)")  # fmt: skip
    add("--sessions", type=Path, metavar="DIR",
        help="where sessions outlive the server (default: nowhere)")  # fmt: skip
    add("--starts", type=parse_count_to(64), default=4, metavar="N",
        help="starts that are taken in before anybody comes (default: %(default)s)")  # fmt: skip
    add("--steps", type=int, choices=(1, 2, 4, 8), help="sampler steps (default: the world's)")
    add("--device", default="cpu", help="where the network runs (default: %(default)s)")
    add("--runtime", default="torch", help="torch, or onnx for what `worldsim export` wrote")
    return parser.parse_args(argv)


def _limits(options: argparse.Namespace) -> Limits:
    return Limits(players=options.players, pace=options.pace, idle=options.idle)


def _choose_token() -> str:
    """A secret that lets players in: a new one, unless the environment names one."""
    given = os.environ.get(TOKEN)
    if given is None:
        return secrets.token_urlsafe(18)
    if len(given) < LEAST_TOKEN or not given.isascii() or not given.isprintable():
        raise ValueError(f"{TOKEN} must be at least {LEAST_TOKEN} plain letters, got {len(given)}")
    return given


def _open(options: argparse.Namespace) -> Any:
    from worldsim.serve.dreams import DreamBatch
    from worldsim.world.opening import open_world

    world = open_world(options.world, options.device, options.runtime)
    if not world.spawns:
        raise ValueError(f"{world.card.name} has no starts, so nobody can begin: serve another")
    batch = DreamBatch(world, options.steps)
    for start, spawn in enumerate(world.spawns[: options.starts]):
        print(f"taking in {spawn.name}", flush=True)
        batch.take_in(start)
    if options.runtime == "torch" and options.device == "cpu":
        from worldsim.threads import settle_threads

        settle_threads(lambda: world.step(batch.open_start(0, 0)[0], [0], options.steps))
    return batch


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        listener.bind((host, port))
        listener.listen()
    except (OSError, UnicodeError) as error:
        listener.close()
        told = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"{host}:{port} cannot be listened at ({told}): give another") from None
    return listener


def _count(kept: int) -> str:
    return "1 session was kept" if kept == 1 else f"{kept} sessions were kept"


async def _serve(
    batch: Any, limits: Limits, folder: Path, listener: socket.socket, token: str, lasting: bool
) -> int:
    from aiohttp import web

    from worldsim.serve.app import make_app
    from worldsim.serve.room import Room

    room = Room(batch, limits, folder)
    runner = web.AppRunner(make_app(room, token), access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    stopped = _stop_on_signals()
    print(f"{batch.world.card.title}, for {limits.players} players at most. Open", flush=True)
    print(f"    {_address(listener)}/?token={token}", flush=True)
    print("Ctrl+C stops it.", flush=True)
    try:
        waits = [asyncio.create_task(one.wait()) for one in (stopped, room.ended)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        kept = await room.close()
        await runner.cleanup()
        print(f"stopped; {_count(kept)} in {folder}" if lasting else "stopped", flush=True)
    return 0


def _stop_on_signals() -> asyncio.Event:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows: Ctrl+C ends the loop instead
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
