"""A real server on loopback with a real, if tiny, world: who gets in, and what a player gets."""

import asyncio
import io
import json

import aiohttp
import numpy as np
import pytest

from tests.support.serving import TOKEN, dream_alone, serving, small_client
from worldsim.serve.limits import Limits
from worldsim.world.model import load_world

QUEUE = Limits().queue
MOVES = [2, 0, 2, 1, 2, 3, 2, 0]


def told_as(kind, *names):
    """A function that makes a message of a kind."""
    return lambda *values: {"type": kind} | dict(zip(names, values, strict=True))


step = told_as("step", "turn", "step", "action")
rewind = told_as("rewind", "turn", "step")
begin = told_as("begin", "turn", "start", "seed")


@pytest.fixture(scope="module")
def world(tiny_spatial_world):
    return load_world(tiny_spatial_world)


def play(world, folder, script, **limits):
    """Run a script of a player against a server; fails rather than hang."""

    async def run():
        async with serving(world, folder, **limits) as served:
            return await asyncio.wait_for(script(served), 500)

    return asyncio.run(run())


def test_a_player_gets_the_dream_bit_for_bit(world, tmp_path):
    async def script(served):
        player, welcome = await served.connect()
        assert welcome["world"]["title"] == world.card.title
        assert not welcome["resumed"]
        first = await player.begin(1, 7)
        assert np.array_equal(first, world.spawns[1].frames[-1])
        return await player.walk(MOVES)

    assert np.array_equal(play(world, tmp_path, script), dream_alone(world, 1, 7, MOVES))


def test_four_in_one_batch_are_what_they_are_alone_and_none_waits_longer(world, tmp_path):
    """They come and go at other frames, so the batch is another one again and again."""
    lengths, made = [10, 6, 8, 10], []

    async def one(served, number):
        player, _ = await served.connect()
        await player.begin(number % 3, number)
        frames = []
        for step in range(lengths[number]):
            frames.append(await player.step((step + number) % 4))
            made.append(number)
        return np.stack(frames)

    async def script(served):
        return await asyncio.gather(*(one(served, number) for number in range(4)))

    walked = play(world, tmp_path, script)
    for number, frames in enumerate(walked):
        moves = [(step + number) % 4 for step in range(lengths[number])]
        assert np.array_equal(frames, dream_alone(world, number % 3, number, moves))
    together = made[made.index(max(made, key=made.index)) :]  # from when the last has begun
    while_all_play = together[: 4 * 3]
    counts = [while_all_play.count(number) for number in range(4)]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", "ä"])
@pytest.mark.parametrize("path", ["/", "/page.js", "/play", "/state"])
def test_nobody_gets_in_without_the_token(world, tmp_path, token, path):
    async def script(served):
        query = {} if token is None else {"token": token}
        async with served.client.get(served.address + path, params=query) as answer:
            assert answer.status == 403
            assert "open the address that the server printed" in await answer.text()
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await served.client.ws_connect(f"{served.address}/play", params=query)

    play(world, tmp_path, script)


def test_the_page_lets_its_own_files_in_and_no_other_page(world, tmp_path):
    async def script(served):
        get = served.client.get
        async with get(served.address, params={"token": TOKEN}) as answer:
            cookie = answer.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
        async with get(f"{served.address}/engine.js", headers={"Cookie": cookie}) as answer:
            assert answer.headers["Content-Type"] == "text/javascript"
            assert "WebSocket" in await answer.text()
        foreign = {"Cookie": cookie, "Origin": "http://elsewhere"}
        async with get(f"{served.address}/play", headers=foreign) as answer:
            assert answer.status == 403
            assert "another server" in await answer.text()
        async with get(f"{served.address}/nothing", headers={"Cookie": cookie}) as answer:
            assert answer.status == 404

    play(world, tmp_path, script)


