"""Gamepads: a real one for SDL, made of software, plugged in and out while the window is open."""

import ctypes
import re
from pathlib import Path

import pytest

from envs.world_model import WorldModelEnv
from tests.support.players import Played
from worldsim.actions import load_actions
from worldsim.runtime.core.bindings import Bindings, read_bindings
from worldsim.runtime.core.control import Keyboard
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.core.settings import Settings
from worldsim.runtime.core.status import format_help
from worldsim.runtime.session.loading import LoadedWorld
from worldsim.runtime.session.state import State

FORWARD = 2
JOYSTICK, GAMEPAD = 0, 1  # SDL_JoystickType: SDL knows the controls of the second by their names
A, B, X, LEFT_DPAD, START = 0, 1, 2, 13, 6  # SDL_GameControllerButton


class VirtualPad:
    """A gamepad of SDL's own; it reports buttons and sticks like one in a socket."""

    def __init__(self, sdl, kind=GAMEPAD, axes=6, buttons=15, hats=0):
        self.sdl = sdl
        self.index = sdl.SDL_JoystickAttachVirtual(kind, axes, buttons, hats)
        assert self.index >= 0, sdl.SDL_GetError()
        self.handle = sdl.SDL_JoystickOpen(self.index)

    def button(self, number, is_down):
        assert self.sdl.SDL_JoystickSetVirtualButton(self.handle, number, is_down) == 0

    def axis(self, number, value):
        assert self.sdl.SDL_JoystickSetVirtualAxis(self.handle, number, int(32767 * value)) == 0

    def hat(self, value):
        assert self.sdl.SDL_JoystickSetVirtualHat(self.handle, 0, value) == 0

    def unplug(self):
        self.sdl.SDL_JoystickClose(self.handle)
        assert self.sdl.SDL_JoystickDetachVirtual(self.index) == 0


