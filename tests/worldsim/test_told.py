"""Every screen in another language: nothing that is drawn stays English.

The language is made up: the letters of all that the tables hold are Cyrillic ones, those of fields
stay. So a word in Latin letters is one that did not go through the tables, or is a name.
"""

import re
import string
import tempfile
from pathlib import Path

import pytest

from envs.world_model import WorldModelEnv
from tests.support.players import FakeClock
from worldsim.runtime.core.bindings import Bindings
from worldsim.runtime.core.control import Keyboard, RandomWalk
from worldsim.runtime.core.drivers import Drivers
from worldsim.runtime.core.intents import INTENTS, REPLAY_INTENTS, format_key
from worldsim.runtime.core.language import find_words
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.core.settings import Settings
from worldsim.runtime.core.settings_page import LANGUAGE_NAMES
from worldsim.runtime.core.status import Status
from worldsim.runtime.panels.comparison import ComparisonPanel
from worldsim.runtime.recording.recorder import Recorder
from worldsim.runtime.recording.recording import read_recording
from worldsim.runtime.recording.recording_env import Projector, RecordingEnv
from worldsim.runtime.recording.saves import Saves
from worldsim.runtime.recording.share import Sharer
from worldsim.runtime.session.command_queue import Keys
from worldsim.runtime.session.loading import LoadedWorld
from worldsim.runtime.session.session import Session
from worldsim.told import tell
from worldsim.world.starts import list_worlds

LETTERS = str.maketrans({letter: chr(0x430 + ord(letter) % 32) for letter in string.ascii_letters})
# Names, which are the same in every language: of the world that is played, and of keys.
WORLD = ("FARDMLab", "dmlab", "fake", "spawn")
NAMES = {"Pad"}


def scramble(text):
    """A text in Cyrillic letters, with its fields as they were."""
    parts = re.split(r"(\{[^}]*\})", text)
    return "".join(part if part.startswith("{") else part.translate(LETTERS) for part in parts)


