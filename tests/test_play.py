"""`python play.py` as a player meets it: a window, keys, a recording; and without a display."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import play
from tests.support.players import (
    ROOT,
    SECONDS,
    TOOLS,
    Program,
    recorded_bytes,
    tool,
    until,
    windows_of,
)
from worldsim.runtime.cli import replay
from worldsim.runtime.recording.recording import META, list_recordings, read_recording

ZOOM = 8
TINY_ZOOM = 24  # of pictures so small that text would take most of them


@pytest.fixture
def player(display, tmp_path, monkeypatch):
    """Starts play.py, or another program, in a window; ends it when a test fails."""
    for name in TOOLS:
        if shutil.which(name) is None:
            pytest.skip(f"no {name}: install xdotool and imagemagick")
    monkeypatch.setenv("DISPLAY", display)
    started = []

    def start(*arguments, program=None, zoom=ZOOM):
        folder = tmp_path / "recordings"
        kept = ["--record", folder, "--saves", tmp_path / "saves"]
        program = program or ["play.py", "--seed", "3", "--no-hud", *kept]
        started.append(Program(*program, *arguments, zoom=zoom))
        started[-1].folder = folder
        return started[-1]

    yield start
    for one in started:
        one.end()


def is_one_of(picture, frames):
    """Whether the middle of a screenshot is that of a frame (text may lie at the edges)."""
    middle = slice(len(picture) // 3, 2 * len(picture) // 3)
    return any(np.array_equal(picture[middle], frame[middle]) for frame in frames)


@pytest.mark.usefixtures("engine", "bundled_world")
def test_there_is_a_way_back_to_the_choice_of_worlds(player):
    """Play could only be quit, and another world only be had by starting the program again."""
    playing = player("--env", "Maze-v0")
    until(lambda: recorded_bytes(playing.folder) > 0)
    until(lambda: playing.keys("c") or list(list_recordings(playing.folder)), pause=1)
    assert playing.process.stdout.readline().startswith("recorded: ")
    assert windows_of(playing.process.pid)[-1] == playing.window, "it is the same window"
    playing.keys("Return")
    until(lambda: recorded_bytes(playing.folder) > 0)  # another world is played, and recorded too
    playing.keys("c", "Escape")
    assert "recorded: " in playing.leave()
    assert len(list(list_recordings(playing.folder))) == 2


@pytest.mark.usefixtures("engine")
def test_playing_the_engine_in_a_window(player, capsys):
    playing = player("--env", "Maze-v0")
    until(lambda: recorded_bytes(playing.folder) > 0)  # it runs on: it can stand
    playing.down("a")
    first = playing.small()
    until(lambda: not np.array_equal(playing.small(), first))
    playing.up("a")
    playing.keys("F5")
    playing.keys("p")
    until(lambda: (one := playing.small()) is not None and np.array_equal(one, still(playing)))
    paused = playing.small()
    playing.keys("v")
    until(lambda: list(list_recordings(playing.folder)))
    playing.keys("Escape")
    out = playing.leave()

    (folder,) = list_recordings(playing.folder)
    assert f"recorded: {folder}" in out
    recording = read_recording(folder)
    assert set(recording.episode.actions) == {0, 3}
    assert is_one_of(first, recording.episode.frames)
    assert is_one_of(paused, recording.episode.frames[-1:])
    assert json.loads((folder / META).read_text())["seed"] == 3
    assert len(list(folder.parent.parent.glob("saves/Maze-v0/*/line.npz"))) == 1
    assert replay.main([str(folder), "--verify"]) == 0
    assert "all equal" in capsys.readouterr().out


def still(playing):
    """A picture that is not about to change: longer than a frame later."""
    time.sleep(0.4)
    return playing.small()


def test_playing_a_dream_in_a_window(player, tiny_world, capsys):
    playing = player("--world", tiny_world, "--spawn", "1", "--steps", "2", zoom=TINY_ZOOM)
    context = np.load(sorted((tiny_world / "spawns").glob("*.npz"))[1])["frames"]
    until(lambda: is_one_of(playing.small(), context[-1:]))
    until(lambda: recorded_bytes(playing.folder) > 0)
    playing.down("w")
    until(lambda: recorded_bytes(playing.folder) > 10_000)
    playing.up("w")
    shot = playing.small()
    playing.down("BackSpace")
    until(lambda: list(list_recordings(playing.folder)) or playing.up("BackSpace"))
    playing.process.send_signal(signal.SIGTERM)
    playing.leave(status=143)  # 128 and SIGTERM's number
    parts = [read_recording(folder) for folder in list_recordings(playing.folder)]
    assert any(is_one_of(shot, part.episode.frames) for part in parts)
    assert 2 in parts[0].episode.actions
    assert set(parts[0].steps) == {2}
    for folder in list_recordings(playing.folder):
        assert replay.main([str(folder), "--verify"]) == 0


def test_losing_the_display_loses_no_frame(player, tiny_world):
    """The X library would end the process in the middle of everything."""
    playing = player("--world", tiny_world)
    until(lambda: recorded_bytes(playing.folder) > 10_000)
    tool("xdotool", "windowkill", playing.window)
    _, error = playing.process.communicate(timeout=SECONDS)
    assert playing.process.returncode == 1
    assert error.splitlines()[-1] == "The display is gone. What was recorded is kept."
    (folder,) = list_recordings(playing.folder)
    assert list(playing.folder.glob("*.journal")) == []
    assert len(read_recording(folder).episode) > 5
    assert replay.main([str(folder), "--verify"]) == 0


def test_a_recording_is_shown_in_the_same_window(player, tiny_world, tmp_path):
    done = run("--world", tiny_world, "--headless", 8, "--record", tmp_path / "recordings")
    assert done.returncode == 0, done.stderr
    (folder,) = list_recordings(tmp_path / "recordings")
    frames = read_recording(folder).episode.frames
    replaying = player(folder, program=["-m", "worldsim", "replay"], zoom=TINY_ZOOM)
    until(lambda: is_one_of(replaying.small(), frames[-1:]))
    replaying.down("BackSpace")
    until(lambda: is_one_of(replaying.small(), frames[:1]))
    replaying.up("BackSpace")
    until(lambda: is_one_of(replaying.small(), frames[-1:]))
    replaying.keys("Escape")
    assert replaying.leave() == ""


def run(*arguments, **options):
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    command = [sys.executable, ROOT / "play.py", *map(str, arguments)]
    return subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=SECONDS, **options
    )


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_its_own_status(tiny_world, tmp_path, number):
    """What a shell or a batch system looks at: 128 and the signal's number."""
    command = [sys.executable, ROOT / "play.py", "--world", tiny_world, "--headless", "1000000"]
    process = subprocess.Popen(
        [*map(str, command), "--record", str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    until(lambda: recorded_bytes(tmp_path) > 3000)
    process.send_signal(number)
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + number
    assert "recorded: " in said


def test_headless_makes_frames_and_says_how_fast(tiny_world, tmp_path):
    done = run("--world", tiny_world, "--headless", 20, "--record", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    line = r"20 frames, [\d.]+ fps, p50 [\d.]+ ms, p99 [\d.]+ ms\n"
    assert re.match(line, done.stdout)
    (folder,) = list_recordings(tmp_path / "recordings")
    assert len(read_recording(folder).episode) == 20


def test_without_a_display_one_sentence_names_the_flag(tiny_world):
    done = run("--world", tiny_world)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "There is no display" in done.stderr
    assert "--headless N" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--world", "nowhere"], "no world 'nowhere'"),
        (["--world", "TINY", "--spawn", "7"], "no spawn 7"),
        (["--world", "TINY", "--steps", "3"], "steps must be 1, 2, 4"),
        (["--world", "TINY", "--fps", "-1"], "fps must be >= 0"),
        (["--env", "CartPole-v1"], "no `actions` table"),
        (["--env", "Maze-v0", "--steps", "2"], "--steps is for a dream, --env plays Maze-v0"),
        (["--env", "Maze-v0", "--context-noise", "0.2"], "--context-noise is for a dream"),
        (["--device", "abacus"], "there is no device 'abacus' here"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(arguments, sentence, tiny_world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [str(tiny_world) if word == "TINY" else word for word in arguments]
    with pytest.raises(ValueError, match=re.escape(sentence)):
        play.main([*arguments, "--headless", "3"])
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_takes_no_recording_is_told_before_the_first_frame(tiny_world, capsys):
    """Told at the end, the walk would be lost."""
    command = ["--world", str(tiny_world), "--headless", "3", "--record", "/proc/recordings"]
    with pytest.raises(OSError, match="/proc/recordings"):
        play.main(command)
    assert "frames" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seed", "-1"],
        ["--headless", "x"],
        ["--headless", "1" + "0" * 30],
        ["--zoom", "1.5"],
        ["--zoom", "0"],
        ["--rewind-mb", "1" + "0" * 12],
        ["--rewind-mb", "-1"],
    ],
)
def test_options_that_are_no_numbers_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        play.parse(arguments)
    assert "must be a whole number " in capsys.readouterr().err


def test_a_seed_nobody_gave_is_drawn():
    assert len({play.draw_seed() for _ in range(5)}) > 1