@pytest.mark.parametrize(
    ("message", "code", "sentence"),
    [
        ("{", "not_json", "must be JSON"),
        ("[" * 3000, "not_json", "must be JSON"),
        ("[]", "unknown_message", "type must be one of begin, step, rewind, got None"),
        ('{"type": "fly"}', "unknown_message", "got 'fly'"),
        ('{"type": []}', "unknown_message", "got []"),
        ('{"type": "step", "turn": 1}', "unknown_message", "must have type, turn, step, action"),
        (
            {"type": "step", "turn": 1, "step": 1, "action": 4},
            "bad_number",
            "action must be in [0, 3]",
        ),
        (
            {"type": "step", "turn": 1, "step": 1, "action": True},
            "bad_number",
            "action must be a whole",
        ),
        (step(1, 2, 0), "out_of_order", "step must be 1"),
        (step(2, 1, 0), "out_of_order", "turn must be 1"),
        (rewind(1, 1), "bad_number", "step must be in [0, 0], got 1"),
        (
            {"type": "begin", "turn": 2, "start": 3, "seed": 0},
            "bad_number",
            "start must be in [0, 2]",
        ),
        (
            {"type": "begin", "turn": 1, "start": 1, "seed": 0},
            "out_of_order",
            "began from elsewhere",
        ),
        (
            {"type": "begin", "turn": 2, "start": 0, "seed": 2**53},
            "bad_number",
            "seed must be a whole",
        ),
        (" " * 5000, "too_large", "a message must have at most 4096 bytes"),
        (b"\0", "unknown_message", "must be text, got bytes"),
    ],
)
def test_a_bad_message_gets_one_sentence_and_nothing_is_lost(
    world, tmp_path, message, code, sentence
):
    async def script(served):
        player, _ = await served.connect()
        await player.begin(0, 5)
        if isinstance(message, bytes):
            await player.socket.send_bytes(message)
        else:
            text = message if isinstance(message, str) else json.dumps(message)
            await player.socket.send_str(text)
        told = await player.hear()
        assert told["code"] == code
        assert sentence in told["message"]
        return await player.walk(MOVES[:2])

    assert np.array_equal(play(world, tmp_path, script), dream_alone(world, 0, 5, MOVES[:2]))


def test_an_enormous_message_ends_the_connection_and_not_the_session(world, tmp_path):
    async def script(served):
        player, welcome = await served.connect()
        await player.begin(0, 5)
        await player.step(2)
        await player.socket.send_str("x" * (1 << 20))
        closed = await player.socket.receive()
        assert closed.data == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        player, welcome = await served.connect(session=welcome["session"])
        assert welcome["resumed"]
        assert (await player.frame())[0] == 1

    play(world, tmp_path, script)


def test_a_step_that_comes_twice_is_made_once(world, tmp_path):
    async def script(served):
        player, _ = await served.connect()
        await player.begin(0, 5)
        first = await player.step(2)
        await player.send(type="step", turn=1, step=1, action=0)
        assert np.array_equal((await player.frame())[1], first)
        await player.send(type="begin", turn=1, start=0, seed=5)
        assert np.array_equal((await player.frame())[1], first)

    play(world, tmp_path, script)


def test_a_client_that_vanishes_in_a_step_resumes(world, tmp_path):
    """Its connection is cut while a frame is made; the same step asked again is made once."""

    async def script(served):
        player, welcome = await served.connect()
        await player.begin(2, 3)
        frames = list(await player.walk(MOVES[:3]))
        await player.send(type="step", turn=1, step=4, action=MOVES[3])
        player.socket._response.connection.transport.abort()
        player, welcome = await served.connect(session=welcome["session"])
        assert welcome["resumed"]
        number, newest = await player.frame()
        began = player.heard[-1]
        assert (began["start"], began["seed"], began["count"]) == (2, 3, number)
        if number == 3:  # the step was lost with the connection
            assert np.array_equal(newest, frames[-1])
            frames.append(await player.step(MOVES[3]))
        else:
            frames.append(newest)
        return np.stack([*frames, *(await player.walk(MOVES[4:]))])

    assert np.array_equal(play(world, tmp_path, script), dream_alone(world, 2, 3, MOVES))


def test_a_session_opened_again_leaves_its_former_connection(world, tmp_path):
    async def script(served):
        former, welcome = await served.connect()
        await former.begin(0, 1)
        player, again = await served.connect(session=welcome["session"])
        closed = await former.socket.receive()
        assert (closed.data, closed.extra) == (4001, "this session was opened somewhere else")
        assert again["session"] == welcome["session"]
        await player.frame()
        await player.step(2)

    play(world, tmp_path, script)


def test_a_client_that_does_not_read_is_waited_for_and_nobody_else(world, tmp_path, monkeypatch):
    """Frames and steps that wait for it are few, whatever it asks; then it gets every frame."""
    asked = 5000  # enough to fill whatever the system keeps
    monkeypatch.setattr("worldsim.serve.app.BEAT", 3600.0)  # it gives no sign of life either

    async def script(served):
        async with small_client() as client:
            slow, welcome = await served.connect(client)
            await neglect(served, slow, welcome["session"])

    async def neglect(served, slow, session_id):
        other, _ = await served.connect()
        await slow.begin(0, 1)
        await other.begin(0, 2)
        session = served.room.sessions[session_id]
        slow.socket._response.connection.transport.pause_reading()
        step = 0
        while len(session.out) < QUEUE - 1:  # and one is on its way
            step += 1
            assert step < asked
            await slow.send(type="step", turn=1, step=step, action=2)
            while session.dream.made < step and len(session.out) < QUEUE - 1:
                await asyncio.sleep(0.002)
        for _ in range(3):  # what is asked beyond that is not kept
            for number in range(50):
                await slow.send(
                    type="step", turn=1, step=session.dream.count + 1, action=number % 4
                )
            await other.step(2)
        assert len(session.out) <= QUEUE
        assert len(session.awaited) <= QUEUE
        made = session.dream.made
        slow.socket._response.connection.transport.resume_reading()
        numbers = []
        while len(numbers) < made:
            told = await slow.hear()
            numbers += [told[1]] if isinstance(told, tuple) else []
        assert numbers == list(range(1, made + 1))

    play(world, tmp_path, script, small_buffers=True)


