"""The first minute of somebody who knows no key: only those that the window names are pressed."""

import os
import shutil
import threading

import numpy as np
import pytest

from envs.world_model import WorldModelEnv
from tests.support.players import TOOLS, tool, until, windows_of
from worldsim.runtime.core.control import Keyboard
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.panels import ground_truth
from worldsim.runtime.recording.saves import Saves
from worldsim.runtime.session.command_queue import Keys
from worldsim.runtime.session.loading import LoadedWorld
from worldsim.runtime.session.session import Session
from worldsim.runtime.session.state import State
from worldsim.world.starts import WorldStarts

KEYSYMS = {"Backspace": "BackSpace", "Enter": "Return", "Esc": "Escape"}


@pytest.fixture
def session(make_fake_world, engine, tmp_path, monkeypatch):
    """A dream of the maze that is only noise, and the maze as its truth."""
    monkeypatch.setattr(ground_truth, "CONTEXT", 4)
    world = make_fake_world(size=64)
    world.card.engine = "Maze-v0"
    place = PlayableEnv(WorldModelEnv(world), "FARDMLab-v0", {})
    saves = Saves(tmp_path / "saves")
    return Session(LoadedWorld(place), Keyboard(), seed=0, fps=0, runs_on=False, saves=saves)


class Newcomer:
    """Presses the keys that the window names, and no others."""

    def __init__(self, shown):
        self._shown = shown

    def key_for(self, meaning):
        """The key that has this meaning, as it stands below the picture now."""
        hints = until(lambda: {told: key for key, told, _ in self._shown.around.hints})
        key = hints[meaning]
        return KEYSYMS.get(key, key.lower() if len(key) == 1 else key)

    def press(self, meaning):
        tool("xdotool", "key", self.key_for(meaning))

    def hold(self, meaning, condition):
        key = self.key_for(meaning)
        tool("xdotool", "keydown", key)
        until(condition)
        tool("xdotool", "keyup", key)


def play_first_minute(newcomer, shown, session):
    """What the window shows is asked, since only the session's own thread may ask the dream."""
    newcomer.press("forward")
    until(lambda: session.made)
    newcomer.hold("left", lambda: session.made > 8)
    until(lambda: session.state is State.WAITING)
    newcomer.press("save")
    until(lambda: "Saved" in shown._shot.status.note)
    saved = session.frame
    made = session.number
    newcomer.hold("rewind", lambda: session.number < made - 2)
    until(lambda: session.state is State.WAITING)
    assert not np.array_equal(session.frame, saved)
    newcomer.press("load")
    until(lambda: session.state is State.WAITING and np.array_equal(session.frame, saved))
    newcomer.press("truth")
    until(lambda: len(shown._shot.status.panes) == 3)
    newcomer.press("forward")
    until(lambda: len(shown._shot.status.curve) > 1)
    newcomer.press("truth")
    until(lambda: not shown._shot.status.panes)
    newcomer.press("all keys")
    until(lambda: any("truth, dream" in line for line in shown.around.helped))
    tool("xdotool", "key", KEYSYMS["Esc"])  # the help says so: "close what is open, or quit"
    until(lambda: not shown.around.helped)
    tool("xdotool", "key", KEYSYMS["Esc"])
    until(lambda: session.state is State.CLOSED)


def test_hints_alone_lead_through_the_first_minute(display, session, monkeypatch):
    for name in TOOLS:
        if shutil.which(name) is None:
            pytest.skip(f"no {name}: install xdotool and imagemagick")
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    from worldsim.runtime.window import window

    monkeypatch.setattr(window, "FIRST_SECONDS", 600.0)  # a busy machine takes long for a minute
    shown, failures = window.Window("A test", (64, 64), zoom=10), []
    session.sinks.append(shown)

    def drive():
        try:
            number = until(lambda: windows_of(os.getpid()))[-1]
            tool("xdotool", "windowfocus", "--sync", number)
            until(lambda: session.playthrough)
            play_first_minute(Newcomer(shown), shown, session)
        except BaseException as failure:
            failures.append(failure)
        finally:
            session.command_queue.stop()

    thread = threading.Thread(target=drive)
    thread.start()
    keys = Keys(session.opening, session.controller.latch, session.command_queue)
    shown.run(session.run, keys)
    thread.join()
    window.pygame.display.quit()
    assert not failures, failures


def test_the_first_screen_says_how_to_begin(display, tiny_world, monkeypatch):
    """Its hints alone choose another start and play it."""
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    from worldsim.runtime.window import start_choice

    paths = tuple(sorted((tiny_world / "spawns").glob("*.npz")))
    one = WorldStarts(world="a", title="One", fps=7.5, names=("x", "y", "z"), paths=paths)
    choice = start_choice.StartChoice([one])
    keys = {meaning: key for key, meaning, _ in start_choice.HINTS}
    assert keys["choose"] == "Arrows"

    def press():
        number = until(lambda: windows_of(os.getpid()))[-1]
        tool("xdotool", "windowfocus", "--sync", number)
        tool("xdotool", "key", "Right", KEYSYMS[keys["play"]])

    thread = threading.Thread(target=press)
    thread.start()
    chosen = choice.run()
    thread.join()
    start_choice.pygame.display.quit()
    assert chosen == ("a", 1)
