"""The page in a real browser: what it computes is what Python does, and a player's keys move it."""

import base64
import io
import json
import os
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from models.export.page import trim_memory
from models.onnx_runtime.noise import draw_frame_noise
from tests.support.commands import refused
from tests.support.pages import SEED, begin, dream, open_page, picture, told, unlike

MOVES = [0, 2, 2, 1, 2, 0, 3, 2, 2, 1, 1, 2]


def test_noise_is_that_of_python(page):
    for count in (0, 1, 1000):
        found = page.evaluate(
            f"import('./noise.js').then((m) => [...m.drawFrameNoise({SEED}, {count}, 1024)])"
        )
        wanted = draw_frame_noise(SEED, count, (16, 8, 8)).ravel()
        np.testing.assert_allclose(found, wanted, atol=2e-6)


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
    found = page.evaluate(DREAM % (SEED, json.dumps(MOVES)))
    wanted, state = dream(world, MOVES)
    frames = [np.frombuffer(base64.b64decode(frame), np.uint8) for frame in found["frames"]]
    assert unlike(np.stack(frames).reshape(wanted.shape), wanted) < 0.01
    carry = state.carry
    np.testing.assert_allclose(found["pose"], carry.pose[0], atol=1e-3)
    assert found["held"] == carry.bank.ids[0].tolist()
    assert found["cached"] == carry.cache.ids[0].tolist()
    assert found["visible"] == carry.cache.visible(world.dynamics.spans, 0)[0].astype(int).tolist()


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


WHERE = """(() => {
  const { x, y, width } = document.getElementById("screen").getBoundingClientRect();
  return [x, y, width];
})()"""


def test_a_screenshot_shows_the_frame(page, world):
    """The picture that is drawn is what a person sees, large enough to play."""
    png = base64.b64decode(page.call("Page.captureScreenshot")["data"])
    if kept := os.environ.get("WORLDSIM_SCREENSHOTS"):
        Path(kept, "browser.png").write_bytes(png)
    shot = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    left, top, width = page.evaluate(WHERE)
    size = world.card.frame_size
    middles = (np.arange(size) + 0.5) * width / size
    rows, columns = (top + middles).astype(int), (left + middles).astype(int)
    assert width > 4 * size
    assert unlike(shot[rows][:, columns], picture(page, size)) < 0.01


def test_another_start_and_the_same_again(page):
    page.evaluate("document.getElementById('again').click()")
    page.wait_for("document.body.dataset.frame === '0'")
    assert page.evaluate("document.getElementById('starts').length") == 2


def test_a_page_without_its_weights_says_so(tab, site, address):
    kept = site / "some" / "page" / "weights.bin.gz"
    kept.rename(kept.with_suffix(".away"))
    try:
        assert open_page(tab, address) == "failed"
        assert "weights.bin.gz cannot be fetched (404)" in told(tab)
    finally:
        kept.with_suffix(".away").rename(kept)