def test_more_players_than_places_are_told(world, tmp_path):
    """Who has left makes room, and finds the session on the disk."""

    async def script(served):
        first, welcome = await served.connect()
        await first.begin(0, 1)
        frames = list(await first.walk(MOVES[:4]))
        second, _ = await served.connect()
        third, told = await served.connect()
        assert told["code"] == "full"
        assert "all 2 places are taken" in told["message"]
        assert (await third.socket.receive()).data == 4003
        assert not second.socket.closed
        await first.socket.close()
        third, told = await served.connect()
        assert told["type"] == "welcome"
        assert welcome["session"] not in served.room.sessions
        await third.socket.close()
        again, told = await served.connect(session=welcome["session"])
        assert told["resumed"]
        assert np.array_equal((await again.frame())[1], frames[-1])
        return np.stack([*frames, *(await again.walk(MOVES[4:]))])

    walked = play(world, tmp_path, script, players=2)
    assert np.array_equal(walked, dream_alone(world, 0, 1, MOVES))


def test_who_asks_for_nothing_is_disconnected_and_resumes(world, tmp_path):
    async def script(served):
        player, welcome = await served.connect()
        await player.begin(0, 1)
        closed = await player.socket.receive(timeout=60)
        assert closed.data == 4002
        assert "nothing was asked for 2 seconds" in closed.extra
        while served.room.sessions:
            await asyncio.sleep(0.05)
        player, told = await served.connect(session=welcome["session"])
        assert told["resumed"]
        assert (await player.frame())[0] == 0

    play(world, tmp_path, script, idle=2.0)


def test_going_back_and_another_way(world, tmp_path):
    other = [1, 1, 2]

    async def script(served):
        player, _ = await served.connect()
        await player.begin(0, 9)
        frames = await player.walk(MOVES)
        await player.send(type="rewind", turn=1, step=3)
        number, frame = await player.frame()
        assert number == 3
        assert np.array_equal(frame, frames[2])
        return await player.walk(other)

    wanted = dream_alone(world, 0, 9, [*MOVES[:3], *other])[3:]
    assert np.array_equal(play(world, tmp_path, script), wanted)


def test_a_moment_is_fetched_and_brought_back(world, tmp_path):
    async def script(served):
        player, welcome = await served.connect()
        await player.begin(0, 9)
        await player.walk(MOVES[:3])
        where = f"{served.address}/state"
        query = {"token": TOKEN, "session": welcome["session"]}
        async with served.client.get(where, params=query) as answer:
            assert answer.status == 200
            moment = await answer.read()
        async with served.client.post(where, params=query, data=moment[:-9]) as answer:
            told = await answer.json()
            assert (answer.status, told["code"]) == (400, "bad_state")
            assert "the file" in told["message"]
            assert str(tmp_path) not in told["message"]
        huge = io.BytesIO(bytes(8 << 20))
        async with served.client.post(where, params=query, data=huge) as answer:
            assert (await answer.json())["code"] == "too_large"
        async with served.client.get(where, params=query | {"session": "x"}) as answer:
            assert (await answer.json())["code"] == "no_session"
        other, welcome = await served.connect()
        query["session"] = welcome["session"]
        async with served.client.post(where, params=query, data=moment) as answer:
            assert answer.status == 200, await answer.text()
        other.turn += 1
        assert (await other.frame())[0] == 3
        assert other.heard[-1]["start"] is None
        return await other.walk(MOVES[3:])

    assert np.array_equal(play(world, tmp_path, script), dream_alone(world, 0, 9, MOVES)[3:])


def test_a_format_that_is_unknown(world, tmp_path):
    async def script(served):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await served.connect(format="gif")
        query = {"token": TOKEN, "format": "gif"}
        async with served.client.get(f"{served.address}/play", params=query) as answer:
            assert "format must be one of png, jpeg, webp, got 'gif'" in await answer.text()

    play(world, tmp_path, script)


def test_a_session_that_is_not_there_becomes_a_new_one(world, tmp_path):
    async def script(served):
        for session in ("x", "A" * 24, "../../../../etc/passwd-xx"):
            _, welcome = await served.connect(session=session)
            assert welcome["session"] != session
            assert not welcome["resumed"]
            assert "session" in welcome["why"]

    play(world, tmp_path, script)
