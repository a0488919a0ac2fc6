"""`python play.py` from end to end: the real window, real keys, and what is on the screen.

One program is driven through everything a player would try in the first minutes.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 90  # until a thing must have happened; nothing takes so long
ZOOM = 24


def until(condition):
    """Wait for another process; gives what the condition gave."""
    deadline = time.monotonic() + SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def tool(*words):
    done = subprocess.run(list(map(str, words)), capture_output=True)
    return done.stdout if done.returncode == 0 else b""


class Playing:
    """play.py in a window."""

    def __init__(self, *arguments):
        command = [sys.executable, "play.py", *map(str, arguments), "--zoom", str(ZOOM)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.window = until(lambda: self._alive() and self._search())[-1]
        tool("xdotool", "windowfocus", "--sync", self.window)

    def _search(self):
        return tool("xdotool", "search", "--pid", self.process.pid).decode().split()

    def _alive(self):
        assert self.process.poll() is None, self.process.communicate()[1]
        return True

    def key(self, *names):
        for name in names:
            assert self._alive()
            tool("xdotool", "key", name)

    def picture(self, name=""):
        """What is on the screen, uint8 `[H,W,3]`; kept as a file where somebody wants to look."""
        assert self._alive()
        png = tool("import", "-window", self.window, "png:-")
        kept = os.environ.get("WORLDSIM_SCREENSHOTS")
        if kept and name:
            Path(kept, f"{name}.png").write_bytes(png)
        return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]

    def size(self):
        told = tool("xdotool", "getwindowgeometry", "--shell", self.window).decode().split()
        known = dict(line.split("=") for line in told)
        return int(known["WIDTH"]), int(known["HEIGHT"])

    def until_shown(self, condition, name=""):
        until(lambda: condition(self.picture()))
        return self.picture(name)


@pytest.fixture
def playing(display, engine, tiny_world, tmp_path, monkeypatch):
    for name in ("xdotool", "import"):
        if shutil.which(name) is None:
            pytest.skip(f"no {name}: install xdotool and imagemagick")
    monkeypatch.setenv("DISPLAY", display)
    kept = ["--record", tmp_path / "recordings", "--saves", tmp_path / "saves"]
    started = Playing("--world", tiny_world, "--seed", 3, "--spawn", 0, *kept)
    yield started
    started.process.kill()
    started.process.communicate()
    tool("xdotool", "keyup", "w", "BackSpace", "ctrl")


def test_a_first_evening(playing, tmp_path):
    """Move, rewind, save, load, fan, memory, record, help; the ghost is in test_wishes."""
    saves, recordings = tmp_path / "saves" / "tiny", tmp_path / "recordings"
    until(lambda: list(recordings.glob("*.journal")))  # it is open and runs on
    playing.key("h", "p")
    plain = playing.picture("paused")
    tool("xdotool", "keydown", "BackSpace")
    playing.until_shown(lambda now: not np.array_equal(now, plain), "rewound")
    tool("xdotool", "keyup", "BackSpace")
    playing.key("ctrl+3")
    until(lambda: (saves / "slot-3").is_dir() and list((saves / "slot-3").glob("[0-9]*")))
    assert len(list((saves / "slot-3").glob("*/picture.png"))) == 1
    time.sleep(5)  # until the note about it is gone
    saved = playing.picture("saved")

    playing.key("n", "n")
    playing.until_shown(lambda now: not np.array_equal(now, saved))
    playing.key("3")
    until(lambda: np.array_equal(playing.picture()[:200], saved[:200]))

    playing.key("b")
    fan = playing.until_shown(lambda now: not np.array_equal(now[:200], saved[:200]), "fan")
    half = fan.shape[0] // 2
    tiles = [fan[40:half, :half], fan[40:half, half:], fan[half:-60, :half]]
    assert all(tile.max() > 0 for tile in tiles)
    tiles_of_16 = fan[8:half:12, 8:half:12]  # a picture is half as large now
    assert len(np.unique(tiles_of_16[6:10].reshape(-1, 3), axis=0)) > 16
    playing.key("2")
    playing.until_shown(lambda now: not np.array_equal(now[:40], fan[:40]))
    playing.key("p")

    playing.key("i")
    time.sleep(1)
    strip = playing.until_shown(lambda now: now[-30:].max() > 0, "memory")
    assert strip[-30:].max() > 0
    playing.key("i")

    before = playing.picture()
    playing.key("F1")
    helped = playing.until_shown(lambda now: not np.array_equal(now, before), "help")
    assert (helped[:60, :60] == 255).any()  # white letters
    playing.key("F1", "v")
    until(lambda: [f for f in recordings.iterdir() if f.is_dir()])
    before = playing.size()
    playing.key("F11")
    until(lambda: playing.size() == (1280, 1024))
    playing.key("F11")
    until(lambda: playing.size() == before)
    playing.key("Escape")
    out, error = playing.process.communicate(timeout=SECONDS)
    assert playing.process.returncode == 0, error
    assert "recorded:" in out
