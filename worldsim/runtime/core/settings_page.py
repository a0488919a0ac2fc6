"""The page on which a player changes settings: rows of names and values, and what keys do there.
Draws nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from worldsim.runtime.core.bindings import read_bindings
from worldsim.runtime.core.settings import (
    LANGUAGES,
    PALETTES,
    TOUCH_PADS,
    UPSCALERS,
    Settings,
    parse_settings,
    read_settings,
    write_settings,
)
from worldsim.runtime.core.user_folder import kept_folder, recordings_folder, shorten
from worldsim.told import join, read_told, tell

TITLE = tell(
    "Settings: Up and Down choose, Left and Right change, or type; Enter keeps, Esc does not."
)
LATER = tell("World, steps, pace, keys and folders count from the next start.")
HEAD = (TITLE, "")
ON, OFF = tell("on"), tell("off")
LANGUAGE_NAMES = (tell("the system's"), "English", "Deutsch", "Français", "Español")
LEAVE, KEEP = ("escape",), ("return", "enter")


class Row(NamedTuple):
    """A setting: its field, what it is called, what it can be; to be typed where that is empty."""

    field: str
    title: str
    values: Sequence[Any] = ()
    names: Sequence[str] = ()


def list_rows(worlds: Sequence[str]) -> list[Row]:
    """The rows of the page, with the names of the worlds that are here."""
    steps, paces = (None, 1, 2, 3, 4, 8), (None, 5, 10, 15, 20, 30, 0)
    return [
        Row("world", tell("world"), ("", *worlds), (tell("the usual"), *worlds)),
        Row("steps", tell("sampler steps"), steps, (tell("by the pace"), *map(str, steps[1:]))),
        Row(
            "fps",
            tell("frames a second"),
            paces,
            (tell("the world's own"), *map(str, paces[1:-1]), tell("as fast as possible")),
        ),
        Row("keys", tell("file of your own keys")),
        Row("folder", tell("folder of all that is kept")),
        Row("recordings", tell("folder of recordings")),
        Row("upscaler", tell("enlarging"), UPSCALERS, (tell("nearest"), tell("smooth"))),
        Row("palette", tell("colours"), PALETTES, (tell("dark"), tell("light"))),
        Row("language", tell("language"), LANGUAGES, LANGUAGE_NAMES),
        Row("mouse", tell("mouse turns, walks"), (True, False), (ON, OFF)),
        Row(
            "touch_pad",
            tell("keys on the screen"),
            TOUCH_PADS,
            (tell("by touch"), tell("always"), tell("never")),
        ),
        Row("gamepad", tell("gamepad"), (True, False), (ON, OFF)),
        Row("sound", tell("sound"), (True, False), (ON, OFF)),
    ]


class SettingsPage:
    """What is marked, and what was changed so far.

    Args:
        worlds: names of the worlds that are here.

    Attributes:
        settings: with the changes; what is seen may follow them at once.
        open: whether the page is still to be seen.
    """

    def __init__(self, worlds: Sequence[str]) -> None:
        self._rows, self._at, self.open = list_rows(worlds), 0, True
        self._trouble = ""
        try:
            self.settings = read_settings()
        except (ValueError, OSError) as error:
            self.settings = Settings()
            self._trouble = tell("{reason} Enter writes it anew.", reason=read_told(error))
        self._before = self.settings

    def press(self, key: str, typed: str = "") -> None:
        """A key was pressed.

        Args:
            key: its name.
            typed: what it prints; empty for nothing.
        """
        row = self._rows[self._at]
        if key in LEAVE:
            self.settings, self.open = self._before, False
        elif key in KEEP:
            self._keep()
        elif key in ("up", "down"):
            self._at = (self._at + (1 if key == "down" else -1)) % len(self._rows)
        elif row.values:
            if key in ("left", "right"):
                self._change(row, 1 if key == "right" else -1)
        elif key == "backspace":
            self._put(row, getattr(self.settings, row.field)[:-1])
        elif typed.isprintable():
            self._put(row, getattr(self.settings, row.field) + typed)

    def _change(self, row: Row, way: int) -> None:
        value = getattr(self.settings, row.field)
        at = row.values.index(value) if value in row.values else 0
        self._put(row, row.values[(at + way) % len(row.values)])

    def _put(self, row: Row, value: Any) -> None:
        self.settings = replace(self.settings, **{row.field: value})

    def _keep(self) -> None:
        """Write the settings and leave; what cannot be kept is said, and the page stays."""
        settings = self.settings
        try:
            parse_settings(vars(settings), tell("This page"))
            if settings.keys:
                read_bindings(settings.keys)
            write_settings(settings)
        except (ValueError, OSError) as error:
            self._trouble = read_told(error)
            return
        self.open = False

    @property
    def marked_line(self) -> int:
        """The number of the line that is marked; the last one where it says what is wrong."""
        return len(self.lines()) - 1 if self._trouble else len(HEAD) + self._at

    def lines(self) -> list[str]:
        """The page as lines; a tab begins the second column."""
        found = [*HEAD]
        for number, row in enumerate(self._rows):
            mark = "> " if number == self._at else "   "
            found.append(join([mark, row.title, "\t", self._format(row, number == self._at)]))
        return [*found, "", LATER, *([self._trouble] if self._trouble else [])]

    def _describe_usual(self, field: str) -> str:
        """What an empty text stands for."""
        chosen = self.settings.folder
        folders = {
            "folder": kept_folder(chosen),
            "recordings": recordings_folder(kept=chosen),
        }
        return shorten(folders[field]) if field in folders else tell("none")

    def _format(self, row: Row, marked: bool) -> str:
        value = getattr(self.settings, row.field)
        if not row.values:
            usual = "" if value else self._describe_usual(row.field)
            return join([f"{value}_", usual], by=" ") if marked else value or usual
        known = dict(zip(row.values, row.names, strict=True))
        name = known.get(value, str(value))  # a file may hold others
        return join(["< ", name, " >"]) if marked else name
