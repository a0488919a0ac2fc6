"""The window's first screen: worlds and their starts as moving thumbnails, one to be played.

Thumbnails are the view of each start, with a short look around and back. They are read, and the
library of networks is loaded, on a thread beside the screen, so that playing begins the sooner.
"""

import importlib
import threading
from typing import NamedTuple

import numpy as np

from worldsim.runtime.core.clock import Clock
from worldsim.runtime.core.intents import Hint
from worldsim.runtime.core.pane_layout import Rect
from worldsim.runtime.core.settings import Settings
from worldsim.runtime.core.settings_page import SettingsPage
from worldsim.runtime.core.start_layout import (
    DIRECTIONS,
    GAP,
    StartLayout,
    cell_at,
    lay_out_starts,
    step_to,
)
from worldsim.runtime.window.gamepad import Gamepads
from worldsim.runtime.window.keyboard import Keyboard
from worldsim.runtime.window.screen import Screen, pygame
from worldsim.told import Told, join, tell
from worldsim.world.starts import WorldStarts, read_clip

TITLE = tell("Where do you want to begin?")
HINTS = (
    Hint(tell("Arrows"), tell("choose"), "right"),
    Hint("Enter", tell("play"), "return"),
    Hint(",", tell("settings"), ","),
    Hint("F11", tell("whole screen"), "f11"),
    Hint("Esc", tell("quit"), "escape"),
)
LETTERS = {"a": "left", "d": "right", "w": "up", "s": "down"}  # by their place
PADS = {f"pad {name}": name for name in DIRECTIONS} | {"pad a": "return", "pad b": "escape"}
PLAY, QUIT = ("return", "enter", "space"), ("escape",)
HOLD_SECONDS = 3.0  # the last picture of a thumbnail, from where play begins, stays so long,
LOOK_SECONDS = 0.16  # and each of those before it
FRAME_SECONDS = 0.04
WARM = ("worldsim.world.model",)  # takes seconds to import
SIZE = (64, 64)


class Chosen(NamedTuple):
    """What was chosen: a world and the number of its start."""

    world: str
    start: int


