"""The first screen, on a display with nobody in front of it."""

import os
import threading

import numpy as np
import pytest

from tests.support.players import screenshot, tool, until, windows_of
from worldsim.world.starts import WorldStarts

MARK = (86, 180, 233)


@pytest.fixture
def worlds(tiny_world):
    paths = tuple(sorted((tiny_world / "spawns").glob("*.npz")))
    one = WorldStarts(world="a", title="One", fps=7.5, names=("x", "y", "z"), paths=paths)
    return [one, WorldStarts(world="b", title="Two", fps=7.5, names=("p",), paths=paths[:1])]


def choose(worlds, display, monkeypatch, test, last=None, made=None):
    """What the player chose; `test` is given the window's number, on another thread; the screen is
    put into `made`.
    """
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    from worldsim.runtime.window import start_choice

    screen, failures = start_choice.StartChoice(worlds, last), []
    if made is not None:
        made.append(screen)

    def drive():
        try:
            window = until(lambda: windows_of(os.getpid()))[-1]
            tool("xdotool", "windowfocus", "--sync", window)
            test(window)
        except BaseException as failure:
            failures.append(failure)
            start_choice.pygame.event.post(start_choice.pygame.event.Event(256))

    thread = threading.Thread(target=drive)
    thread.start()
    chosen = screen.run()
    thread.join()
    start_choice.pygame.display.quit()
    assert not failures, failures
    return chosen


def test_enter_plays_the_last_one_at_once(worlds, display, monkeypatch):
    def play(window):
        tool("xdotool", "key", "Return")

    assert choose(worlds, display, monkeypatch, play, last=("a", 2)) == ("a", 2)


def test_a_click_on_a_hint_does_what_its_key_does(worlds, display, monkeypatch):
    def play(window):
        from worldsim.runtime.window import start_choice

        choice = until(lambda: made and made[0]._hinted and made[0])
        keys = [hint.key for hint in start_choice.HINTS]
        for key in ("right", "return"):
            cell = choice._hinted[keys.index(key)]
            middle = cell.x + cell.width // 2, cell.y + cell.height // 2
            tool("xdotool", "mousemove", "--window", window, *middle, "click", 1)

    made = []
    assert choose(worlds, display, monkeypatch, play, made=made) == ("a", 1)


def test_arrows_and_letters_choose(worlds, display, monkeypatch):
    def play(window):
        tool("xdotool", "key", "Right", "d", "Left", "Down")
        tool("xdotool", "key", "Return")

    assert choose(worlds, display, monkeypatch, play, last=("gone", 1)) == ("b", 0)


def test_escape_chooses_nothing_and_the_mark_is_seen(worlds, display, monkeypatch):
    def play(window):
        until(lambda: (screenshot(window)[0] == MARK).all(axis=2).sum() > 500)
        before = np.argwhere((screenshot(window)[0] == MARK).all(axis=2)).mean(axis=0)
        tool("xdotool", "key", "Right")
        until(lambda: _right_of(window, before[1]))
        tool("xdotool", "key", "Escape")

    assert choose(worlds, display, monkeypatch, play) is None


def _right_of(window, column):
    marked = np.argwhere((screenshot(window)[0] == MARK).all(axis=2))
    return len(marked) and marked.mean(axis=0)[1] > column + 50


def test_a_thumbnail_shows_its_start_for_most_of_the_time(display):
    """It wandered for three seconds through what its name does not say."""
    from worldsim.runtime.window.start_choice import HOLD_SECONDS, LOOK_SECONDS, frame_at
    from worldsim.world.starts import MOST

    moments = [HOLD_SECONDS + (at + 0.1) * LOOK_SECONDS for at in range(8)]
    assert [frame_at(now, 5) for now in moments] == [3, 2, 1, 0, 1, 2, 3, 4]
    shown = np.array([frame_at(now / 100, MOST) for now in range(5000)])
    assert set(shown) == set(range(MOST))
    assert (shown == MOST - 1).mean() > 0.6
    assert {frame_at(now, 1) for now in moments} == {0}