def test_a_damaged_file_is_named(tab, site, address):
    for name in ("weights.bin.gz", "denoise.onnx.gz"):
        path = site / "some" / "page" / name
        whole = path.read_bytes()
        damaged = bytearray(whole)
        damaged[len(whole) // 2] ^= 1
        path.write_bytes(damaged)
        try:
            assert open_page(tab, address) == "failed"
            assert f"{name} is damaged" in told(tab)
        finally:
            path.write_bytes(whole)


def test_a_page_of_another_version_or_without_its_facts_says_so(tab, site, address):
    path = site / "some" / "page" / "page.json"
    whole = path.read_text()
    newer = json.dumps(json.loads(whole) | {"version": 99})
    wanted = {newer: "page.json has version 99, this page plays", whole[:-99]: "is damaged"}
    later = path.stat().st_mtime_ns
    try:
        for text, sentence in wanted.items():
            path.write_text(text)
            later += 2 * 10**9  # a server goes by the time of change to the second
            os.utime(path, ns=(later, later))
            assert open_page(tab, address) == "failed"
            assert sentence in told(tab)
    finally:
        path.write_text(whole)
        os.utime(path, ns=(later + 2 * 10**9,) * 2)


def test_an_older_file_that_the_browser_keeps_is_fetched_anew(tab, site, address):
    """A server that goes by the time of change to the second takes both for the same file."""
    path = site / "some" / "page" / "denoise.onnx.gz"
    whole, later = path.read_bytes(), path.stat().st_mtime_ns + 2 * 10**9  # so it is fetched once
    path.write_bytes(bytes(len(whole)))
    os.utime(path, ns=(later, later))
    try:
        assert open_page(tab, address) == "failed"
    finally:
        path.write_bytes(whole)
        os.utime(path, ns=(later, later))
    assert open_page(tab, address) == "ready", told(tab)


def test_a_lost_connection_and_an_unpacked_file(page, site):
    """A host may have the browser unpack files; that is the same file."""
    read = "import('./files.js').then((m) => m.readFile(%s).then((b) => b.byteLength, String))"
    gone = page.evaluate(read % "new URL('http://127.0.0.1:1/'), 'weights.bin'")
    assert "weights.bin cannot be fetched: there is no connection" in gone
    (site / "some" / "page" / "plain.gz").write_bytes(b"abc")
    facts = f"{{ bytes: 3, crc32: {zlib.crc32(b'abc')}, packed: true }}"
    assert page.evaluate(read % f"location.href, 'plain', {facts}") == 3


@contextmanager
def lacking(tab, owner, name):
    """A browser that does not have something."""
    source = f"Object.defineProperty({owner}, {name!r}, {{ value: undefined }})"
    script = tab.call("Page.addScriptToEvaluateOnNewDocument", source=source)
    yield
    tab.call("Page.removeScriptToEvaluateOnNewDocument", **script)


def test_an_old_browser_is_told(tab, address):
    with lacking(tab, "self", "DecompressionStream"):
        assert open_page(tab, address) == "failed"
    assert "this browser is too old" in told(tab)


def test_without_webgpu_it_falls_back_and_says_so(tab, address):
    with lacking(tab, "Navigator.prototype", "gpu"):
        assert open_page(tab, f"{address}?provider=webgpu#start=0&seed={SEED}&moves=0") == "ready"
    assert told(tab).startswith("There is no WebGPU here, so WebAssembly computes.")


@contextmanager
def forgetting(tab, address, cores):
    """A browser of so many cores that has never seen the page."""
    origin = address.partition("/some/")[0]
    tab.call("Storage.clearDataForOrigin", origin=origin, storageTypes="service_workers")
    usual = tab.evaluate("navigator.hardwareConcurrency")
    tab.call("Emulation.setHardwareConcurrencyOverride", hardwareConcurrency=cores)
    yield
    tab.call("Emulation.setHardwareConcurrencyOverride", hardwareConcurrency=usual)


def test_threads_share_memory_where_the_host_sends_no_headers(tab, address, world):
    """The page loads itself once more with the headers; its dream is the same."""
    walk = f"#start=0&seed={SEED}&moves=022"
    wanted, _ = dream(world, [0, 2, 2])
    with forgetting(tab, address, cores=2):
        assert open_page(tab, f"{address}{walk}") == "ready", told(tab)
        assert tab.evaluate("[crossOriginIsolated, document.body.dataset.threads]") == [True, "2"]
        assert unlike(picture(tab, world.card.frame_size), wanted[-1]) < 0.01
        assert open_page(tab, f"{address}?threads=1{walk}") == "ready", told(tab)
    assert tab.evaluate("document.body.dataset.threads") == "1"
    assert tab.complaints == []


def test_a_page_that_cannot_be_isolated_plays_with_one_thread(tab, address):
    walk = f"#start=0&seed={SEED}&moves=0"
    with forgetting(tab, address, cores=2), lacking(tab, "Navigator.prototype", "serviceWorker"):
        assert open_page(tab, f"{address}{walk}") == "ready", told(tab)
    assert tab.evaluate("[crossOriginIsolated, document.body.dataset.threads]") == [False, "1"]
    assert tab.evaluate("document.body.dataset.frame") == "1"


ADAPTER = "Object.defineProperty(navigator, 'gpu', { value: { requestAdapter: async () => ({}) } })"


def test_webgpu_that_cannot_be_used_falls_back_and_says_so(tab, address):
    """An adapter is there, and the build that knows it is not."""
    script = tab.call("Page.addScriptToEvaluateOnNewDocument", source=ADAPTER)
    try:
        opened = open_page(tab, f"{address}?provider=webgpu#start=0&seed={SEED}&moves=0")
    finally:
        tab.call("Page.removeScriptToEvaluateOnNewDocument", **script)
    assert opened == "ready", told(tab)
    assert told(tab).startswith("WebGPU cannot be used (ort/ort.webgpu.min.mjs cannot be fetched")
    assert "so WebAssembly computes. Hold a key" in told(tab)


def test_a_link_with_parts_that_do_not_fit_says_so(tab, address):
    assert open_page(tab, f"{address}#start=99&seed={SEED}&moves=0z") == "ready"
    assert told(tab).startswith("What does not fit this world was left out of the link.")
    assert tab.evaluate("document.body.dataset.frame") == "1"


def test_only_slots_in_use_are_written(world):
    arrays = begin(world).carry.tensors()
    trimmed = trim_memory(arrays)
    used = trimmed["bank.ids"].shape[1]
    assert (trimmed["bank.ids"] >= 0).all()
    assert (arrays["bank.ids"][:, used:] == -1).all()
    assert trimmed["bank.rgba"].shape[1] == used


def test_without_the_library_the_command_says_how_to_get_it(capsys, tmp_path, exported_world):
    options = ["--out", str(tmp_path / "site"), "--library", str(tmp_path)]
    assert "npm install onnxruntime-web@" in refused(capsys, "page", str(exported_world), *options)
    assert list(tmp_path.iterdir()) == []
