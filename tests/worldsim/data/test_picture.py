"""What libraries in C++ are given: no path that is no UTF-8, no text that they die over. Each case
runs in a process of its own, since the fault would take the tests down too.
"""

import os
import struct
import subprocess
import sys

import cv2
import numpy as np
import pytest

from worldsim.data.picture import read_picture
from worldsim.data.picture_size import picture_size
from worldsim.data.video import write_video
from worldsim.evaluate.bench.timing import resident_mb

ODD = os.fsdecode(b"b\xff d")  # a name that is no UTF-8, as old archives have
ENOUGH = 240  # seconds; nothing takes so long, even on a busy machine


@pytest.fixture
def odd(tmp_path):
    """A folder of that name, where the file system takes it."""
    folder = tmp_path / ODD
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system has no names that are no UTF-8")
    return folder


def run(*arguments, locale="C.UTF-8"):
    command = [sys.executable, "-m", "worldsim", *map(str, arguments)]
    variables = os.environ | {"LC_ALL": locale, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, timeout=ENOUGH, env=variables)


def test_playing_from_and_into_names_that_are_no_utf8(tiny_world, odd):
    """OpenCV was given such paths, and the process died: at every start, of the journal left."""
    rng = np.random.default_rng(0)
    clip, picture = odd / f"{ODD}.mp4", odd / f"{ODD}.png"
    write_video(clip, rng.integers(0, 256, (6, 32, 32, 3)).astype(np.uint8), 7.5)
    picture.write_bytes(cv2.imencode(".png", rng.integers(0, 256, (20, 30, 3)))[1].tobytes())
    recordings = odd / "recordings"
    where = ["--record", recordings, "--saves", odd / "saves", "--world", tiny_world]
    for spawn in (clip, picture):
        done = run("play", "--headless", "3", "--seed", "1", "--spawn", spawn, *where)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        assert b"recorded: " in done.stdout
    assert not list(recordings.glob("*.journal"))
    made = sorted(recordings.glob("*/preview.webp"))
    assert len(made) == 2
    for kind in ("gif", "webp", "png", "html", "mp4"):
        target = odd / f"{ODD}.{kind}"
        done = run("replay", made[0].parent, "--export", target)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        assert target.stat().st_size > 100
    done = run("play", "--headless", "2", "--spawn", made[0].parent, *where)
    assert done.returncode == 0, done.stderr.decode(errors="replace")


def png(wide, tall):
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", wide, tall) + bytes(60)


def jpeg(wide, tall):
    thumbnail = b"\xff\xe1" + struct.pack(">H", 102) + b"\xff\xc0\x00\x11\x08" + bytes(95)
    return b"\xff\xd8" + thumbnail + b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", tall, wide)


def bmp(wide, tall):
    return b"BM" + bytes(12) + struct.pack("<Iii", 40, wide, -tall) + bytes(60)


def webp(wide, tall):
    sizes = (wide - 1).to_bytes(3, "little") + (tall - 1).to_bytes(3, "little")
    return b"RIFF" + bytes(4) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + sizes + bytes(60)


def tiff(wide, tall):
    tags = [struct.pack("<HHII", tag, 4, 1, n) for tag, n in ((256, wide), (257, tall))]
    return b"II*\0" + struct.pack("<IH", 8, 2) + b"".join(tags) + bytes(60)


@pytest.mark.parametrize("make", [png, jpeg, bmp, webp, tiff])
def test_a_picture_that_claims_gigapixels_is_refused_by_its_header(tmp_path, make):
    """A PNG of 2.6 MB took 5.2 GB and a minute."""
    path = tmp_path / "huge"
    path.write_bytes(make(16_000, 16_000))
    before = resident_mb()
    with pytest.raises(ValueError, match="huge has 16000x16000 pixels: at most 64 megapixels"):
        read_picture(path)
    assert resident_mb() - before < 50


@pytest.mark.parametrize("kind", [".png", ".jpg", ".bmp", ".webp", ".tiff"])
def test_the_size_that_a_header_tells_is_the_pictures(tmp_path, kind):
    data = cv2.imencode(kind, np.zeros((20, 30, 3), np.uint8))[1].tobytes()
    assert picture_size(data) == (30, 20)
    (tmp_path / "a").write_bytes(data)
    assert read_picture(tmp_path / "a").shape == (20, 30, 3)
    assert picture_size(data[:12]) is None


def test_a_title_that_no_window_can_show_is_shown_otherwise(monkeypatch):
    """SDL refuses halves of characters and NUL, and pictures of endless lines."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    from worldsim.runtime.core.pane_layout import Pane
    from worldsim.runtime.window.screen import Screen

    odd = "a\udcff\0b\ud800"
    screen = Screen(odd * 3000, (16, 16))
    room = screen.room()
    screen.text([odd, "x" * 100_000, "a\tb" * 9000], room)
    screen.panes((Pane(np.zeros((4, 4, 3), np.uint8), odd * 3000),), [room])
    screen.close()


def test_what_the_terminal_cannot_show_is_told_escaped(tmp_path):
    done = run("replay", tmp_path / ODD / "none")
    assert done.returncode == 2
    assert b"is not a recording" in done.stderr
    assert b"Traceback" not in done.stderr