class StartChoice:
    """The screen.

    Args:
        worlds: to choose from, at least one.
        last: what was chosen last; marked at first where it is still there.
        zoom: screen pixels a pixel of the window that follows; None for a comfortable size.
        fullscreen: whether it takes the whole screen at first.
        settings: how it looks.
        said: about what was played before, until something is chosen.
        clock: where the time comes from.

    Attributes:
        fullscreen: whether it takes the whole screen.
        settings: as the player has changed them.
        screen: what it is drawn on.

    Raises:
        NoDisplay: there is no display.
    """

    def __init__(
        self,
        worlds: list[WorldStarts],
        last: tuple[str, int] | None = None,
        *,
        zoom: int | None = None,
        fullscreen: bool = False,
        settings: Settings | None = None,
        said: str = "",
        clock: Clock | None = None,
    ) -> None:
        self.screen = Screen("worldsim", SIZE, zoom, footed=True)
        self.settings = settings or Settings()
        self._page: SettingsPage | None = None
        self.screen.apply(self.settings)
        self._worlds, self._clock = worlds, clock or Clock()
        self.fullscreen = False
        if fullscreen:
            self._toggle_fullscreen()
        self._starts = [(w, n) for w, one in enumerate(worlds) for n in range(len(one.paths))]
        keys = [(worlds[w].world, n) for w, n in self._starts]
        self._last = keys.index(last) if last in keys else None
        self._at = self._last or 0
        self._clips: list[np.ndarray | None] = [None] * len(self._starts)
        self._keyboard, self._pads = Keyboard(), Gamepads()
        self._done, self._picked, self._said = False, False, said
        self._left = threading.Event()
        self._hinted: list[Rect] = []  # where the hints are

    def run(self) -> Chosen | None:
        """Show it until a start is chosen; None when the player wants to leave."""
        loader = threading.Thread(target=self._load, name="load thumbnails")
        loader.start()
        while not self._done:
            for event in pygame.event.get():
                self._listen(event)
            self.draw()
            self._clock.sleep(FRAME_SECONDS)
        self._left.set()
        self.draw()  # what follows takes a moment
        if not self._picked:
            self.screen.close()
            return None
        world, start = self._starts[self._at]
        return Chosen(self._worlds[world].world, start)

    def _load(self) -> None:
        """Read the clips, then import what playing needs."""
        self.read_clips()
        for name in () if self._left.is_set() else WARM:
            importlib.import_module(name)

    def read_clips(self) -> None:
        """Read the clips of all thumbnails, the marked one first, until something is chosen."""
        order = sorted(range(len(self._starts)), key=lambda n: n != self._at)
        for number in order:
            if self._left.is_set():
                return
            world, start = self._starts[number]
            self._clips[number] = read_clip(self._worlds[world].paths[start])

    # ---- keys ----

    def _listen(self, event: "pygame.event.Event") -> None:
        if event.type == pygame.QUIT:
            self._done = True
        elif event.type == pygame.KEYDOWN and self._page is not None:
            self._type(self._page, event)
        elif event.type == pygame.KEYDOWN:
            letter, place = self._keyboard.name(event)
            self._press(LETTERS.get(place, letter))
        elif self._page is not None:
            return
        elif event.type == pygame.MOUSEMOTION:
            self._point(event.pos)
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            self._click(event.pos)
        else:
            for key, is_down in self._pads.keys(event):
                if is_down and self.settings.gamepad:
                    self._press(PADS.get(key, key))

    def _press(self, key: str) -> None:
        self._said = ""
        if key in DIRECTIONS:
            self._at = step_to(self._lay_out().cells, self._at, key)
        elif key in PLAY or key in QUIT:
            self._done, self._picked = True, key in PLAY
        elif key == "f11":
            self._toggle_fullscreen()
        elif key == ",":
            self._page = SettingsPage([world.world for world in self._worlds])

    def _type(self, page: SettingsPage, event: "pygame.event.Event") -> None:
        """A key goes to the settings; what can be seen of them is seen at once."""
        page.press(self._keyboard.name(event)[0], event.unicode)
        self.settings, self._page = page.settings, page if page.open else None
        self.screen.apply(page.settings)

    def _point(self, position: tuple[int, int]) -> bool:
        """Mark the thumbnail below the mouse; whether there is one."""
        found = cell_at(self._lay_out().cells, *position)
        if found is not None and found != self._at:
            self._at, self._said = found, ""
        return found is not None

    def _click(self, position: tuple[int, int]) -> None:
        """Play the thumbnail below the mouse, or do what the key of the hint there does."""
        hinted = cell_at(self._hinted, *position)
        if hinted is not None:
            self._press(HINTS[hinted].key)
        elif self._point(position):
            self._press("return")

    def _toggle_fullscreen(self) -> None:
        self.screen.fullscreen()
        self.fullscreen = not self.fullscreen

    # ---- pictures ----

    def _lay_out(self) -> StartLayout:
        room = self.screen.room()
        inside = room.less(GAP, self.screen.line + 2 * GAP, GAP, self.screen.foot)
        return lay_out_starts([len(one.paths) for one in self._worlds], inside, self.screen.line)

    def draw(self) -> None:
        """Draw it as it is now."""
        screen, room, layout = self.screen, self.screen.room(), self._lay_out()
        screen.fill(room)
        if self._page is not None:
            at = self._page.marked_line
            screen.text(screen.keep_in_view(self._page.lines(), room, at), room)
            screen.flip()
            return
        screen.words(TITLE, Rect(room.x, room.y + GAP // 2, room.width, screen.line + GAP))
        for one, heading in zip(self._worlds, layout.headings, strict=True):
            screen.words(one.title, heading)
        for number, cell in enumerate(layout.cells):
            self._draw_start(number, cell)
        foot = room.less(top=room.height - screen.foot)
        self._hinted = screen.keycaps(HINTS, foot.less(bottom=foot.height // 2))
        screen.words(self._describe(), foot.less(top=foot.height // 2))
        screen.flip()

    def _draw_start(self, number: int, cell: Rect) -> None:
        world, start = self._starts[number]
        clip = self._clips[number]
        frame = None if clip is None else clip[frame_at(self._clock.now(), len(clip))]
        name = self._worlds[world].names[start]
        self.screen.thumbnail(frame, name, cell, marked=number == self._at)

    def _describe(self) -> str:
        """What is marked; without its world where both are too long for the window."""
        world, start = self._starts[self._at]
        if self._said and not self._picked:
            return self._said
        title, name = tell(self._worlds[world].title), tell(self._worlds[world].names[start])
        told = self._describe_start(join([title, name], by=": "))
        short = self._describe_start(name)
        return told if self.screen.fits(told, self.screen.room().width) else short

    def _describe_start(self, start: Told) -> Told:
        if self._picked:
            return tell("Opening {start} ...", start=start)
        return tell("{start}, as last time", start=start) if self._at == self._last else start


def frame_at(now: float, count: int) -> int:
    """Which of `count` frames a loop shows at a time: the last one for HOLD_SECONDS, then those
    before it, back to the first and forth again.
    """
    last = count - 1
    past = now % (HOLD_SECONDS + 2 * last * LOOK_SECONDS) - HOLD_SECONDS
    return last if past < 0 else abs(last - 1 - int(past / LOOK_SECONDS))