@pytest.fixture
def shown(monkeypatch):
    """The module of the window, without a display, and all that it draws as text."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    from worldsim.runtime.window import screen, window

    drawn, words = [], {text: scramble(text) for text in find_words("de")}

    class Pen(screen.pygame.font.Font):
        def render(self, text, *rest):
            drawn.append(text)
            return super().render(text, *rest)

    monkeypatch.setattr(screen.pygame.font, "Font", Pen)
    monkeypatch.setattr(screen, "find_words", lambda language: words)
    yield window, drawn
    screen.pygame.display.quit()


@pytest.fixture
def tmp_path():
    """With a name so short that no row breaks it."""
    with tempfile.TemporaryDirectory(prefix="k") as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    """A folder with a name so short that no row breaks it, and of no words."""
    monkeypatch.setenv("WORLDSIM_KEPT", "/k")


def list_english(drawn, *names):
    """Words in Latin letters that no table and no name accounts for."""
    keys = {key for table in (INTENTS, REPLAY_INTENTS) for one in table for key in one.keys}
    known = {*map(format_key, keys), *LANGUAGE_NAMES, "Up", "Down", "Left", "Right", *NAMES}
    known = {part for name in known for part in re.findall(r"[A-Za-z]+", name)}
    found = set()
    for text in drawn:
        for name in names:
            text = re.sub(re.escape(str(name)) + r"\S*", "", text)
        text = re.sub(r"\b(?=[a-f]*\d)[0-9a-f]{6,}\b", "", text)  # a hash is no word
        found |= {word for word in re.findall(r"[A-Za-z]{3,}", text) if word not in known}
    return found


class Walker:
    """Presses keys of a table, and draws what comes of each."""

    def __init__(self, module, session, **options):
        self.session = session
        usual = {"zoom": 40, "clock": session.clock}
        self.window = module.Window("A test", (16, 16), **usual | options)
        session.sinks.append(self.window)
        self.keys = Keys(session.opening, session.controller.latch, session.command_queue)

    def draw(self, ticks=4):
        for _ in range(ticks):
            self.session.tick()
            self.session.publish()
            self.window._draw(self.keys)
            self.session.clock.sleep(0.1)

    def press(self, name):
        self.window._key(self.keys.down(name, self.session.clock.now()))
        self.draw()
        self.keys.up(name)

    def press_all(self, intents):
        for intent in intents:
            for key in intent.keys if intent.name in ("scrub", "comparison") else intent.keys[:1]:
                if intent.name != "quit":
                    self.press(key)
        self.window._key("")


def test_play_says_nothing_but_by_the_tables(shown, make_fake_world, tmp_path, monkeypatch):
    """Every key twice: with nothing walked yet, and after a walk."""
    monkeypatch.setenv("WORLDSIM_CONFIG", str(tmp_path))
    module, drawn = shown
    place, clock = PlayableEnv(WorldModelEnv(make_fake_world()), "FARDMLab-v0", {}), FakeClock()
    session = Session(
        LoadedWorld(place),
        Drivers(Keyboard(), [RandomWalk(0)]),
        seed=0,
        fps=10,
        recorder=Recorder(tmp_path / "recordings"),
        saves=Saves(tmp_path / "saves"),
        sharer=Sharer(tmp_path / "shares"),
        clock=clock,
    )
    walker = Walker(module, session, shares=tmp_path, settings=Settings(touch_pad="always"))
    walker.draw()
    for _ in range(2):
        walker.press_all(INTENTS)
        for key in ("w", "a", "k", "f6"):
            walker.press(key)
        walker.window._page = None
    session.close()
    assert len(set(drawn)) > 200
    assert not list_english(drawn, tmp_path, "recordings", *WORLD)


def test_a_recording_says_nothing_but_by_the_tables(shown, make_fake_world, tmp_path):
    module, drawn = shown
    place = PlayableEnv(WorldModelEnv(make_fake_world()), "FARDMLab-v0", {})
    recorder = Recorder(tmp_path, on=True)
    played = Session(LoadedWorld(place), RandomWalk(1), seed=4, fps=0, recorder=recorder)
    played.run(5)
    (folder,) = recorder.made
    recording = read_recording(folder)
    recording_env = RecordingEnv(recording, folder)
    opening = LoadedWorld(recording_env, Bindings(intents=REPLAY_INTENTS))
    session = Session(opening, Projector(recording_env), seed=4, clock=FakeClock())
    session.controller.latch = Keyboard().latch
    session.comparisons = ComparisonPanel(recording)
    walker = Walker(module, session, shares=tmp_path)
    walker.draw()
    walker.press_all(REPLAY_INTENTS)
    assert not list_english(drawn, folder.name, tmp_path, "recordings", *WORLD)


@pytest.mark.parametrize("zoom", [20, 40])
def test_a_small_window_says_less_and_cuts_nothing(shown, make_fake_world, zoom, tmp_path):
    """At 320 pixels what came last was cut off: whether it records, and the name of a start."""
    from worldsim.runtime.window.start_choice import StartChoice

    module, _ = shown
    place = PlayableEnv(WorldModelEnv(make_fake_world()), "FARDMLab-v0", {})
    opening = LoadedWorld(place, title="A maze of four quadrants")
    session = Session(opening, Keyboard(), seed=0, fps=0, clock=FakeClock())
    walker = Walker(module, session, zoom=zoom)
    walker.draw()
    status = Status(title=opening.title, state="running", fps=7.5, recording="recording 0:12")
    words = walker.window._around(status, walker.keys, 0.0, []).words
    assert walker.window._screen.fits(words, 16 * zoom)
    assert words.endswith("playing   7.5 frames a second   recording 0:12")
    assert words.startswith("A maze") == (zoom == 40)
    choice = StartChoice(list_worlds(tmp_path), ("dmlab", 4), zoom=zoom // 4)
    assert choice.screen.fits(choice._describe(), 16 * zoom)
    assert choice._describe().endswith("The grey corridor, as last time")


def test_loading_and_the_choice_say_nothing_but_by_the_tables(shown, tmp_path, monkeypatch):
    from worldsim.runtime.window.start_choice import StartChoice

    monkeypatch.setenv("WORLDSIM_CONFIG", str(tmp_path))
    monkeypatch.setenv("WORLDSIM_CACHE", str(tmp_path))
    _, drawn = shown
    choice = StartChoice(list_worlds(tmp_path), ("dmlab", 1), zoom=10)
    assert choice.screen._tell(tell("quit")) == scramble("quit")
    for key in ("right", "left", ","):
        choice.draw()
        choice._press(key)
    for key in ("down", "right") * 13:
        choice.draw()
        choice._page.press(key)
    choice._page = None
    choice._press("return")
    choice.draw()
    assert len(set(drawn)) > 60
    assert not list_english(drawn, "dmlab", "minecraft", "recordings")
