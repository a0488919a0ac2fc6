"""The window on a display with nobody in front of it: real keys, real pictures.

A picture that is zoomed by whole pixels can be read back exactly, so a screenshot is compared with
the frame itself, bit for bit.
"""

import os
import shutil
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest

from envs.world_model import WorldModelEnv
from tests.support.players import ROOT, SECONDS, TOOLS, screenshot, until, windows_of
from worldsim.runtime.core.control import Keyboard
from worldsim.runtime.core.loading_stage import LoadingStage
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.session.command_queue import Keys
from worldsim.runtime.session.loading import LoadedWorld, WorldLoader
from worldsim.runtime.session.session import Session
from worldsim.runtime.session.state import State
from worldsim.world.depth_view import DepthView

ZOOM = 16


@pytest.fixture
def window(display, monkeypatch):
    """The module, on the display; its windows are closed afterwards."""
    for tool in TOOLS:
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool}: install xdotool and imagemagick")
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    from worldsim.runtime.window import window

    yield window
    window.pygame.display.quit()


def xdotool(*words):
    return subprocess.run(["xdotool", *map(str, words)], check=True, capture_output=True)


def find_window():
    return until(lambda: windows_of(os.getpid()))[-1]


class Driven:
    """A session in a window, driven by a test on another thread while pygame has this one.

    The test's thread calls are made in order; its failure, or its end, closes the window.
    """

    def __init__(self, window, session, **options):
        self.session = session
        self.keys = Keys(session.opening, session.controller.latch, session.command_queue)
        self.window = window.Window("A test", (16, 16), zoom=ZOOM, **options)
        session.sinks.append(self.window)
        self.failure = None

    def run(self, test):
        def drive():
            try:
                self.number = find_window()
                xdotool("windowfocus", "--sync", self.number)
                test(self)
            except BaseException as failure:
                self.failure = failure
            finally:
                self.session.command_queue.stop()

        thread = threading.Thread(target=drive)
        thread.start()
        self.window.run(self.session.run, self.keys)
        thread.join()
        if self.failure is not None:
            raise self.failure

    def key(self, verb, name):
        xdotool(verb, name)

    def picture(self):
        return screenshot(self.number)[0]

    def shows(self, frame):
        """Whether the frame is on the screen, apart from the text over it."""
        small = self.picture()[ZOOM // 2 : 16 * ZOOM : ZOOM, ZOOM // 2 :: ZOOM]
        return small.shape == frame.shape and np.array_equal(small[8:13], frame[8:13])


@pytest.fixture
def session(make_fake_world):
    place = PlayableEnv(WorldModelEnv(make_fake_world()), "FARDMLab-v0", {})
    return Session(LoadedWorld(place), Keyboard(), seed=0, fps=0, runs_on=False)


def test_the_frame_is_shown_exactly_and_keys_move(window, session):
    def play(driven):
        until(lambda: session.playthrough and driven.shows(session.frame))
        first = session.frame
        driven.key("key", "w")
        # At least once: how long xdotool holds a key is not ours to say.
        until(lambda: session.made and session.state is State.WAITING)
        until(lambda: driven.shows(session.frame))
        assert not np.array_equal(session.frame, first)
        assert session.playthrough.track.moves[0].action == 2
        driven.key("keydown", "Left")
        until(lambda: session.made > 20)
        driven.key("keyup", "Left")
        until(lambda: session.state is State.WAITING)
        made = session.made
        driven.key("keydown", "BackSpace")
        until(lambda: session.state is State.REWINDING and session.number < made - 3)
        driven.key("keyup", "BackSpace")
        until(lambda: session.state is State.WAITING)
        assert session.playthrough.track.number < made - 2
        until(lambda: driven.shows(session.frame))

    Driven(window, session, hud=False).run(play)


def test_figures_and_help_come_and_go(window, session):
    def play(driven):
        until(lambda: session.playthrough and driven.shows(session.frame))
        foot = driven.picture()[16 * ZOOM :]
        assert foot.any()
        driven.key("key", "h")
        until(lambda: not driven.shows(session.frame))  # it is smaller, with figures beside it
        driven.key("key", "h")
        until(lambda: not driven.picture()[-8:].any())  # and now the picture has all the room
        plain = driven.picture()
        driven.key("key", "F1")
        until(lambda: not np.array_equal(driven.picture(), plain))
        pages = int(driven.window.around.helped[-1].rpartition(" ")[2].strip(")"))
        assert pages > 1  # in so small a window
        for page in range(2, pages + 1):
            driven.key("key", "F1")
            told = f"({page} of {pages})"
            until(lambda told=told: driven.window.around.helped[-1].endswith(told))
        driven.key("key", "F1")
        until(lambda: np.array_equal(driven.picture(), plain))
        driven.key("key", "k")
        until(lambda: not np.array_equal(driven.picture(), plain))
        assert session.made == 0

    Driven(window, session).run(play)


def test_the_whole_screen_begins_at_its_corner(window, session):
    """No window manager moves it there, and the picture was cut off; back, it is where it was."""

    def place(driven):
        told = xdotool("getwindowgeometry", "--shell", driven.number).stdout.decode().split()
        return told[1:5]  # X, Y, WIDTH, HEIGHT

    def play(driven):
        until(lambda: session.playthrough)
        xdotool("windowmove", driven.number, 300, 200)
        until(lambda: "X=300" in place(driven))
        before = place(driven)
        driven.key("key", "F11")
        until(lambda: place(driven)[:2] == ["X=0", "Y=0"] and place(driven)[2] != before[2])
        driven.key("key", "F11")
        until(lambda: place(driven) == before)

    Driven(window, session).run(play)


def test_escape_ends_within_a_moment(window, session):
    def play(driven):
        until(lambda: session.playthrough)
        driven.key("key", "Escape")
        until(lambda: session.state is State.CLOSED)

    Driven(window, session).run(play)


def test_escape_closes_what_is_open_before_it_ends_anything(window, session):
    def play(driven):
        until(lambda: session.playthrough)
        driven.key("key", "F1")
        until(lambda: driven.window.around.helped)
        driven.key("key", "Escape")
        until(lambda: not driven.window.around.helped)
        driven.key("key", "Tab")
        until(lambda: session.state is State.CHOOSING)
        until(lambda: driven.window._shot.status.state == State.CHOOSING.value)
        driven.key("key", "Escape")
        until(lambda: session.state is State.WAITING)
        assert session.made == 0
        until(lambda: driven.window._shot.status.state == State.WAITING.value)
        driven.key("key", "Escape")
        until(lambda: session.state is State.CLOSED)

    Driven(window, session).run(play)


def test_closing_the_window_closes_the_session(window, session):
    def play(driven):
        until(lambda: session.playthrough)
        window.pygame.event.post(window.pygame.event.Event(window.pygame.QUIT))
        until(lambda: session.state is State.CLOSED)

    Driven(window, session).run(play)


def test_a_resized_window_shows_whole_pixels_in_the_middle(window, session):
    def play(driven):
        until(lambda: session.playthrough and driven.shows(session.frame))
        xdotool("windowsize", "--sync", driven.number, 100, 70)

        def is_shown():
            picture = driven.picture()
            inside = picture[3 : 3 + 64, 18 : 18 + 64][2::4, 2::4]
            return picture.shape == (70, 100, 3) and np.array_equal(inside, session.frame)

        until(is_shown)
        assert not driven.picture()[:, :18].any()
        xdotool("windowsize", "--sync", driven.number, 1, 1)
        until(lambda: driven.picture().shape == (1, 1, 3))
        xdotool("windowsize", "--sync", driven.number, 100, 70)
        until(is_shown)

    Driven(window, session, hud=False).run(play)


def test_the_window_lives_while_the_world_is_slow(window, make_fake_world):
    """The first picture and the keys must not wait for a network that thinks."""
    gate, preview = threading.Event(), np.full((16, 16, 3), (10, 200, 30), np.uint8)

    class Slow(WorldLoader):
        def stages(self, seed, spawn):
            yield LoadingStage("loading", 0.3)
            gate.wait(SECONDS)
            self.place = PlayableEnv(WorldModelEnv(make_fake_world()), "FARDMLab-v0", {})
            self.actions = self.place.actions

    session = Session(Slow("FARDMLab-v0", preview=preview), Keyboard(), seed=0, runs_on=False)

    def play(driven):
        until(lambda: driven.shows(preview))
        first = driven.picture()
        until(lambda: not np.array_equal(driven.picture(), first))  # the dots walk
        assert driven.shows(preview)
        assert session.state is State.WARMUP
        gate.set()
        until(lambda: session.playthrough and driven.shows(session.frame))

    Driven(window, session, hud=False).run(play)


def test_a_world_that_does_not_come_back_is_left(window, make_fake_world, monkeypatch):
    monkeypatch.setattr(window, "PATIENCE_SECONDS", 0.2)
    world, gate = make_fake_world(), threading.Event()
    step = world.step
    world.step = lambda *a: (gate.wait(SECONDS), step(*a))[1]
    place = PlayableEnv(WorldModelEnv(world), "FARDMLab-v0", {})
    session = Session(LoadedWorld(place), Keyboard(), seed=0, fps=0, runs_on=True)
    Driven(window, session).run(lambda driven: until(lambda: session.state is State.RUNNING))
    assert session.state is not State.CLOSED
    gate.set()
    until(lambda: session.state is State.CLOSED)


def test_a_world_of_one_frame_a_second_is_waited_for_with_a_word(window, make_fake_world):
    """The window answers within a moment, shows that it is alive, and is left at once."""
    world = make_fake_world()
    step = world.step
    world.step = lambda *a: (time.sleep(1.5), step(*a))[1]
    place = PlayableEnv(WorldModelEnv(world), "FARDMLab-v0", {})
    session = Session(LoadedWorld(place), Keyboard(), seed=0, fps=0, runs_on=True)

    def play(driven):
        until(lambda: session.made)
        until(lambda: driven.picture()[-30:, :40].max() == 255)  # "One moment", in white
        before = driven.window.beats[-1]
        driven.key("key", "F1")
        until(lambda: driven.window.beats[-1] > before)
        until(lambda: driven.picture()[:60, :60].max() == 255)
        driven.key("key", "Escape")
        until(lambda: not driven.window.around.helped)
        driven.key("key", "Escape")
        asked = time.monotonic()
        until(lambda: session.state is State.CLOSED)
        assert time.monotonic() - asked < 10

    Driven(window, session, hud=False).run(play)


def test_a_key_that_is_down_when_another_window_takes_over_is_let_go(window, session):
    """Its release goes to the other window: the player would walk for ever."""

    def play(driven):
        until(lambda: session.playthrough)
        driven.key("keydown", "w")
        until(lambda: session.made > 2)
        xdotool("windowunmap", "--sync", driven.number)
        until(lambda: not driven.keys.held())
        until(lambda: session.state is State.WAITING)

    try:
        Driven(window, session).run(play)
    finally:
        xdotool("keyup", "w")


def test_a_file_dropped_on_the_window_is_a_start(window, session, tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), picture[..., ::-1])

    def play(driven):
        until(lambda: session.playthrough)
        event = window.pygame.event.Event(window.pygame.DROPFILE, file=str(tmp_path / "a.png"))
        window.pygame.event.post(event)
        until(lambda: driven.shows(picture))

    Driven(window, session, hud=False).run(play)


