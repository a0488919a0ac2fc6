"""The window: the only file that knows pygame. It shows the newest frame and passes keys on.

pygame stays on the main thread, the session runs on another, so the window is alive while a
network thinks. There is one place for the newest frame and no queue: a slow screen skips frames.
"""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from worldsim.runtime.clock import Clock
from worldsim.runtime.hud import Status, banner, help_lines, hud_lines
from worldsim.runtime.keys import Intent
from worldsim.runtime.line import Step
from worldsim.runtime.requests import Keys
from worldsim.runtime.sinks import Sink

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
# SDL would draw even plain pictures with OpenGL, and a thread that already draws an engine with it
# then takes the whole process down (X_GLXMakeCurrent, BadAccess).
os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")
import pygame

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
INVISIBLE = ("dummy", "offscreen")
WINDOW_PIXELS = 640  # the default zoom makes the window about this large
POLL_SECONDS = 0.004
REDRAW_SECONDS = 0.1  # at least so often, so that waiting is seen to go on
PATIENCE_SECONDS = 5.0  # for a network that does not come back when the player wants to leave
HINT_SECONDS = 4.0
TEXT, SHADE, BAR, ALARM = (255, 255, 255), (0, 0, 0, 150), (90, 200, 120), (255, 210, 120)
FONT_PIXELS, MARGIN = 20, 8


class NoDisplay(ValueError):
    """There is no screen to open a window on; the message says what to do."""


