"""The page in a real browser, with dreams that a server makes."""

import os

import numpy as np
import pytest

from tests.support.devtools import find_chromium, open_browser
from tests.support.serving import dream_alone, serve_process, serving_in_background
from worldsim.world.model import load_world
from worldsim.world.opening import open_world

SEED = 5
SHOWN = """(() => {
  const screen = document.getElementById("screen");
  return [...screen.getContext("2d").getImageData(0, 0, screen.width, screen.height).data];
})()"""


@pytest.fixture(scope="module")
def world(tiny_spatial_world):
    return load_world(tiny_spatial_world)


@pytest.fixture(scope="module")
def server(world, tmp_path_factory):
    with serving_in_background(world, tmp_path_factory.mktemp("sessions"), pace=15.0) as server:
        yield server


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    if find_chromium() is None:
        if os.environ.get("CI"):
            pytest.fail("no chromium; CI must have it")
        pytest.skip("no chromium: install it")
    with open_browser(tmp_path_factory.mktemp("browser") / "profile") as tab:
        yield tab


@pytest.fixture
def page(tab, server):
    """The page after two frames of a link's walk."""
    open_walk(tab, server.address)
    return tab


def open_walk(tab, address):
    tab.open("about:blank")
    tab.complaints.clear()
    tab.call("Page.navigate", url=f"{address}#start=0&seed={SEED}&moves=02")
    tab.wait_for("['ready', 'failed'].includes(document.body?.dataset.state)")
    assert tab.evaluate("document.body.dataset.state") == "ready", said(tab)


def said(tab):
    return tab.evaluate("document.getElementById('status').textContent")


def picture(tab, size):
    return np.array(tab.evaluate(SHOWN), np.uint8).reshape(size, size, 4)[..., :3]


def test_keys_move_a_dream_that_the_server_makes(page, world):
    """What is shown is the dream bit for bit, and the address keeps no secret."""
    size, wanted = world.card.frame_size, dream_alone(world, 0, SEED, [0, 2, 2])
    assert page.evaluate("document.body.dataset.frame") == "2"
    assert np.array_equal(picture(page, size), wanted[1])
    page.press("ArrowUp", 38)
    page.wait_for("document.body.dataset.frame === '3'")
    assert np.array_equal(picture(page, size), wanted[2])
    page.evaluate("document.getElementById('link').click()")
    address = page.evaluate("location.href")
    assert address.endswith(f"/#start=0&seed={SEED}&moves=022")
    assert page.complaints == []


def test_a_lost_connection_is_made_again_and_the_walk_goes_on(page, world, server):
    page.evaluate("addEventListener('told', ({ detail }) => (window.heard ??= []).push(detail))")
    server.cut()
    page.press("ArrowUp", 38)
    page.wait_for("document.body.dataset.frame === '3'")
    wanted = dream_alone(world, 0, SEED, [0, 2, 2])[-1]
    assert np.array_equal(picture(page, world.card.frame_size), wanted)
    assert page.evaluate("window.heard.at(-1)") == "Connected again"


def test_a_reload_keeps_the_place(page, server):
    """A tab has one session, however often its page is loaded."""
    before = [session.id for session in server.sessions if session.line is not None]
    page.evaluate("location.reload()")
    page.wait_for("document.body?.dataset.state === 'ready'")
    after = [session.id for session in server.sessions if session.line is not None]
    assert before == after


def test_a_session_that_is_opened_elsewhere_says_so(page, server):
    (session,) = [session for session in server.sessions if session.line is not None]
    server.open_elsewhere(session)
    page.wait_for("document.getElementById('status').textContent.includes('somewhere else')")


MOMENT = """(async () => {
  const { openWorld } = await import("./engine.js");
  const world = await openWorld(new URL("./", location.href));
  const dream = await world.begin(1, 6);
  for (const move of [2, 0, 2]) await dream.step(move);
  const bytes = await dream.save();
  await dream.rewind(1);
  await dream.step(3);
  const said = await world.restore(bytes.slice(0, 9)).catch((error) => error.message);
  const odd = bytes.slice(0, bytes.length - 50);
  const refused = await world.restore(odd).catch((error) => error.message);
  const kept = [...dream.moves];
  const back = await world.restore(bytes);
  const { start, seed, count, earliest } = back;
  const frame = [...(await back.step(2))];
  return { said, refused, kept, start, seed, count, earliest, moves: back.moves, frame };
})()"""


def test_a_saved_moment_is_gone_on_from(page, world):
    """What cannot be read is refused in a sentence, and the dream is as it was."""
    told = page.evaluate(MOMENT)
    size, wanted = world.card.frame_size, dream_alone(world, 1, 6, [2, 0, 2, 2])[-1]
    assert np.array_equal(np.array(told["frame"], np.uint8).reshape(size, size, 3), wanted)
    assert (told["start"], told["seed"], told["count"], told["earliest"]) == (1, 6, 3, 3)
    assert (told["kept"], told["moves"]) == ([2, 3], [2, 0, 2, 2])
    assert "no moment that was saved from a server" in told["said"]
    assert "the file" in told["refused"]


def test_the_page_plays_what_a_server_dreams_without_torch(tab, exported_world, tmp_path):
    """The command with `--runtime onnx`, where torch cannot be imported."""
    (tmp_path / "torch.py").write_text("raise AssertionError('torch is imported')")
    options = [str(exported_world), "--runtime", "onnx", "--starts", "1"]
    world = open_world(exported_world, runtime="onnx")
    with serve_process(*options, PYTHONPATH=str(tmp_path)) as (process, address):
        open_walk(tab, address)
        tab.press("ArrowUp", 38)
        tab.wait_for("document.body.dataset.frame === '3'")
        shown = picture(tab, world.card.frame_size)
        assert process.poll() is None
    assert np.array_equal(shown, dream_alone(world, 0, SEED, [0, 2, 2])[-1])
    assert tab.complaints == []


def test_without_the_token_the_page_is_a_sentence(tab, server):
    tab.call("Network.enable")
    tab.call("Network.clearBrowserCookies")
    tab.open(server.address.partition("?")[0])
    assert "open the address that the server printed" in tab.evaluate("document.body.textContent")