@pytest.fixture
def sdl(monkeypatch):
    """The very SDL that pygame has loaded."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    from worldsim.runtime.window.screen import pygame

    pygame.display.init()
    loaded = Path("/proc/self/maps").read_text()
    library = ctypes.CDLL(re.search(r"(/\S*libSDL2-2\S*)", loaded)[1])
    library.SDL_JoystickOpen.restype = library.SDL_GetError.restype = ctypes.c_char_p
    library.SDL_JoystickOpen.restype = ctypes.c_void_p
    for name in ("SetVirtualButton", "SetVirtualAxis", "SetVirtualHat"):
        value = ctypes.c_int16 if name.endswith("Axis") else ctypes.c_uint8
        getattr(library, f"SDL_Joystick{name}").argtypes = [ctypes.c_void_p, ctypes.c_int, value]
    library.SDL_JoystickClose.argtypes = [ctypes.c_void_p]
    yield library
    pygame.display.quit()


class Handed:
    """A session, and the gamepads that steer it the way the window lets them."""

    def __init__(self, world, bindings=None):
        from worldsim.runtime.window.gamepad import Gamepads
        from worldsim.runtime.window.screen import pygame

        self.pygame, self.pads = pygame, Gamepads()
        place = PlayableEnv(WorldModelEnv(world), "FARDMLab-v0", {})
        self.played = Played(LoadedWorld(place, bindings or Bindings()), Keyboard())
        self.listen()

    def listen(self):
        """What the window does with events."""
        for event in self.pygame.event.get():
            for key, is_down in self.pads.keys(event):
                self.played.keys.down(key, 0.0) if is_down else self.played.keys.up(key)
        return self

    def ticks(self, count):
        self.listen().played.ticks(count)
        return self.played


@pytest.fixture
def handed(sdl, make_fake_world):
    return Handed(make_fake_world())


def test_a_gamepad_is_plugged_in_moves_and_is_pulled_out(handed, sdl):
    """A button that is held while the plug is pulled would be down for ever."""
    assert not handed.pads.any
    pad = VirtualPad(sdl)
    handed.listen()
    assert handed.pads.any
    pad.button(A, 1)
    assert handed.ticks(3).seen.actions == [FORWARD] * 3
    pad.unplug()
    assert handed.ticks(3).seen.actions == [FORWARD] * 3
    assert not handed.pads.any
    again = VirtualPad(sdl)
    handed.listen()
    again.button(LEFT_DPAD, 1)
    assert handed.ticks(2).seen.actions[3:] == [0, 0]
    again.button(LEFT_DPAD, 0)
    assert len(handed.ticks(2).seen.actions) == 5
    again.unplug()


def test_a_stick_does_not_flutter_and_shares_with_the_cross(handed, sdl):
    pad = VirtualPad(sdl)
    for far, moves in ((0.3, 0), (0.7, 1), (0.5, 2), (0.3, 2), (-0.7, 3)):
        handed.listen()
        pad.axis(0, -far)
        assert len(handed.ticks(1).seen.actions) == moves
    assert handed.played.seen.actions == [0, 0, 1]
    pad.axis(0, -0.9)
    pad.button(LEFT_DPAD, 1)
    handed.listen()
    pad.axis(0, 0)
    assert handed.ticks(1).seen.actions[-1] == 0  # the cross is still down
    pad.button(LEFT_DPAD, 0)
    made = len(handed.played.seen.actions)
    assert len(handed.ticks(2).seen.actions) == made
    pad.unplug()


def test_the_buttons_do_what_the_table_says(handed, sdl):
    pad = VirtualPad(sdl)
    handed.listen()
    for button in (START, X):
        pad.button(button, 1)
        handed.ticks(1)
        pad.button(button, 0)
        if button == START:
            assert handed.ticks(1).session.state is State.PAUSED
    assert handed.ticks(1).session.state is State.CHOOSING
    pad.button(B, 1)
    assert handed.ticks(1).session.state is not State.CHOOSING
    pad.unplug()


def test_a_joystick_nobody_knows_counts_its_buttons(handed, sdl):
    stick = VirtualPad(sdl, kind=JOYSTICK, axes=2, buttons=4, hats=1)
    handed.listen()
    stick.button(0, 1)
    assert handed.ticks(1).seen.actions == [FORWARD]
    stick.button(0, 0)
    stick.hat(8)  # SDL_HAT_LEFT
    assert handed.ticks(1).seen.actions == [FORWARD, 0]
    stick.hat(0)
    stick.axis(0, 0.9)
    assert handed.ticks(1).seen.actions == [FORWARD, 0, 1]
    stick.unplug()


@pytest.mark.parametrize(("is_on", "held"), [(True, ("pad a",)), (False, ())])
def test_the_settings_switch_gamepads_off(sdl, make_fake_world, is_on, held):
    """In the window itself, which has no focus here: SDL is told to report buttons all the same."""
    from worldsim.runtime.window.window import Window

    assert sdl.SDL_SetHint(b"SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS", b"1")
    place = PlayableEnv(WorldModelEnv(make_fake_world()), "FARDMLab-v0", {})
    played = Played(LoadedWorld(place, Bindings()), Keyboard())
    window, pad = Window("A test", (16, 16), settings=Settings(gamepad=is_on)), VirtualPad(sdl)
    window._listen(played.keys)
    pad.button(A, 1)
    window._listen(played.keys)
    assert played.keys.held() == held
    pad.button(A, 0)
    window._listen(played.keys)
    assert played.keys.held() == ()
    pad.unplug()


def test_own_keys_leave_the_gamepad_alone_unless_they_name_it(sdl, make_fake_world, tmp_path):
    """A player who changed W would lose the A button."""
    path = tmp_path / "keys.yaml"
    path.write_text("intents: {rewind: r, pause: [pad x]}\nactions: {forward: [z]}\n")
    handed = Handed(make_fake_world(), read_bindings(path))
    keys = {intent.name: intent.keys for intent in handed.played.keys.intents}
    assert keys["rewind"] == ("r", "pad b")
    assert keys["pause"] == ("pad x",)
    assert keys["action_preview"] == ("b",)
    pad = VirtualPad(sdl)
    handed.listen()
    pad.button(A, 1)
    assert handed.ticks(1).seen.actions == [FORWARD]
    pad.button(A, 0)
    pad.button(X, 1)
    assert handed.ticks(1).session.state is State.PAUSED
    pad.unplug()


def test_help_lists_a_gamepad_when_there_is_one():
    actions = Bindings().of(load_actions("dmlab"))
    assert "Pad" not in "".join(format_help(actions))
    rows = dict(line.split("\t")[::-1] for line in format_help(actions, pads=True))
    assert rows["forward"] == "W Up Pad-Up Pad-A"
    assert rows["hold to go back in time"] == "Backspace Pad-B"
