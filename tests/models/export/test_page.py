"""The page in a real browser: what it computes is what Python does, and a player's keys move it."""

import base64
import json
import os
from pathlib import Path

import numpy as np
import pytest

from models.export.page import build_page, trim_memory
from models.onnx_runtime.noise import draw_frame_noise
from models.onnx_runtime.world import load_world
from tests.support.commands import refused
from tests.support.devtools import find_chromium, open_browser, serve

ROOT = Path(__file__).resolve().parents[3]
LIBRARY = ROOT / "node_modules" / "onnxruntime-web"
MOVES = [0, 2, 2, 1, 2, 0, 3, 2, 2, 1, 1, 2]
SEED = 5


def lacking(what):
    if os.environ.get("CI"):
        pytest.fail(f"{what}; CI must have it")
    pytest.skip(what)


@pytest.fixture(scope="module")
def site(exported_world, tmp_path_factory):
    """The folder that is served; the page lies in a folder of it, as on a host for many pages."""
    if not LIBRARY.is_dir():
        lacking("no onnxruntime-web: npm install")
    folder = tmp_path_factory.mktemp("site")
    build_page(exported_world, folder / "some" / "page", "float32", 2, LIBRARY, lambda _: None)
    return folder


@pytest.fixture(scope="module")
def address(site):
    with serve(site) as host:
        yield f"{host}/some/page/"


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    if find_chromium() is None:
        lacking("no chromium: install it")
    with open_browser(tmp_path_factory.mktemp("browser") / "profile") as tab:
        yield tab


@pytest.fixture
def page(tab, address):
    """The page, ready to be played."""
    tab.open("about:blank")
    tab.complaints.clear()
    tab.open(f"{address}#start=0&seed={SEED}&moves=02")
    tab.wait_for("['ready', 'failed'].includes(document.body?.dataset.state)")
    assert tab.evaluate("document.body.dataset.state") == "ready", tab.evaluate(
        "document.getElementById('status').textContent"
    )
    return tab


@pytest.fixture(scope="module")
def world(exported_world):
    return load_world(exported_world)


def begin(world):
    spawn = world.spawns[0]
    return world.reset(spawn.frames[None], spawn.actions[None], [SEED])


def dream(world, moves):
    state, made = begin(world), []
    for move in moves:
        state, frames = world.step(state, [move])
        made.append(frames[0])
    return np.stack(made), state


SHOWN = """(() => {
  const screen = document.getElementById("screen");
  const { data } = screen.getContext("2d").getImageData(0, 0, screen.width, screen.height);
  return Array.from(data);
})()"""


def picture(tab, size):
    return np.array(tab.evaluate(SHOWN), np.uint8).reshape(size, size, 4)[..., :3]


def unlike(ours, theirs):
    """The share of numbers that differ by more than two grey levels."""
    return float((np.abs(ours.astype(int) - theirs) > 2).mean())


def test_noise_is_that_of_python(page):
    for count in (0, 1, 1000):
        told = page.evaluate(
            f"import('./noise.js').then((m) => [...m.drawFrameNoise({SEED}, {count}, 1024)])"
        )
        wanted = draw_frame_noise(SEED, count, (16, 8, 8)).ravel()
        np.testing.assert_allclose(told, wanted, atol=2e-6)


def test_half_precision_is_that_of_numpy(page):
    numbers = np.random.default_rng(0).uniform(0.03, 20, 1000).astype(np.float32)
    halves = numbers.astype(np.float16)
    bits = halves.view(np.uint16).tolist()
    both = f"[{numbers.tolist()}.map(m.roundToHalf), {bits}.map(m.readHalf)]"
    rounded, read = page.evaluate(f"import('./arrays.js').then((m) => {both})")
    assert np.array_equal(rounded, halves.astype(float))
    assert np.array_equal(read, halves.astype(float))


DREAM = """(async () => {
  const { openWorld } = await import("./world.js");
  const dream = await (await openWorld(new URL("./", location.href))).begin(0, %d);
  const frames = [];
  for (const move of %s) frames.push(btoa(String.fromCharCode(...await dream.step(move))));
  return { frames, pose: [...dream.pose], held: [...dream.bank.ids].map(Number),
           cached: [...dream.cache.ids], visible: [...dream.cache.visible()] };
})()"""


def test_the_same_dream_as_in_python(page, world):
    """The frames, and what is remembered of them where."""
    told = page.evaluate(DREAM % (SEED, json.dumps(MOVES)))
    wanted, state = dream(world, MOVES)
    frames = [np.frombuffer(base64.b64decode(frame), np.uint8) for frame in told["frames"]]
    assert unlike(np.stack(frames).reshape(wanted.shape), wanted) < 0.01
    carry = state.carry
    np.testing.assert_allclose(told["pose"], carry.pose[0], atol=1e-3)
    assert told["held"] == carry.bank.ids[0].tolist()
    assert told["cached"] == carry.cache.ids[0].tolist()
    assert told["visible"] == carry.cache.visible(world.dynamics.spans, 0)[0].astype(int).tolist()


def test_a_link_replays_its_walk(page, world):
    wanted, _ = dream(world, [0, 2])
    assert page.evaluate("document.body.dataset.frame") == "2"
    assert unlike(picture(page, world.card.frame_size), wanted[-1]) < 0.01


def test_keys_move_the_dream_and_the_link_says_how(page, world):
    before = picture(page, world.card.frame_size)
    page.press("ArrowUp", 38)
    page.wait_for("document.body.dataset.frame === '3'")
    assert not np.array_equal(picture(page, world.card.frame_size), before)
    page.press("x", 88)
    page.evaluate("document.getElementById('link').click()")
    assert page.evaluate("location.hash") == f"#start=0&seed={SEED}&moves=022"
    assert page.complaints == []


def test_another_start_and_the_same_again(page):
    page.evaluate("document.getElementById('again').click()")
    page.wait_for("document.body.dataset.frame === '0'")
    assert page.evaluate("document.getElementById('starts').length") == 2


def test_a_page_without_its_weights_says_so(tab, site, address):
    kept = site / "some" / "page" / "weights.bin.gz"
    kept.rename(kept.with_suffix(".away"))
    try:
        tab.open("about:blank")
        tab.open(address)
        tab.wait_for("document.body?.dataset.state === 'failed'")
        told = tab.evaluate("document.getElementById('status').textContent")
        assert "weights.bin.gz cannot be fetched (404)" in told
    finally:
        kept.with_suffix(".away").rename(kept)


def test_only_slots_in_use_are_written(world):
    arrays = begin(world).carry.tensors()
    trimmed = trim_memory(arrays)
    used = trimmed["bank.ids"].shape[1]
    assert (trimmed["bank.ids"] >= 0).all()
    assert (arrays["bank.ids"][:, used:] == -1).all()
    assert trimmed["bank.rgba"].shape[1] == used


def test_without_the_library_the_command_says_how_to_get_it(capsys, tmp_path, exported_world):
    told = ["--out", str(tmp_path / "site"), "--library", str(tmp_path)]
    assert "npm install onnxruntime-web@" in refused(capsys, "page", str(exported_world), *told)
    assert list(tmp_path.iterdir()) == []