@pytest.mark.parametrize(
    ("desktop", "pixels"), [((1280, 1024), 640), ((1920, 1080), 640), ((3840, 2160), 1080)]
)
def test_a_fine_screen_gets_a_larger_window(window, desktop, pixels):
    from worldsim.runtime.window.screen import comfortable

    assert comfortable([desktop]) == pixels
    assert comfortable([]) == 640


def test_a_fault_of_the_session_reaches_the_caller(window):
    class Broken(WorldLoader):
        def stages(self, seed, spawn):
            yield LoadingStage("loading", 0.3)
            raise ValueError("no such world")

    session = Session(Broken("X-v0"), Keyboard(), seed=0)
    shown = window.Window("A test", (16, 16))
    with pytest.raises(ValueError, match="no such world"):
        shown.run(
            session.run, Keys(session.opening, session.controller.latch, session.command_queue)
        )


def test_the_viewer_of_an_environment(window, make_fake_world):
    env = WorldModelEnv(make_fake_world(), render_mode="human", zoom=ZOOM)
    env.reset(seed=0)
    frame = env.step(2)[0]
    number = find_window()
    small = screenshot(number)[0][ZOOM // 2 :: ZOOM, ZOOM // 2 :: ZOOM]
    assert np.array_equal(small, frame)
    window.pygame.event.post(window.pygame.event.Event(window.pygame.QUIT))
    assert env.step(2)[3]
    env.close()


@pytest.mark.parametrize(
    ("room", "size"),
    [((640, 640), (640, 640)), ((100, 70), (64, 64)), ((8, 100), (8, 8)), ((0, 0), (1, 1))],
)
def test_pictures_fit(window, room, size):
    assert window.fit_size((16, 16), room) == size


@pytest.mark.parametrize("dead_display", [None, ":987"])
def test_no_display_is_one_sentence(dead_display):
    """SDL falls back to a driver that shows nothing, without a word."""
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    env["PYTHONPATH"] = str(ROOT)
    if dead_display is not None:
        env["DISPLAY"] = dead_display
    code = "from worldsim.runtime.window.window import Window; Window('a', (16, 16))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 1
    assert "NoDisplay: There is no display to open a window on" in done.stderr
    assert "--headless N" in done.stderr


def test_settings_open_over_the_picture_and_the_mouse_turns(window, session, tmp_path, monkeypatch):
    """Keys go to the page and not to the world; colours change at once."""
    monkeypatch.setenv("WORLDSIM_CONFIG", str(tmp_path))

    def play(driven):
        until(lambda: session.playthrough and driven.shows(session.frame))
        driven.key("key", "comma")
        until(lambda: any("sampler steps" in line for line in driven.window.around.helped))
        for _ in range(7):
            driven.key("key", "Down")
        driven.key("key", "Right")
        until(lambda: driven.picture()[-3, -3].min() > 230)
        driven.key("key", "Return")
        until(lambda: not driven.window.around.helped)
        assert session.made == 0
        assert (tmp_path / "settings.yaml").read_text() == "palette: light\n"
        xdotool("mousemove", "--window", driven.number, 60, 60, "mousedown", 1)
        xdotool("mousemove", "--window", driven.number, 195, 60, "mouseup", 1)
        until(lambda: session.made >= 2)
        turns = {move.action for move in session.playthrough.track.moves}
        assert turns == {1}
        xdotool("mousemove", 1279, 1023)  # windows of other tests are not pointed at

    Driven(window, session).run(play)


def test_a_drag_turns_by_its_angle_where_a_world_can(window, tiny_spatial_world):
    """Not by whole turns of 22.5 degrees, and by no more than that in one frame."""
    place = PlayableEnv(WorldModelEnv(tiny_spatial_world), "FARDMLab-v0", {})
    session = Session(LoadedWorld(place), Keyboard(), seed=0, fps=0, runs_on=False)

    def play(driven):
        until(lambda: session.playthrough and session.state is State.WAITING)
        until(lambda: driven.window._drawn)
        xdotool("mousemove", "--window", driven.number, 60, 60, "mousedown", 1)
        xdotool("mousemove", "--window", driven.number, 195, 60, "mouseup", 1)
        angle = -90 * 135 / driven.window._screen.room().width
        until(lambda: session.made >= 3)  # 47 degrees
        turns = [move.control[0] for move in session.playthrough.track.moves]
        assert sum(turns) == pytest.approx(angle, abs=0.5)
        assert min(turns) >= -22.5
        xdotool("mousemove", 1279, 1023)  # windows of other tests are not pointed at

    Driven(window, session).run(play)


def test_a_finger_brings_keys_that_move_while_they_are_held(window, session):
    """The first touch shows them; a thumb walks on and on until it comes up. And a click in a world
    that does not know how far things are is answered by one sentence.
    """

    def finger(driven, kind, place):
        width, height = driven.window._screen.room()[2:]
        told = {"finger_id": 5, "x": place[0] / width, "y": place[1] / height}
        pygame.event.post(pygame.event.Event(getattr(pygame, f"FINGER{kind}"), **told))

    def play(driven):
        until(lambda: session.playthrough and driven.shows(session.frame))
        assert driven.window.around.pad == ()
        for kind in ("DOWN", "UP"):
            finger(driven, kind, (100, 20))
        until(lambda: driven.window.around.pad)
        ahead = [key.key for key in driven.window.around.pad].index("w")
        until(lambda: driven.window._scene.placed.pad)
        cell = driven.window._scene.placed.pad[ahead]
        middle = cell.x + cell.width // 2, cell.y + cell.height // 2
        finger(driven, "DOWN", middle)
        until(lambda: session.made >= 3)
        until(lambda: (driven.picture()[cell.y + 6, middle[0]] == (86, 180, 233)).all())
        finger(driven, "UP", middle)
        until(lambda: session.state is State.WAITING)
        until(lambda: not driven.window.around.held)
        assert {move.action for move in session.playthrough.track.moves} == {2}
        made = session.made
        shown = driven.window._scene.placed.picture
        xdotool("mousemove", "--window", driven.number, shown.x + 30, shown.y + 30, "click", 1)
        until(lambda: "does not know how far" in driven.window._shot.status.note)
        assert session.made == made
        xdotool("mousemove", 1279, 1023)

    pygame = window.pygame
    Driven(window, session).run(play)


def test_beside_a_map_the_dream_is_walked_in_and_the_map_says_so(window, make_fake_world):
    class Known(PlayableEnv):
        """A world that knows how far things are, and has a map."""

        remembers_space = knows_distances = True
        view = DepthView(np.full((2, 2), 0.5, np.float32), np.zeros(3, np.float32), 90.0, 30.0)

        def draw_map(self, pixels, reach):
            return np.zeros((pixels, pixels, 3), np.uint8)

    def click(driven, place):
        where = place.x + place.width // 4, place.y + place.height // 2
        xdotool("mousemove", "--window", driven.number, *where, "click", 1)

    def play(driven):
        until(lambda: session.playthrough and driven.shows(session.frame))
        driven.key("key", "F3")
        (above,) = until(lambda: driven.window._scene.placed.beside)
        click(driven, above)
        until(
            lambda: driven.window._hint == "Only the dream can be walked in: click on its picture."
        )
        assert session.made == 0
        click(driven, driven.window._scene.placed.picture)
        until(lambda: session.made)
        xdotool("mousemove", 1279, 1023)

    place = Known(WorldModelEnv(make_fake_world()), "FARDMLab-v0", {})
    session = Session(LoadedWorld(place), Keyboard(), seed=0, fps=0, runs_on=False)
    Driven(window, session).run(play)


def test_a_click_on_a_hint_does_what_its_key_does(window, session):
    """Hints looked like buttons and were none, so did pictures to pick from; and nothing but a key
    closed the help.
    """

    def play(driven):
        shown = driven.window

        def find(meaning):
            return next(hint for hint in shown.around.hints if hint.meaning == meaning)

        def point_at(meaning):
            until(lambda: any(cell.width for cell in shown._scene.placed.hints))
            cell = shown._scene.placed.hints[shown.around.hints.index(find(meaning))]
            assert cell.width, "it has room"
            middle = cell.x + cell.width // 2, cell.y + cell.height // 2
            xdotool("mousemove", "--window", driven.number, *middle)

        until(lambda: session.playthrough and shown.around.hints)
        driven.key("key", "Tab")
        cell = until(lambda: len(shown._scene.placed.picks) > 1 and shown._scene.placed.picks[1])
        middle = cell.x + cell.width // 2, cell.y + cell.height // 2
        xdotool("mousemove", "--window", driven.number, *middle, "click", 1)
        until(lambda: session.playthrough.track.start.options.get("spawn") == 1)
        point_at("left")
        xdotool("mousedown", 1)
        until(lambda: session.made > 3)  # as long as it is held
        xdotool("mouseup", 1)
        assert {move.action for move in session.playthrough.track.moves} == {0}
        point_at("all keys")
        xdotool("click", 1)
        until(lambda: shown.around.helped)
        until(lambda: xdotool("click", 1) and not shown.around.helped, pause=0.5)
        xdotool("mousemove", 1279, 1023)

    Driven(window, session).run(play)


def test_a_language_that_is_chosen_counts_at_once(window, session, tmp_path, monkeypatch):
    """Hints, what is said of a key without a use, and the help with the foot of its pages."""
    monkeypatch.setenv("WORLDSIM_CONFIG", str(tmp_path))

    def play(driven):
        shown, told = driven.window, driven.window._screen._tell
        until(lambda: session.playthrough)
        driven.key("key", "comma")
        until(lambda: shown.around.helped)
        for name in ("Down",) * 8 + ("Right",) * 2:
            driven.key("key", name)
        until(lambda: told("forward") == "vorwärts")
        driven.key("key", "Return")
        until(lambda: not shown.around.helped)
        assert (tmp_path / "settings.yaml").read_text() == "language: de\n"
        driven.key("key", "k")
        until(lambda: told(shown._hint).startswith("K hat hier keine Funktion: A Left links"))
        driven.key("key", "F1")
        until(lambda: shown.around.helped)
        assert told(shown.around.helped[0]) == "A Left\tlinks"
        assert told(shown.around.helped[-1]).startswith("F1: weiter (1 von ")

    Driven(window, session).run(play)
