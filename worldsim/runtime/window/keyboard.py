"""The keyboard as SDL knows it: the place of a key, and what is printed on every place.

pygame tells what a key prints once it was pressed; SDL knows it before, but pygame has no name for
that question, so SDL's own library is asked. Where it cannot be found, keys are learnt as they are
pressed.
"""

import ctypes
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from worldsim.runtime.core.key_press import PLACES, US, Layout
from worldsim.runtime.window.screen import pygame

_SIGNS = {
    **{"-": "MINUS", "=": "EQUALS", "[": "LEFTBRACKET", "]": "RIGHTBRACKET", "\\": "BACKSLASH"},
    **{";": "SEMICOLON", "'": "APOSTROPHE", "`": "GRAVE", ",": "COMMA", ".": "PERIOD"},
    "/": "SLASH",
}
_CODES = {place: getattr(pygame, f"KSCAN_{_SIGNS.get(place, place.upper())}") for place in PLACES}
_PLACES = {code: place for place, code in _CODES.items()} | {pygame.KSCAN_NONUSHASH: "\\"}
_VIDEO = 0x20  # SDL_INIT_VIDEO


class Keyboard:
    """What is printed on the player's keys; where nobody knows, what a US keyboard has there."""

    def __init__(self) -> None:
        sdl = find_sdl()
        self._ask = None if sdl is None else sdl.SDL_GetKeyFromScancode
        self._learnt: dict[str, str] = {}

    def name(self, event: pygame.event.Event) -> tuple[str, str]:
        """What is printed on the key of an event ("" where it has no name), and its place."""
        letter, place = _letter(event.key), _PLACES.get(event.scancode, "")
        if place and letter:
            self._learnt[place] = letter
        return letter, place

    def layout(self) -> Layout:
        """What is printed on every place, now: layouts are switched while one plays."""
        if self._ask is None:
            return {**US, **self._learnt}
        return {place: _letter(self._ask(code)) or place for place, code in _CODES.items()}


def _letter(code: int) -> str:
    # pygame's own names know no letters but Latin ones; SDL's are in capitals.
    with suppress(TypeError):
        return pygame.key.name(code) or pygame.key.name(code, use_compat=False).lower()
    return pygame.key.name(code)


def copy_text(text: str) -> bool:
    """Put text on the clipboard; whether there is one."""
    sdl = find_sdl()
    return sdl is not None and sdl.SDL_SetClipboardText(text.encode()) == 0


def find_sdl() -> ctypes.CDLL | None:
    """The very library that pygame's window is made with; None where it cannot be found."""
    for path in _libraries():
        with suppress(OSError, AttributeError):
            sdl = ctypes.CDLL(path)
            if sdl.SDL_WasInit(_VIDEO):
                sdl.SDL_GetKeyFromScancode.argtypes = [ctypes.c_int]
                sdl.SDL_GetKeyFromScancode.restype = ctypes.c_int32
                sdl.SDL_SetClipboardText.argtypes = [ctypes.c_char_p]
                return sdl
    return None


def _libraries() -> Iterator[str]:
    home = Path(pygame.__file__).parent
    if sys.platform == "win32":
        yield str(home / "SDL2.dll")
    elif sys.platform == "darwin":
        yield from map(str, home.glob(".dylibs/libSDL2-*.dylib"))
    else:
        with suppress(OSError):
            maps = Path("/proc/self/maps").read_text(errors="surrogateescape")
            yield from sorted(set(re.findall(r"(/.*/libSDL2-[^/\n]*\.so[^/\n]*)$", maps, re.M)))
