"""The window's keyboard under real layouts, of a display with nobody in front of it."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.support.players import ROOT, SECONDS

W, A, N, LEFT_BRACKET = "25", "38", "57", "34"  # X's numbers of keys, by their place


@pytest.fixture
def on_layout(display):
    """Presses keys under a layout: what the keyboard made of each, and all that is printed."""
    if shutil.which("setxkbmap") is None:
        assert not os.environ.get("CI"), "CI must have setxkbmap: install x11-xkb-utils"
        pytest.skip("no setxkbmap: install x11-xkb-utils")
    variables = os.environ | {"DISPLAY": display, "SDL_AUDIODRIVER": "dummy"}
    variables.pop("SDL_VIDEODRIVER", None)

    def change(layout):
        subprocess.run(["setxkbmap", layout], env=variables, check=True, capture_output=True)

    def press(layout, *keys):
        change(layout)
        command = [sys.executable, "-m", "tests.support.press_keys"]
        process = subprocess.Popen(
            command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True
        )
        ready, pid = json.loads(process.stdout.readline())
        assert ready == "ready"
        search = ["xdotool", "search", "--sync", "--pid", str(pid)]
        window = subprocess.run(search, env=variables, capture_output=True, text=True)
        number = window.stdout.split()[0]
        focus = ["xdotool", "windowfocus", "--sync", number, "key", "--delay", "50"]
        subprocess.run([*focus, *keys, "Escape"], env=variables, check=True)
        *names, layout = map(json.loads, process.communicate(timeout=SECONDS)[0].splitlines())
        return names[:-1], layout

    yield press
    change("us")


@pytest.mark.parametrize(
    ("layout", "letters"),
    [("us", "wan["), ("fr", ["z", "q", "n", None]), ("ru", "цфтх"), ("de", "wanü")],
)
def test_keys_have_places_and_what_is_printed(on_layout, layout, letters):
    names, printed = on_layout(layout, W, A, N, LEFT_BRACKET)
    for (letter, place), expected, where in zip(names, letters, "wan[", strict=False):
        assert place == where
        if expected is not None:  # a dead key has no name
            assert letter == printed[place] == expected
    assert len(names) >= 3
