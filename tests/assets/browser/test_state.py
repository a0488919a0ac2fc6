"""Dreams in the page are taken back, saved, downloaded; what they hold does not grow."""

import base64
import io
import json

import numpy as np
from PIL import Image

from tests.support.pages import SEED, open_page, told

BEFORE, AFTER = [0, 2, 2, 1, 2], [2, 2, 1, 0, 2]

RESUME = """(async () => {
  const { openWorld } = await import("./engine.js");
  const world = await openWorld(new URL("./", location.href));
  const walk = async (dream) => {
    const frames = [];
    for (const move of %s) frames.push(String(await dream.step(move)));
    return frames.join();
  };
  const dream = await world.begin(0, %d);
  for (const move of %s) await dream.step(move);
  const saved = await dream.save();
  const whole = await walk(dream);
  await dream.rewind(dream.count - %d);
  const again = String(await dream.save());
  const back = await walk(dream);
  const restored = await world.restore(saved);
  const [count, moves] = [restored.count, [...restored.moves]];
  const same = String(await restored.save()) === String(saved);
  const resumed = await walk(restored);
  return { whole, back, resumed, count, moves, same, isBack: again === String(saved) };
})()"""


def test_a_saved_moment_and_one_taken_back_go_on_the_same(page):
    """Frame by frame, and in all that is remembered."""
    found = page.evaluate(RESUME % (json.dumps(AFTER), SEED, json.dumps(BEFORE), len(AFTER)))
    assert found["count"] == len(BEFORE)
    assert found["moves"] == BEFORE
    assert found["same"]
    assert found["isBack"]
    assert found["resumed"] == found["whole"]
    assert found["back"] == found["whole"]


DAMAGE = """(async () => {
  const { openWorld } = await import("./world.js");
  const { packMoment, unpackMoment } = await import("./state.js");
  const world = await openWorld(new URL("./", location.href));
  const dream = await world.begin(0, 1);
  await dream.step(0);
  const saved = packMoment(dream);
  const facts = world.facts;
  const refuse = (bytes, by = facts) => {
    try {
      unpackMoment(by, bytes.buffer);
      return null;
    } catch (error) {
      return error.message;
    }
  };
  const flip = (at) => {
    const bytes = saved.slice();
    bytes[at] ^= 1;
    return bytes;
  };
  const length = 8 + Number(new DataView(saved.buffer).getBigUint64(0, true));
  const spots = Array.from({ length: 60 }, (_, i) => Math.floor((i * (length - 20)) / 60));
  spots.push(length, Math.floor((length + saved.length) / 2), saved.length - 1);
  return {
    whole: refuse(saved),
    flipped: spots.map((at) => refuse(flip(at))),
    cut: [0, 5, 100, saved.length - 1].map((end) => refuse(saved.slice(0, end))),
    world: refuse(saved, { ...facts, identity: "another" }),
    picture: refuse(new TextEncoder().encode("GIF89a and so on, no moment at all")),
  };
})()"""


def test_what_is_no_moment_of_this_world_is_refused(page):
    found = page.evaluate(DAMAGE)
    assert found["whole"] is None
    assert all(found["flipped"])
    assert all(found["cut"])
    assert "belongs to another world" in found["world"]
    assert "no saved moment" in found["picture"]


def click(tab, name):
    tab.evaluate(f"document.getElementById({name!r}).click()")


def wait_for_frame(tab, number):
    tab.wait_for(f"document.body.dataset.frame === '{number}'")


def test_rewind_save_and_load(page, address):
    """What is saved in the browser outlives the page."""
    page.press("ArrowUp", 38)
    wait_for_frame(page, 3)
    click(page, "save")
    page.wait_for("document.getElementById('status').textContent.startsWith('Frame 3 is saved')")
    page.press("Backspace", 8)
    wait_for_frame(page, 2)
    assert open_page(page, f"{address}#start=1&seed=1") == "ready"
    click(page, "load")
    wait_for_frame(page, 3)
    click(page, "link")
    page.wait_for(f"location.hash === '#start=0&seed={SEED}&moves=022'")
    page.press("Backspace", 8)
    page.wait_for("document.getElementById('status').textContent.startsWith('That is as far')")
    assert page.complaints == []


NEVER_COPIED = "navigator.clipboard.writeText = () => new Promise(() => {})"


def test_a_link_is_told_of_before_the_browser_lets_it_be_copied(page):
    """And what is said afterwards stays."""
    page.evaluate(NEVER_COPIED + "; null")
    click(page, "link")
    assert told(page).startswith("The address bar has the link of this walk")


GIVE_FILE = """(() => {
  const given = new DataTransfer();
  given.items.add(new File(["no moment"], "holiday.jpg"));
  const input = document.getElementById("file");
  input.files = given.files;
  input.dispatchEvent(new Event("change"));
})()"""


