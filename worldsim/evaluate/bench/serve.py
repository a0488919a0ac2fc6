"""How long players of a server wait for their frames, and whether some wait longer than others:
`worldsim serve` in a process of its own, and players over loopback that ask for the next frame as
soon as they have one. Measures; prints nothing.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from worldsim.serve.protocol import HEADER

WARM_UP = 2  # frames of each player whose latency does not count
PERCENTILES = (50, 95, 99)


@dataclass
class Count:
    """What one player got.

    Attributes:
        waited: milliseconds from asking for a frame to having it.
    """

    waited: list[float] = field(default_factory=list)


def time_players(
    world: str, players: int, rounds: int, options: Sequence[str] = ()
) -> dict[str, Any]:
    """Let players play until they have so many frames each, on average.

    Args:
        world: a bundled world's name, or a world's folder.
        players: how many.
        rounds: frames a player.
        options: others of `worldsim serve`.

    Returns:
        `players`, `frames` of all together, `per_s`, `cpu_ms` of the server's processor time a
        frame (None where the system does not tell), `latency` in ms by percentile, `fewest` and
        `most` frames that one of them got, and `fairness`, Jain's index: 1 where all got the same,
        1 / players where one got everything.

    Raises:
        ValueError: the server did not start; what it said stands on the terminal.
    """
    usual = ["--players", str(players), "--pace", "240", "--starts", "1", "--port", "0"]
    with _serve([world, *usual, *options]) as (process, address):
        counts, seconds, cpu = asyncio.run(_play_all(process, address, players, rounds))
    return summarize_players(counts, seconds, cpu)


def summarize_players(
    counts: Sequence[Count], seconds: float, cpu: float | None = None
) -> dict[str, Any]:
    """What `time_players` gives."""
    made = np.array([len(count.waited) for count in counts], float)
    warm = [count.waited[min(WARM_UP, len(count.waited) - 1) :] for count in counts]
    waited = np.concatenate([part for part in warm if part])
    told = {f"p{p}_ms": round(float(np.percentile(waited, p)), 1) for p in PERCENTILES}
    return {
        "players": len(counts),
        "frames": int(made.sum()),
        "per_s": round(made.sum() / seconds, 2),
        "cpu_ms": cpu and round(1000 * cpu / made.sum(), 1),
        "latency": told,
        "fewest": int(made.min()),
        "most": int(made.max()),
        "fairness": round(float(made.sum() ** 2 / (len(made) * (made**2).sum())), 4),
    }


@contextmanager
def _serve(options: Sequence[str]) -> Iterator[tuple[int, str]]:
    """A server's process and address."""
    command = [sys.executable, "-m", "worldsim", "serve", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        address = next((line.strip() for line in process.stdout if "http://" in line), None)
        if address is None:
            raise ValueError("worldsim serve did not start: see what it says above")
        yield process.pid, address
    finally:
        process.terminate()
        process.communicate()


async def _play_all(
    process: int, address: str, players: int, rounds: int
) -> tuple[list[Count], float, float | None]:
    """What each player got, in how many seconds, and how many of the server's processor time."""
    import aiohttp

    place, _, token = address.partition("/?token=")
    counts = [Count() for _ in range(players)]
    goal, began = players * rounds, asyncio.Event()
    async with aiohttp.ClientSession(f"{place}/") as client:
        sockets = [await _begin(client, token, seed) for seed in range(players)]
        tasks = [
            asyncio.create_task(_play(socket, seed, counts, goal, began))
            for seed, socket in enumerate(sockets)
        ]
        await asyncio.sleep(0)
        start, spent = time.perf_counter(), _cpu_seconds(process)
        began.set()
        await asyncio.gather(*tasks)
        seconds, now = time.perf_counter() - start, _cpu_seconds(process)
    cpu = None if spent is None or now is None else now - spent
    return counts, seconds, cpu


def _cpu_seconds(process: int) -> float | None:
    """Processor time of a process so far; None where /proc does not tell."""
    try:
        with open(f"/proc/{process}/stat", encoding="ascii", errors="replace") as file:
            told = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


async def _begin(client: Any, token: str, seed: int) -> Any:
    socket = await client.ws_connect("play", params={"token": token})
    await socket.send_str(json.dumps({"type": "begin", "turn": 1, "start": 0, "seed": seed}))
    await _next_frame(socket)
    return socket


async def _play(
    socket: Any, seed: int, counts: list[Count], goal: int, began: asyncio.Event
) -> None:
    """Ask for frames until all players together have enough."""
    rng, mine, step = np.random.default_rng(seed), counts[seed], 0
    await began.wait()
    while sum(len(count.waited) for count in counts) < goal:
        step += 1
        asked, action = time.perf_counter(), int(rng.integers(3))
        message = {"type": "step", "turn": 1, "step": step, "action": action}
        await socket.send_str(json.dumps(message))
        assert await _next_frame(socket) == step
        mine.waited.append(1000 * (time.perf_counter() - asked))


async def _next_frame(socket: Any) -> int:
    """Wait for a frame; its number."""
    while True:
        message = await socket.receive()
        if isinstance(message.data, bytes):
            return HEADER.unpack_from(message.data)[-1]
        told = json.loads(message.data)
        if told["type"] == "error":
            raise ValueError(f"the server refused: {told['message']}")
