"""What is drawn, and the screen it is drawn on. With window.py and pads.py the only file that knows
pygame. Listens to nothing.
"""

import io
import itertools
import os
import re
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from worldsim.atomic import atomic_write
from worldsim.paths import asset
from worldsim.runtime.core.intents import Hint
from worldsim.runtime.core.language import find_words, translate
from worldsim.runtime.core.pane_layout import HEATED, NOWHERE, Pane, Rect, Strip, along
from worldsim.runtime.core.settings import Settings
from worldsim.runtime.core.status import Dimmed
from worldsim.runtime.window.palette import BY_NAME, Colour
from worldsim.told import join, tell

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
# SDL would draw even plain pictures with OpenGL, and a thread that already draws an engine with it
# then takes the whole process down (X_GLXMakeCurrent, BadAccess).
os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")
# Windows would enlarge a window by itself, and blur it.
os.environ.setdefault("SDL_WINDOWS_DPI_AWARENESS", "permonitorv2")
import pygame
from pygame._sdl2 import controller  # gamepad.py takes it from here, after what is set above
from pygame._sdl2.video import Window

__all__ = ["NoDisplay", "Screen", "controller", "pygame"]
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
INVISIBLE = ("dummy", "offscreen")
WINDOW_PIXELS = 640  # the default zoom makes the window about this large, larger on a fine screen
CURVE_RANGE, LEVELS = (5.0, 35.0), (10, 20, 30)  # dB
SMALLEST_FONT, LARGEST_FONT, MARGIN = 12, 60, 8
MARKED = 3  # pixels of a frame around what is marked
MOST_LETTERS = 1000  # of a line; SDL refuses pictures that are too wide
FONT_SHARE = 42  # letters are this part of the window, so that they can be read on any screen


class NoDisplay(ValueError):
    """There is no screen to open a window on; the message says what to do."""