def test_a_wrong_file_is_a_sentence_and_the_dream_goes_on(page):
    page.evaluate(GIVE_FILE)
    page.wait_for("document.getElementById('status').textContent.includes('no saved moment')")
    assert told(page).startswith("That did not work: this file is no saved moment of a dream")
    page.press("ArrowUp", 38)
    wait_for_frame(page, 3)


FILM = """(async () => {
  const { encodePng } = await import("./film.js");
  const frames = [0, 1, 2].map((n) => Uint8Array.from({ length: 48 }, (_, i) => 5 * i + n));
  const made = await Promise.all([frames, frames.slice(2)].map((f) => encodePng(f, 4, 7.5, 3)));
  const bytes = await Promise.all(made.map((blob) => blob.arrayBuffer()));
  return bytes.map((part) => btoa(String.fromCharCode(...new Uint8Array(part))));
})()"""


def test_films_and_pictures_are_the_frames(page):
    frames = [(5 * np.arange(48) + n).astype(np.uint8).reshape(4, 4, 3) for n in range(3)]
    film, picture = (Image.open(io.BytesIO(base64.b64decode(part))) for part in page.evaluate(FILM))
    assert film.n_frames == 3
    for number, frame in enumerate(frames):
        film.seek(number)
        assert np.array_equal(np.asarray(film.convert("RGB"))[1::3, 1::3], frame)
        assert round(film.info["duration"]) == 133
    assert np.array_equal(np.asarray(picture.convert("RGB"))[::3, ::3], frames[2])


PAD = """(() => {
  const buttons = Array.from({ length: 16 }, (_, i) => ({ pressed: i === %d }));
  navigator.getGamepads = () => [null, { buttons, axes: [0, %s] }];
  dispatchEvent(new Event("gamepadconnected"));
})()"""


def test_a_gamepad_moves_the_dream_and_takes_it_back(page):
    page.evaluate(PAD % (-1, -1))
    page.wait_for("Number(document.body.dataset.frame) >= 4")
    page.evaluate(PAD % (4, 0))
    wait_for_frame(page, 0)


MIDDLES = """(() => [...document.querySelectorAll("#actions button, #back")].map((button) => {
  const { x, y, width, height } = button.getBoundingClientRect();
  return [x + width / 2, y + height / 2, width, height];
}))()"""


MENU = """document.querySelector("#actions button").dispatchEvent(
  new MouseEvent("contextmenu", { bubbles: true, cancelable: true }))"""


def touch(page, kind, *places):
    points = [{"x": x, "y": y} for x, y in places]
    page.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)


def test_a_finger_that_holds_a_button_moves_on_until_it_comes_up(page):
    """Buttons are large enough for a thumb, and no menu or scrolling takes the finger away."""
    page.call("Emulation.setTouchEmulationEnabled", enabled=True)
    *moves, back = page.evaluate(MIDDLES)
    assert all(min(width, height) >= 48 for _, _, width, height in (*moves, back))
    touch(page, "touchStart", moves[2][:2])
    page.wait_for("Number(document.body.dataset.frame) >= 4")
    assert page.evaluate(MENU) is False
    touch(page, "touchMove", (moves[2][0] + 9, moves[2][1] + 9))
    page.wait_for("Number(document.body.dataset.frame) >= 6")
    touch(page, "touchEnd")
    touch(page, "touchStart", back[:2])
    wait_for_frame(page, 0)
    touch(page, "touchEnd")
    page.call("Emulation.setTouchEmulationEnabled", enabled=False)


GROW = """(async () => {
  window.memories = [];
  WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
    construct(kind, given) {
      memories.push(new kind(...given));
      return memories.at(-1);
    },
  });
  const { openWorld } = await import("./world.js");
  const world = await openWorld(new URL("./", location.href));
  window.dream = await world.begin(0, 1);
  dream.journal.most = 16;
  window.walk = async (n) => {
    for (let i = 0; i < n; i++) await dream.step([2, 2, 0, 2, 1][i %% 5]);
    return dream.earliest;
  };
  return walk(%d);
})()"""


def weigh(tab):
    for _ in range(2):  # what one collection finds, the next one gives back
        tab.call("HeapProfiler.collectGarbage")
    usage = tab.call("Runtime.getHeapUsage")
    wasm = tab.evaluate("memories.reduce((sum, one) => sum + one.buffer.byteLength, 0)")
    return usage["usedSize"] + usage["backingStorageSize"], wasm


def test_what_a_dream_holds_does_not_grow(page):
    """JavaScript's heap, its arrays and WebAssembly's memory, from frame 20 to frame 84."""
    page.evaluate(GROW % 20)
    heap, wasm = weigh(page)
    assert wasm > 1_000_000
    assert page.evaluate("walk(64)") == 84 - 16
    later, wasm_later = weigh(page)
    assert later - heap < 4_000_000
    assert wasm_later == wasm