class Screen:
    """A resizable window that shows one picture, and text over it.

    Args:
        title: what the window is called.
        size: width and height of the picture in pixels.
        zoom: screen pixels a pixel; None for a window of a comfortable size.

    Raises:
        NoDisplay: there is no display.
    """

    def __init__(self, title: str, size: tuple[int, int], zoom: int | None = None) -> None:
        _open_display()
        zoom = zoom or max(1, WINDOW_PIXELS // max(size))
        pygame.display.set_caption(title)
        self._surface = pygame.display.set_mode((size[0] * zoom, size[1] * zoom), pygame.RESIZABLE)
        pygame.font.init()
        self._font = pygame.font.Font(None, FONT_PIXELS)

    def picture(self, frame: np.ndarray | None) -> None:
        """Draw a frame (uint8 `[H,W,3]`) as large as whole pixels allow, in the middle."""
        self._surface.fill((0, 0, 0))
        if frame is None:
            return
        height, width, _ = frame.shape
        room = self._surface.get_size()
        size = fitted((width, height), room)
        image = pygame.image.frombuffer(np.ascontiguousarray(frame), (width, height), "RGB")
        corner = (room[0] - size[0]) // 2, (room[1] - size[1]) // 2
        self._surface.blit(pygame.transform.scale(image, size), corner)

    def text(self, lines: list[str], bottom: bool = False, colour: tuple = TEXT) -> None:
        """Write lines on a shade, at the top or at the bottom; a tab begins a second column."""
        width, height = self._surface.get_size()
        rows = [row for line in lines for row in self._wrapped(line, width - 3 * MARGIN)]
        cells = [
            [self._font.render(cell, True, colour) for cell in row.split("\t")] for row in rows
        ]
        second = 2 * MARGIN + max((row[0].get_width() for row in cells if row[1:]), default=0)
        widths = [second * bool(row[1:]) + row[-1].get_width() for row in cells]
        step = self._font.get_linesize()
        size = max(widths) + 2 * MARGIN, step * len(cells) + MARGIN
        shade = pygame.Surface(size, pygame.SRCALPHA)
        shade.fill(SHADE)
        for number, row in enumerate(cells):
            for place, image in enumerate(row):
                shade.blit(image, (MARGIN + place * second, MARGIN // 2 + number * step))
        self._surface.blit(shade, (0, height - size[1] if bottom else 0))

    def bar(self, done: float) -> None:
        """Draw a progress bar along the lower edge."""
        width, height = self._surface.get_size()
        self._surface.fill((60, 60, 60), (0, height - MARGIN, width, MARGIN))
        self._surface.fill(BAR, (0, height - MARGIN, round(width * done), MARGIN))

    def flip(self) -> None:
        """Bring what was drawn to the screen."""
        pygame.display.flip()

    def close(self) -> None:
        """Close the window."""
        pygame.display.quit()

    def _wrapped(self, line: str, width: int) -> list[str]:
        rows = [""]
        for word in line.split(" "):
            longer = f"{rows[-1]} {word}" if rows[-1] else word
            if rows[-1] and self._font.size(longer)[0] > width:
                rows.append(word)
            else:
                rows[-1] = longer
        return rows


def _open_display() -> None:
    asked = os.environ.get("SDL_VIDEODRIVER")
    if sys.platform == "linux" and not any(map(os.environ.get, DISPLAYS)):
        raise NoDisplay(f"There is no display to open a window on. {_ADVICE}")
    try:
        pygame.display.init()
    except pygame.error as error:
        raise NoDisplay(f"There is no display to open a window on ({error}). {_ADVICE}") from error
    driver = pygame.display.get_driver()
    if driver in INVISIBLE and driver != asked:  # SDL falls back to these without a word
        pygame.display.quit()
        raise NoDisplay(f"There is no display to open a window on. {_ADVICE}")


def video_driver() -> str:
    """The name of what windows would appear on here, e.g. x11; none is opened.

    Raises:
        NoDisplay: there is no display.
    """
    _open_display()
    driver = pygame.display.get_driver()
    pygame.display.quit()
    return driver


_ADVICE = "Use --headless N to run N frames without one, or set DISPLAY."


def fitted(size: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
    """The size at which a picture fits: enlarged by a whole number, or shrunk to the room."""
    zoom = min(room[0] / size[0], room[1] / size[1])
    zoom = int(zoom) if zoom >= 1 else zoom
    return max(1, int(size[0] * zoom)), max(1, int(size[1] * zoom))


class Viewer:
    """A plain window for frames, without keys: what `render_mode="human"` opens.

    Args:
        title: what the window is called.
        size: width and height of the frames in pixels.
        zoom: screen pixels a pixel.

    Raises:
        NoDisplay: there is no display.
    """

    def __init__(self, title: str, size: tuple[int, int], zoom: int) -> None:
        self._screen = Screen(title, size, zoom)

    def show(self, frame: np.ndarray) -> bool:
        """Show a frame (uint8 `[H,W,3]`); False once the user has closed the window."""
        if any(event.type == pygame.QUIT for event in pygame.event.get()):
            return False
        self._screen.picture(frame)
        self._screen.flip()
        return True

    def close(self) -> None:
        """Close the window."""
        self._screen.close()


class Shot(NamedTuple):
    """What is to be seen, and when the key of its action was pressed."""

    frame: np.ndarray | None
    status: Status
    pressed_at: float | None


class Window(Sink):
    """Shows a session and gives it keys.

    Args:
        title: what the window is called.
        size: width and height of the frames in pixels.
        zoom: screen pixels a pixel; None for a window of a comfortable size.
        hud: whether the figures are shown at first.
        clock: must be the session's.

    Raises:
        NoDisplay: there is no display.
    """

    def __init__(
        self,
        title: str,
        size: tuple[int, int],
        *,
        zoom: int | None = None,
        hud: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or Clock()
        self._screen = Screen(title, size, zoom)
        self._hud, self._help = hud, False
        self._shot = Shot(None, Status(title=title), None)
        self._drawn: Shot | None = None
        self._drawn_at = 0.0
        self._pressed_at: float | None = None
        self._answered: float | None = None
        self._photon_ms: float | None = None
        self._flips: deque[float] = deque(maxlen=30)
        self._hint, self._hint_until = "", 0.0
        self._error: BaseException | None = None

    # ---- called by the session, on its thread ----

    def step(self, step: Step) -> None:
        """Remember the key press a frame answers."""
        self._pressed_at = step.pressed_at or self._pressed_at

    def show(self, frame: np.ndarray | None, status: Status) -> None:
        """Put the newest picture where the window finds it; what was not shown yet is gone."""
        self._shot = Shot(frame, status, self._pressed_at)

    # ---- the main thread ----

    def run(self, play: Callable[[], None], keys: Keys) -> None:
        """Show what `play` does on another thread, until it is done.

        Args:
            play: e.g. `session.run`; ends soon after `keys.requests.stop()`.
            keys: where key presses go.

        Raises:
            Exception: what `play` raised.
        """
        worker = threading.Thread(target=self._guard, args=(play,), name="session", daemon=True)
        worker.start()
        stopped_at = None
        while worker.is_alive():
            self._listen(keys)
            self._draw(keys)
            if keys.requests.stopped:
                stopped_at = stopped_at or self._clock.now()
                if self._clock.now() - stopped_at > PATIENCE_SECONDS:
                    break
            self._clock.sleep(POLL_SECONDS)
        self._screen.close()
        if self._error is not None:
            raise self._error

    def _guard(self, play: Callable[[], None]) -> None:
        try:
            play()
        except BaseException as error:
            self._error = error

    def _listen(self, keys: Keys) -> None:
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                keys.requests.stop()
            elif event.type == pygame.KEYDOWN:
                self._key(keys.down(pygame.key.name(event.key), self._clock.now()))
            elif event.type == pygame.KEYUP:
                keys.up(pygame.key.name(event.key))
            elif event.type == pygame.WINDOWFOCUSLOST:
                keys.lost()
            elif event.type in (pygame.VIDEORESIZE, pygame.VIDEOEXPOSE):
                self._drawn = None

    def _key(self, answer: Intent | str | None) -> None:
        """Carry out what only the window can, or show a hint."""
        if answer is None:
            return
        if isinstance(answer, str):
            self._hint, self._hint_until = answer, self._clock.now() + HINT_SECONDS
        elif answer.name == "hud":
            self._hud = not self._hud
        elif answer.name == "help":
            self._help = not self._help
        self._drawn = None

    def _draw(self, keys: Keys) -> None:
        shot, now = self._shot, self._clock.now()
        if shot is self._drawn and now < self._drawn_at + REDRAW_SECONDS:
            return
        self._screen.picture(shot.frame)
        self._write(shot.status, keys, now)
        self._screen.flip()
        self._count(shot)
        self._drawn, self._drawn_at = shot, now

    def _write(self, status: Status, keys: Keys, now: float) -> None:
        status = replace(
            status,
            note=self._hint if now < self._hint_until else status.note,
            held=keys.held(),
            fps_shown=self._fps_shown(),
            photon_ms=self._photon_ms,
        )
        if self._help and keys.actions is not None:
            self._screen.text(help_lines(keys.actions))
        elif self._hud:
            self._screen.text(hud_lines(status))
        elif status.recording:
            self._screen.text([status.recording])
        if message := banner(status, now):
            self._screen.text([message], bottom=True, colour=ALARM if status.trouble else TEXT)
        if status.progress is not None:
            self._screen.bar(status.progress)

    def _count(self, shot: Shot) -> None:
        """Take the time of what has just become visible."""
        before, now = self._drawn or Shot(None, shot.status, None), self._clock.now()
        if shot.frame is not before.frame:
            self._flips.append(now)
        if shot.pressed_at is not None and shot.pressed_at != self._answered:
            self._photon_ms = (now - shot.pressed_at) * 1000
            self._answered = shot.pressed_at

    def _fps_shown(self) -> float:
        flips = [at for at in self._flips if at > self._clock.now() - 2.0]
        return (len(flips) - 1) / (flips[-1] - flips[0]) if len(flips) > 1 else 0.0