class Screen:
    """A resizable window that shows pictures, and text over them.

    Args:
        title: what the window is called.
        size: width and height of the picture in pixels.
        zoom: screen pixels a pixel; None for a window of a comfortable size.
        advice: what to do where there is no display.
        footed: whether it opens with room for a foot below the picture.

    Attributes:
        palette: the colours of what is not a picture.
        full: whether it takes the whole screen.

    Raises:
        NoDisplay: there is no display.
    """

    def __init__(
        self,
        title: str,
        size: tuple[int, int],
        zoom: int | None = None,
        advice: str = "Use --headless N to run N frames without one, or set DISPLAY.",
        footed: bool = False,
    ) -> None:
        self._title = title
        self.apply(Settings())
        _open_display(advice)
        zoom = zoom or max(1, comfortable(pygame.display.get_desktop_sizes()) // max(size))
        pygame.display.set_caption(self._tell(title))
        self._size = size[0] * zoom, size[1] * zoom
        pygame.font.init()
        self._fonts: dict[int, pygame.font.Font] = {}
        if footed:
            self._size = self._size[0], self._size[1] + self._foot_of(self._size)
        self._surface = pygame.display.set_mode(self._size, pygame.RESIZABLE)
        self.full, self._at = False, (0, 0)
        self._handle: Window | None = None

    def apply(self, settings: Settings) -> None:
        """Draw in the colours that the player chose, enlarge as they chose, in their language."""
        self._words = find_words(settings.language)
        if pygame.display.get_init():
            pygame.display.set_caption(self._tell(self._title))
        self.palette = BY_NAME[settings.palette]
        smooth = settings.upscaler == "smooth"
        self._enlarge = pygame.transform.smoothscale if smooth else pygame.transform.scale

    def fullscreen(self) -> None:
        """Take the whole screen, or go back to a window of the size it had."""
        self.full = not self.full
        if self.full:
            self._size, self._at = self._surface.get_size(), self._move_to((0, 0))
            self._surface = pygame.display.set_mode((0, 0), pygame.FULLSCREEN)
        else:
            # Asked for at once, a resizable window keeps the size of the screen.
            pygame.display.set_mode(self._size)
            self._surface = pygame.display.set_mode(self._size, pygame.RESIZABLE)
            self._move_to(self._at)

    def _move_to(self, at: tuple[int, int]) -> tuple[int, int]:
        """Move the window where there is one screen; where it was.

        Without a window manager a window that takes the whole screen stays where it is, cut off.
        Where there are several screens there is one, and it chooses the screen.
        """
        self._handle = Window.from_display_module()  # kept: pygame's events point to it
        before = cast(tuple[int, int], self._handle.position)
        if len(pygame.display.get_desktop_sizes()) == 1:
            self._handle.position = at
        return before

    def room(self) -> Rect:
        """All of it."""
        return Rect(0, 0, *self._surface.get_size())

    @property
    def foot(self) -> int:
        """Pixels of a foot: a line of key hints and a line of words."""
        return self._foot_of(self._surface.get_size())

    def _foot_of(self, size: tuple[int, int]) -> int:
        return 2 * (self._size_font(letter_pixels(size)).get_linesize() + MARGIN)

    @property
    def line(self) -> int:
        """Pixels from one line of text to the next."""
        return self._font.get_linesize()

    def clear(self) -> None:
        """Begin a new picture."""
        self._surface.fill(self.palette.back)

    def picture(self, frame: np.ndarray | None, room: Rect) -> Rect | None:
        """Draw a frame (uint8 `[H,W,3]`) as large as whole pixels allow, in the middle; where it
        went.
        """
        return None if frame is None else self._place(frame, room)

    def panes(self, panes: tuple[Pane, ...], cells: list[Rect]) -> list[Rect]:
        """Draw pictures as large as whole pixels allow, each in its cell, a label on each; where
        each went, its cell where it is empty.
        """
        places = []
        for pane, cell in zip(panes, cells, strict=True):
            shown = cell if pane.frame is None else self._place(pane.frame, cell)
            if pane.dimmed and pane.frame is not None:
                self._shade(pygame.Rect(shown))
            if pane.marked:
                pygame.draw.rect(self._surface, self.palette.mark, shown, 2)
            self._label(pane.label, shown)
            places.append(shown)
        return places

    def thumbnail(
        self, frame: np.ndarray | None, name: str, cell: Rect, marked: bool = False
    ) -> None:
        """Draw a frame that fills a cell, its name in a line below where all of it fits; marked,
        with a frame around.
        """
        if frame is None:
            self._missing(cell)
        else:
            self._place(frame, cell, whole=False)
        if marked:
            around = pygame.Rect(cell).inflate(2 * MARKED, 2 * MARKED)
            pygame.draw.rect(self._surface, self.palette.mark, around, MARKED)
        if self._size_font(SMALLEST_FONT).size(self._tell(name))[0] <= cell.width:
            label = self._fit_label(name, cell.width)
            self._surface.blit(label, (cell.x, cell.y + cell.height + MARKED))

    def strip(self, strip: Strip, room: Rect) -> int:
        """Draw thumbnails along a room's lower edge, heat above them; the pixels they take."""
        heats = [pane.heat or 0.0 for pane in strip.panes]
        heated = any(pane.heat is not None for pane in strip.panes)
        cells = along(len(strip.panes), room, self.line, heated)
        before, row = "", None
        groups = spans(strip.panes, cells)
        for at, (pane, cell, heat) in enumerate(zip(strip.panes, cells, heats, strict=True)):
            if pane.frame is not None:
                self._place(pane.frame, cell, whole=False)
            else:
                self._missing(cell)
            if heat:
                height = max(1, round(cell.height * HEATED * heat / max(heats)))
                bar = cell.x + 1, cell.y - height, max(1, cell.width - 2), height
                pygame.draw.rect(self._surface, self.palette.heat, bar)
            if (pane.label, cell.y) != (before, row):
                before, row = pane.label, cell.y
                top = cell.y - self.line - heated * int(HEATED * cell.height)
                pygame.draw.line(
                    self._surface, self.palette.text, (cell.x, top), (cell.x, cell.y + cell.height)
                )
                label = self._fit_label(pane.label, groups[at] - MARGIN)
                self._surface.blit(label, (cell.x + 3, top))
        return (
            room.y + room.height - (cells[0].y - self.line - heated * int(HEATED * cells[0].height))
        )

    def _missing(self, cell: Rect) -> None:
        """A frame that is remembered, but whose picture is gone, as it is after a load."""
        pygame.draw.rect(self._surface, self.palette.grid, pygame.Rect(cell).inflate(-2, -2), 1)
        mark = self._font.render("?", True, self.palette.grid)
        self._surface.blit(mark, mark.get_rect(center=pygame.Rect(cell).center))

    def _fit_label(self, text: str, width: int, colour: Colour | None = None) -> "pygame.Surface":
        """A label in letters that fit into a width; cut where the smallest do not."""
        for pixels in range(self._font_pixels(), SMALLEST_FONT - 1, -1):
            label = self._size_font(pixels).render(
                self._tell(text), True, colour or self.palette.text
            )
            if label.get_width() <= width:
                return label
        shown = pygame.Rect(0, 0, max(1, min(width, label.get_width())), label.get_height())
        return label.subsurface(shown)

    def curve(self, values: tuple[float, ...], room: Rect) -> None:
        """Draw values as a curve, the newest as a number above it, a scale beside it; the number
        alone where there is no room for more.
        """
        self._shade(pygame.Rect(room))
        self.words(
            tell("{decibels:.1f} dB alike", decibels=values[-1]),
            room.less(bottom=room.height - self.line),
        )
        low, high = CURVE_RANGE
        marks = {level: self._font.render(str(level), True, self.palette.grid) for level in LEVELS}
        beside = max(mark.get_width() for mark in marks.values()) + MARGIN
        box = room.less(left=2, top=self.line + 2, right=beside + 2, bottom=2)
        if box.height < len(LEVELS) * self.line or box.width < beside:
            return

        def height(value: float) -> float:
            return box.y + box.height * (1 - (min(max(value, low), high) - low) / (high - low))

        for level, mark in marks.items():
            y = height(level)
            pygame.draw.line(self._surface, self.palette.grid, (box.x, y), (box.x + box.width, y))
            at = mark.get_rect(midleft=(box.x + box.width + MARGIN // 2, y))
            self._surface.blit(mark, at)
        points = [
            (box.x + box.width * n / max(len(values) - 1, 1), height(value))
            for n, value in enumerate(values)
        ]
        if len(points) > 1:
            pygame.draw.lines(self._surface, self.palette.mark, False, points, 2)

    def text(
        self, lines: Sequence[str], room: Rect, bottom: bool = False, colour: Colour | None = None
    ) -> int:
        """Write lines on a shade, at the top or bottom of a room; a tab begins a second column.

        Returns:
            The pixels that they take.
        """
        font, told = self._font, [(self._tell(line), isinstance(line, Dimmed)) for line in lines]
        for pixels in range(self._font_pixels(), SMALLEST_FONT - 1, -1):  # so that all of it fits
            font = self._size_font(pixels)
            width = room.width - 3 * MARGIN
            second = _second_column(font, [line for line, _ in told], width)
            rows = [
                (row, dim) for line, dim in told for row in _wrap_row(font, line, width, second)
            ]
            if font.get_linesize() * len(rows) + MARGIN <= room.height:
                break
        cells = [
            [
                font.render(cell, True, self.palette.dim if dim else colour or self.palette.text)
                for cell in row.split("\t")
            ]
            for row, dim in rows
        ]
        widths = [second * bool(row[1:]) + row[-1].get_width() for row in cells]
        step = font.get_linesize()
        size = max(widths) + 2 * MARGIN, step * len(cells) + MARGIN
        shade = pygame.Surface(size, pygame.SRCALPHA)
        shade.fill(self.palette.shade)
        for number, row in enumerate(cells):
            for place, image in enumerate(row):
                shade.blit(image, (MARGIN + place * second, MARGIN // 2 + number * step))
        top = room.y + room.height - size[1] if bottom else room.y
        self._surface.blit(shade, (room.x, top))
        return min(size[1], room.height)

    def split_pages(self, lines: Sequence[str], room: Rect, key: str) -> list[list[str]]:
        """Lines as pages that fit into a room in the smallest letters; one page where all do.

        Args:
            lines: a tab begins a second column.
            room: of a page.
            key: turns the page; each page ends by saying so, and which one it is.
        """
        font, width = self._size_font(SMALLEST_FONT), room.width - 3 * MARGIN
        told = [self._tell(line) for line in lines]
        second = _second_column(font, told, width)
        heights = [len(_wrap_row(font, line, width, second)) for line in told]
        fits = max(2, (room.height - MARGIN) // font.get_linesize())
        if sum(heights) <= fits:
            return [list(lines)]
        pages: list[list[str]] = [[]]
        taken = 0
        for line, height in zip(lines, heights, strict=True):
            if pages[-1] and taken + height > fits - 1:
                pages.append([])
                taken = 0
            pages[-1].append(line)
            taken += height
        count = len(pages)
        feet = (
            tell("{key}: more ({number} of {count})", key=key, number=n + 1, count=count)
            for n in range(count)
        )
        return [[*page, foot] for page, foot in zip(pages, feet, strict=True)]

    def keep_in_view(self, lines: Sequence[str], room: Rect, at: int) -> list[str]:
        """The lines around one of them that fit into a room in the smallest letters; all where all
        do, else the first ones as long as that one and the next are among them.

        Args:
            lines: a tab begins a second column.
            room: where they are to be written.
            at: the number of the line that has to be seen.
        """
        font, width = self._size_font(SMALLEST_FONT), room.width - 3 * MARGIN
        told = [self._tell(line) for line in lines]
        second = _second_column(font, told, width)
        heights = [len(_wrap_row(font, line, width, second)) for line in told]
        fits, first = (room.height - MARGIN) // font.get_linesize(), 0
        while first < at and sum(heights[first : at + 2]) > fits:
            first += 1
        last = at + 1
        while last < len(lines) and sum(heights[first : last + 1]) <= fits:
            last += 1
        return list(lines[first:last])

    def _label(self, text: str, shown: Rect) -> None:
        """Write what a picture is called over its upper edge, in lines, over half of it
        at most.
        """
        told, top = self._tell(text), shown.y
        font = self._font
        if font.size(told)[0] > shown.width:
            font = self._size_font(SMALLEST_FONT)
        most = max(1, shown.height // 2 // font.get_linesize())  # the picture is to be seen too
        for row in _wrap_line(font, told, shown.width)[:most]:
            label = font.render(row, True, self.palette.text)
            self._surface.fill(self.palette.back, (shown.x, top, *label.get_size()))
            self._surface.blit(label, (shown.x, top))
            top += font.get_linesize()

    def _shade(self, box: "pygame.Rect") -> None:
        shade = pygame.Surface(box.size, pygame.SRCALPHA)
        shade.fill(self.palette.shade)
        self._surface.blit(shade, box)

    def _place(self, frame: np.ndarray, cell: Rect, whole: bool = True) -> Rect:
        """Draw a frame in the middle of a cell; where it went."""
        height, width, _ = frame.shape
        size = fit_size((width, height), cell[2:]) if whole else (cell.width, cell.height)
        image = pygame.image.frombuffer(np.ascontiguousarray(frame), (width, height), "RGB")
        at = cell.x + (cell.width - size[0]) // 2, cell.y + (cell.height - size[1]) // 2
        self._surface.blit(self._enlarge(image, size), at)
        return Rect(*at, *size)

    def bar(self, done: float, room: Rect) -> None:
        """Draw a progress bar along the lower edge of a room."""
        top = room.y + room.height - MARGIN
        self._surface.fill(self.palette.idle, (room.x, top, room.width, MARGIN))
        self._surface.fill(self.palette.bar, (room.x, top, round(room.width * done), MARGIN))

    def words(self, text: str, room: Rect, colour: Colour | None = None) -> None:
        """Write one line into a room, in letters that fit."""
        label = self._fit_label(text, room.width - 2 * MARGIN, colour)
        middle = room.y + (room.height - label.get_height()) // 2
        self._surface.blit(label, (room.x + MARGIN, middle))

    def keycaps(self, hints: Sequence[Hint], room: Rect, held: Collection[str] = ()) -> list[Rect]:
        """Draw keys with what they do beside them, as many as fit into a line; the last one in any
        case. Where each went; NOWHERE for those that do not fit.

        Args:
            hints: at least one.
            room: of the line.
            held: the keys of those that are down.
        """
        images = [self._keycap(hint.label, hint.meaning, hint.key in held) for hint in hints]
        last, left = images[-1], room.x + MARGIN
        cells = []
        for image in images[:-1]:
            if left + image.get_width() + last.get_width() > room.x + room.width - 2 * MARGIN:
                break
            cells.append(Rect(left, room.y, *image.get_size()))
            left += image.get_width() + MARGIN
        cells += [NOWHERE] * (len(hints) - 1 - len(cells))
        right = room.x + room.width - last.get_width() - MARGIN
        cells.append(Rect(right, room.y, *last.get_size()))
        for image, cell in zip(images, cells, strict=True):
            if cell is not NOWHERE:
                self._surface.blit(image, cell[:2])
        return cells

    def _keycap(self, key: str, meaning: str, held: bool = False) -> "pygame.Surface":
        font = self._size_font(max(SMALLEST_FONT, self._font_pixels() - 2))
        name, told = (
            font.render(self._tell(key), True, self.palette.text),
            font.render(self._tell(meaning), True, self.palette.told),
        )
        cap = pygame.Rect(0, 2, name.get_width() + MARGIN, self.line + 2)
        image = pygame.Surface((cap.width + told.get_width() + MARGIN // 2, self.line + MARGIN))
        image.fill(self.palette.foot)
        colour = self.palette.mark if held else self.palette.cap
        pygame.draw.rect(image, colour, cap, border_radius=4)
        pygame.draw.rect(image, self.palette.told, cap, 1, border_radius=4)
        image.blit(name, name.get_rect(center=cap.center))
        image.blit(told, told.get_rect(midleft=(cap.right + MARGIN // 2, cap.centery)))
        return image

    def button(self, label: str, cell: Rect, held: bool) -> None:
        """Draw a key to be touched."""
        box, palette = pygame.Rect(cell), self.palette
        pygame.draw.rect(self._surface, palette.mark if held else palette.cap, box, border_radius=8)
        pygame.draw.rect(self._surface, palette.told, box, 2, border_radius=8)
        font = self._size_font(max(SMALLEST_FONT, cell.height // 2))
        image = font.render(self._tell(label), True, palette.text)
        if image.get_width() > cell.width - 2 * MARGIN:
            image = self._fit_label(label, cell.width - 2 * MARGIN)
        self._surface.blit(image, image.get_rect(center=box.center))

    def fill(self, room: Rect) -> None:
        """Colour a room as what is not the picture."""
        self._surface.fill(self.palette.foot, room)

    def trend(self, label: str, values: Sequence[float], room: Rect) -> None:
        """Draw values as a small curve from nought to their greatest, the newest as a number."""
        self.words(join([label, f" {values[-1]:.0f}"]), room.less(bottom=room.height - self.line))
        low, most = room.less(top=self.line, left=MARGIN, right=MARGIN, bottom=2), max(values)
        points = [
            (
                low.x + low.width * at / max(len(values) - 1, 1),
                low.y + low.height * (1 - value / most if most else 1),
            )
            for at, value in enumerate(values)
        ]
        if len(points) > 1:
            pygame.draw.lines(self._surface, self.palette.mark, False, points, 2)

    def fits(self, text: str, width: int) -> bool:
        """Whether a line fits into a width, at least in the smallest letters."""
        return self._size_font(SMALLEST_FONT).size(self._tell(text))[0] <= width - 2 * MARGIN

    def save(self, path: Path) -> None:
        """Write what was drawn as a PNG.

        Raises:
            OSError: it cannot be written.
        """
        data = io.BytesIO()
        pygame.image.save(self._surface, data, "screen.png")
        atomic_write(path, lambda scratch: scratch.write_bytes(data.getvalue()))

    def flip(self) -> None:
        """Bring what was drawn to the screen."""
        pygame.display.flip()

    def close(self) -> None:
        """Close the window."""
        pygame.display.quit()

    def _tell(self, text: str) -> str:
        """What is drawn of a text: in the player's language, as SDL takes it."""
        return plain(translate(text, self._words))

    @property
    def _font(self) -> pygame.font.Font:
        return self._size_font(self._font_pixels())

    def _font_pixels(self) -> int:
        return letter_pixels(self._surface.get_size())

    def _size_font(self, pixels: int) -> pygame.font.Font:
        if pixels not in self._fonts:
            self._fonts[pixels] = pygame.font.Font(str(asset("fonts", "DejaVuSans.ttf")), pixels)
        return self._fonts[pixels]


def letter_pixels(size: tuple[int, int]) -> int:
    """How high letters are in a window of this size."""
    return min(max(min(size) // FONT_SHARE, SMALLEST_FONT), LARGEST_FONT)


def spans(panes: tuple[Pane, ...], cells: list[Rect]) -> list[int]:
    """Pixels from each cell to the right end of the last that has its label, in its row."""
    ends: list[int] = []
    for at in reversed(range(len(panes))):
        goes_on = (
            at + 1 < len(panes)
            and panes[at + 1].label == panes[at].label
            and cells[at + 1].y == cells[at].y
        )
        ends.append(ends[-1] if goes_on else cells[at].x + cells[at].width)
    return [end - cell.x for end, cell in zip(reversed(ends), cells, strict=True)]


def plain(text: str) -> str:
    """Text as SDL takes it: short, without NUL and without halves of characters, which the names of
    files may hold.
    """
    found = re.sub(r"[\0\ud800-\udfff]", "\ufffd", text)
    return found if len(found) <= MOST_LETTERS else f"{found[: MOST_LETTERS - 3]}..."


def _second_column(font: pygame.font.Font, lines: list[str], width: int) -> int:
    """Where the second column begins, in pixels: behind the longest first cell, if that leaves half
    of the width, or as much as the second cells take.
    """
    cells = [line.partition("\t") for line in lines if "\t" in line]
    heads = max((font.size(head)[0] for head, _, _ in cells), default=0)
    tails = max((font.size(tail)[0] for _, _, tail in cells), default=0)
    return 2 * MARGIN + min(heads, max(width // 2, width - tails - 2 * MARGIN))


def _wrap_row(font: pygame.font.Font, line: str, width: int, second: int) -> list[str]:
    """Rows of a line; what follows a tab stays in the second column."""
    head, tab, tail = line.partition("\t")
    if not tab:
        return _wrap_line(font, line, width)
    column = second - 2 * MARGIN
    heads = [head] if font.size(head)[0] <= column else _wrap_line(font, head, column)
    tails = _wrap_line(font, tail, max(1, width - second))
    rows = itertools.zip_longest(heads, tails, fillvalue="")
    return ["\t".join(row) for row in rows]


def _wrap_line(font: pygame.font.Font, line: str, width: int) -> list[str]:
    """Rows of a line that fit into a width, broken between words, and within those too long."""
    rows = [""]
    parts = (_break_word(font, word, width) for word in line.split(" "))
    for word in itertools.chain.from_iterable(parts):
        longer = f"{rows[-1]} {word}" if rows[-1] else word
        if rows[-1] and font.size(longer)[0] > width:
            rows.append(word)
        else:
            rows[-1] = longer
    return rows


def _break_word(font: pygame.font.Font, word: str, width: int) -> list[str]:
    """A word, e.g. a path, in parts that fit into a width, at least a letter each."""
    parts = [""]
    for letter in word:
        if parts[-1] and font.size(parts[-1] + letter)[0] > width:
            parts.append("")
        parts[-1] += letter
    return parts


def _open_display(advice: str) -> None:
    given = os.environ.get("SDL_VIDEODRIVER")
    if sys.platform == "linux" and not any(map(os.environ.get, DISPLAYS)):
        raise NoDisplay(f"There is no display to open a window on. {advice}")
    try:
        pygame.display.init()
    except pygame.error as error:
        raise NoDisplay(f"There is no display to open a window on ({error}). {advice}") from error
    driver = pygame.display.get_driver()
    if driver in INVISIBLE and driver != given:  # SDL falls back to these without a word
        pygame.display.quit()
        raise NoDisplay(f"There is no display to open a window on. {advice}")


def video_driver() -> str:
    """The name of what windows would appear on here, e.g. x11; none is opened.

    Raises:
        NoDisplay: there is no display.
    """
    _open_display("Set DISPLAY or WAYLAND_DISPLAY.")
    driver = pygame.display.get_driver()
    pygame.display.quit()
    return driver


def comfortable(desktops: list[tuple[int, int]]) -> int:
    """Pixels a side of a window of a good size: half of a fine screen, never tiny."""
    return max(WINDOW_PIXELS, *(min(desktop) // 2 for desktop in desktops[:1]), 1)


def fit_size(size: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
    """The size at which a picture fits: enlarged by a whole number, or shrunk to the room."""
    zoom = min(room[0] / size[0], room[1] / size[1])
    zoom = int(zoom) if zoom >= 1 else zoom
    return max(1, int(size[0] * zoom)), max(1, int(size[1] * zoom))
