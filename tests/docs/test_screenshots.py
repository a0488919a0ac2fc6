"""The screens that the pages show are those of today's window."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.players import SECONDS

DOCS = Path(__file__).resolve().parents[2] / "docs"
KEPT = sorted(path.name for path in (DOCS / "screens").glob("*.png"))
# Letters may be smoothed a little differently; a line that moves changes far more.
MOST_OFF, OFF = 0.004, 48


@pytest.fixture(scope="module")
def drawn(display, tmp_path_factory):
    """The folder of today's screens."""
    out = tmp_path_factory.mktemp("screens")
    subprocess.run(
        [sys.executable, DOCS / "screenshots.py", "--out", out],
        env={**_environment(), "DISPLAY": display},
        check=True,
        timeout=SECONDS,
        capture_output=True,
    )
    return out


def _environment():
    kept = {name: value for name, value in os.environ.items() if name != "SDL_VIDEODRIVER"}
    return kept | {"PYTHONPATH": str(DOCS.parent)}


def share_off(one, other):
    """The share of pixels that are plainly different; 1 for other sizes."""
    if one.shape != other.shape:
        return 1.0
    return float((abs(one.astype(int) - other).max(axis=2) > OFF).mean())


def test_every_screen_is_kept(drawn):
    assert sorted(path.name for path in drawn.iterdir()) == KEPT
    assert len(KEPT) > 9


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_screen_is_as_it_is_drawn_today(drawn, name):
    """`xvfb-run python docs/screenshots.py` draws them anew."""
    kept, today = (cv2.imread(str(folder / name)) for folder in (DOCS / "screens", drawn))
    assert share_off(kept, today) < MOST_OFF


def test_a_line_that_moved_would_be_noticed():
    help_page = cv2.imread(str(DOCS / "screens" / "help.png"))
    assert share_off(help_page, np.roll(help_page, 3, axis=0)) > 4 * MOST_OFF
