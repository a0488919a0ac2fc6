"""`python play.py` from end to end: the real window, real keys, and what is on the screen.

One program is driven through everything a player would try in the first minutes.
"""

import itertools
import os
import re
import shutil
import time

import cv2
import numpy as np
import pytest

from tests.support.players import SECONDS, TOOLS, Program, tool, until
from tests.support.x11_drop import Dropper
from worldsim.data.store import EpisodeStore
from worldsim.runtime.recording.journal import read_journal
from worldsim.runtime.recording.recording import _unpack_step

ZOOM, GHOST_ZOOM = 24, 8
FORWARD, STAND = 2, 3
MARKED = (86, 180, 233)  # the colour of the frame around the dream, and of the curve


@pytest.fixture
def screen(display, monkeypatch):
    for name in TOOLS:
        if shutil.which(name) is None:
            pytest.skip(f"no {name}: install xdotool and imagemagick")
    monkeypatch.setenv("DISPLAY", display)


@pytest.fixture
def playing(screen, engine, tiny_world, tmp_path):
    kept = ["--record", tmp_path / "recordings", "--saves", tmp_path / "saves"]
    started = Program(
        "play.py", "--world", tiny_world, "--seed", 3, "--spawn", 0, "--no-hud", *kept, zoom=ZOOM
    )
    yield started
    started.end()


def test_a_first_evening(playing, tmp_path):
    """Move, rewind, save, load, preview, memory, record, help; ground truth after."""
    saves, recordings = tmp_path / "saves" / "tiny", tmp_path / "recordings"
    until(lambda: list(recordings.glob("*.journal")))  # it is open and runs on
    playing.keys("p")
    plain = playing.picture("paused")
    playing.down("BackSpace")
    playing.until_shown(lambda now: not np.array_equal(now, plain), "rewound")
    playing.up("BackSpace")
    playing.keys("ctrl+3")
    until(lambda: (saves / "slot-3").is_dir() and list((saves / "slot-3").glob("[0-9]*")))
    assert len(list((saves / "slot-3").glob("*/picture.png"))) == 1
    time.sleep(5)  # until the note about it is gone
    saved = playing.picture("saved")

    playing.keys("n", "n")
    playing.until_shown(lambda now: not np.array_equal(now, saved))
    playing.keys("3")
    until(lambda: np.array_equal(playing.picture()[:200], saved[:200]))

    playing.keys("b")
    preview = playing.until_shown(
        lambda now: not np.array_equal(now[:200], saved[:200]), "action preview"
    )
    half = preview.shape[0] // 2
    picker = [preview[40:half, :half], preview[40:half, half:], preview[half:-60, :half]]
    assert all(tile.max() > 0 for tile in picker)
    tiles_of_16 = preview[8:half:12, 8:half:12]  # a picture is half as large now
    assert len(np.unique(tiles_of_16[6:10].reshape(-1, 3), axis=0)) > 16
    playing.keys("2")
    playing.until_shown(lambda now: not np.array_equal(now[:40], preview[:40]))
    playing.keys("p")

    playing.keys("i")
    time.sleep(1)
    strip = playing.until_shown(lambda now: now[-30:].max() > 0, "memory")
    assert strip[-30:].max() > 0
    playing.keys("i")

    before = playing.picture()
    playing.keys("F1")
    helped = playing.until_shown(lambda now: not np.array_equal(now, before), "help")
    assert (helped[:60, :60] == 255).any()  # white letters
    playing.keys("F1", "v")
    until(lambda: [f for f in recordings.iterdir() if f.is_dir()])
    before = playing.size()
    playing.keys("F11")
    until(lambda: playing.size() == (1280, 1024))
    playing.keys("F11")
    until(lambda: playing.size() == before)
    playing.keys("Escape")
    assert "recorded:" in playing.leave()


