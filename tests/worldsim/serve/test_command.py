"""The command itself, in a process of its own: killed, started again, stopped."""

import asyncio
import signal
import socket

import aiohttp
import numpy as np

from tests.support.commands import refused
from tests.support.serving import Player, dream_alone, serve_process
from worldsim.world.model import load_world

MOVES = [2, 0, 2, 1, 2, 3]


async def play(address, moves, session=None):
    """Play some moves of one session: its id, and what was shown."""
    place, _, token = address.partition("/?token=")
    query = {"token": token} | ({"session": session} if session else {})
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(f"{place}/play", params=query) as ws,
    ):
        player, frames = Player(ws), []
        welcome = await player.hear()
        player.turn = welcome["turn"]
        if welcome["resumed"]:
            frames.append((await player.frame())[1])
        else:
            await player.begin(0, 4)
        frames += [await player.step(move) for move in moves]
        return welcome["session"], np.stack(frames)


def test_a_server_that_was_killed_goes_on_where_it_was(tiny_spatial_world, tmp_path):
    options = [str(tiny_spatial_world), "--sessions", str(tmp_path), "--starts", "1"]
    wanted = dream_alone(load_world(tiny_spatial_world), 0, 4, MOVES)
    with serve_process(*options) as (process, address):
        session, frames = asyncio.run(play(address, MOVES[:3]))
        assert np.array_equal(frames, wanted[:3])
        process.kill()
    with serve_process(*options) as (process, address):
        again, frames = asyncio.run(play(address, MOVES[3:], session))
        assert again == session
        assert np.array_equal(frames, wanted[2:])
        process.send_signal(signal.SIGTERM)
        said = process.stdout.read()
        assert process.wait(240) == 0
        assert "stopped; 1 session was kept" in said
    assert list(tmp_path.glob("*/*/state-00000006"))


def test_bad_options_get_one_sentence(capsys, tiny_spatial_world, monkeypatch):
    world = str(tiny_spatial_world)
    assert "there is no world 'nowhere'" in refused(capsys, "serve", "nowhere")
    assert "must be a whole number in [1, 256], got '0'" in refused(
        capsys, "serve", world, "--players", "0"
    )
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = refused(capsys, "serve", world, "--port", port, "--starts", "1")
        assert f"127.0.0.1:{port} cannot be listened at" in said
    monkeypatch.setenv("WORLDSIM_TOKEN", "short")
    assert "WORLDSIM_TOKEN must be at least 8 plain letters" in refused(capsys, "serve", world)