@pytest.fixture
def dreaming(screen, engine, bundled_world, tmp_path):
    """The world that ships with the project: the maze it was learnt from draws no smaller ones."""
    started = Program(
        "play.py", "--seed", 3, "--no-hud", "--record", tmp_path / "recordings", zoom=GHOST_ZOOM
    )
    until(lambda: list((tmp_path / "recordings").glob("*.journal")))  # it is open and runs on
    yield started
    started.end()


def test_the_ground_truth_beside_the_dream(dreaming, tmp_path):
    """Truth and dream above, the difference and the curve below; X puts them together again. A
    picture that another program drops is a start.
    """
    half = dreaming.size()[0] // 2
    inside, below = slice(60, half - 10), slice(half + half // 2, None)

    def marked(part):
        return (part == MARKED).all(-1).sum()

    def panes(now):
        return now[inside, 10 : half - 10], now[inside, half + 10 : 2 * half - 10]

    dreaming.keys("t", "g")  # the world waits for keys, so that everything stays to be looked at
    dreaming.until_shown(lambda now: marked(now[:half, half:]) > half, "ground truth")
    dreaming.keys("a", "a")
    dreaming.until_shown(lambda now: marked(now[below, half:]) > 20, "ground truth walked")
    true, dream = panes(dreaming.picture())
    assert not np.array_equal(true, dream)
    assert np.abs(true.astype(int) - dream).mean() < 60  # it is the same place
    dreaming.keys("x")
    dreaming.until_shown(lambda now: np.array_equal(*panes(now)), "grounded")
    dreaming.keys("g")
    dreaming.until_shown(lambda now: not marked(now[:half, half:]))
    picture = tmp_path / "half red.png"
    halves = np.array([[[0, 0, 255], [0, 255, 0]]], np.uint8)
    cv2.imwrite(str(picture), np.kron(halves, np.ones((64, 32, 1), np.uint8)))
    dropper = Dropper(os.environ["DISPLAY"], int(dreaming.window))
    assert dropper.drop(picture, SECONDS)
    dropper.close()
    dreaming.until_shown(lambda now: (now[half, [9, -9]] == [[255, 0, 0], [0, 255, 0]]).all())
    dreaming.keys("Escape")
    dreaming.leave()


@pytest.fixture
def corridor(screen, bundled_world, tmp_path):
    """A start of the bundled maze that looks down a corridor, recorded from the beginning."""
    kept = "--record", tmp_path / "recordings"
    started = Program("play.py", "--world", "dmlab", "--seed", 3, "--start", 3, *kept, zoom=8)
    yield started
    started.end()


def test_a_click_walks_to_the_place_it_shows(corridor, tmp_path):
    """The floor of a corridor two cells ahead: the body goes there by itself, and the recording
    holds the moves that keys would have made.
    """
    recordings = tmp_path / "recordings"
    (journal,) = until(lambda: list(recordings.glob("*.journal")))

    def read_actions():
        steps = itertools.islice(read_journal(journal), 1, None)
        return [_unpack_step(step, (64, 64, 3)).move.action for step in steps]

    until(read_actions)  # it runs on: the body stands
    before = corridor.picture("before the click")
    tool("xdotool", "mousemove", "--window", corridor.window, 8 * 33, 8 * 43, "click", 1)
    until(lambda: FORWARD in (made := read_actions()) and made[-3:] == [STAND] * 3)
    corridor.until_shown(lambda now: (now[:300] != before[:300]).mean() > 0.5, "arrived")
    corridor.keys("Escape")
    assert "recorded:" in corridor.leave()
    (folder,) = (path for path in recordings.iterdir() if path.is_dir())
    (episode,) = EpisodeStore(folder)
    told = "".join(map(str, episode.actions))
    assert re.fullmatch(f"{STAND}+{FORWARD}{{3,6}}{STAND}+", told)
    assert 1.2 < np.linalg.norm(episode.poses[-1, :2] - episode.poses[0, :2]) < 2.3
    tool("xdotool", "mousemove", 1279, 1023)
