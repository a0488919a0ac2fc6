"""The window: it shows the newest frame and passes keys on.

pygame stays on the main thread, the session runs on another, so the window is alive while a
network thinks. There is one place for the newest frame and no queue: a slow screen skips frames.
"""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from worldsim.actions import ActionSet
from worldsim.paths import asset_names
from worldsim.runtime.core.clock import Clock
from worldsim.runtime.core.intents import Hint, Intent, build_key_hints, find_view_key
from worldsim.runtime.core.moves import Point, Step
from worldsim.runtime.core.settings import TOUCH_PADS, Settings
from worldsim.runtime.core.settings_page import SettingsPage
from worldsim.runtime.core.sinks import Sink
from worldsim.runtime.core.status import (
    Status,
    add_dots,
    describe_plainly,
    format_help,
    format_hud,
)
from worldsim.runtime.core.touch_pad import PadKey, list_pad_keys
from worldsim.runtime.core.user_folder import shorten
from worldsim.runtime.session.command_queue import Keys
from worldsim.runtime.session.state import State
from worldsim.runtime.window.compose import Around, compose
from worldsim.runtime.window.display_loss import on_display_loss
from worldsim.runtime.window.gamepad import Gamepads
from worldsim.runtime.window.keyboard import Keyboard, copy_text
from worldsim.runtime.window.pointer import FINGERS, MICE, Pointer, Scene
from worldsim.runtime.window.screen import (
    NoDisplay,
    Screen,
    fit_size,
    pygame,
    video_driver,
)
from worldsim.runtime.window.sound import Sounds
from worldsim.told import read_told, tell

ADVICE = 'Set SDL_VIDEODRIVER=dummy, or make the environment with render_mode="rgb_array".'
__all__ = ["NoDisplay", "Viewer", "Window", "fit_size", "video_driver"]
POLL_SECONDS = 0.004
REDRAW_SECONDS = 0.1  # at least so often, so that waiting is seen to go on
PATIENCE_SECONDS = 5.0  # for a network that does not come back when the player wants to leave
HINT_SECONDS = 4.0
FIRST_SECONDS = 10.0  # the keys are named for so long,
IDLE_SECONDS = 8.0  # and again when none was pressed for so long
NOTHING, WORDS, FIGURES = range(3)  # what H goes through
TREND = 120  # values of a curve
TRENDS = PACE, SHARPNESS, RECALL = (
    tell("milliseconds a frame"),
    tell("sharpness %"),
    tell("remembered %"),
)
BUSY_SECONDS = 1.0  # a session that says nothing for so long is busy


class Viewer:
    """A plain window for frames, without keys: what `render_mode="human"` opens.

    Args:
        title: what the window is called.
        size: width and height of the frames in pixels.
        zoom: screen pixels a pixel; None for a window of a comfortable size.

    Raises:
        NoDisplay: there is no display.
    """

    def __init__(self, title: str, size: tuple[int, int], zoom: int | None = None) -> None:
        self._screen = Screen(title, size, zoom, ADVICE)

    def show(self, frame: np.ndarray) -> bool:
        """Show a frame (uint8 `[H,W,3]`); False once the user has closed the window."""
        if any(event.type == pygame.QUIT for event in pygame.event.get()):
            return False
        self._screen.clear()
        self._screen.picture(frame, self._screen.room())
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
        hud: whether there is a line of words and hints below the picture at first.
        fullscreen: whether it takes the whole screen at first.
        shares: folder of screenshots.
        settings: how it looks and sounds, and whether mouse, touch and gamepads count.
        clock: must be the session's.
        redraw: seconds after which a picture that did not change is drawn again.

    Attributes:
        beats: when it last drew, on its clock, at most 4096 times; for `worldsim bench --window`.

        around: what is written around the picture.

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
        fullscreen: bool = False,
        shares: str | Path = "shares",
        settings: Settings | None = None,
        clock: Clock | None = None,
        redraw: float = REDRAW_SECONDS,
    ) -> None:
        self._redraw, self._shares, self._copied = redraw, Path(shares), ""
        self.beats: deque[float] = deque(maxlen=4096)
        self._clock = clock or Clock()
        self._settings = settings or Settings()
        self._pointer, self._scene = Pointer(), Scene()
        self._page: SettingsPage | None = None
        self._screen = Screen(title, size, zoom, footed=hud)
        self._screen.apply(self._settings)
        if fullscreen:
            self._screen.fullscreen()
        self._pads, self._keyboard = Gamepads(), Keyboard()
        self._actions: ActionSet | None = None
        self._sounds = Sounds(lambda: self._actions, self._settings.sound)
        self._hud = WORDS if hud else NOTHING
        self._help = 0  # which page of it is to be seen, from 1
        self._trends = {name: deque[float](maxlen=TREND) for name in TRENDS}
        self._met_at: float | None = None  # when the world could be played first
        self.around = Around()
        self._touched_at = self._clock.now()
        self._shot = Shot(None, Status(title=title), None)
        self._drawn: Shot | None = None
        self._drawn_at = 0.0
        self._heard_at = self._clock.now()
        self._pressed_at: float | None = None
        self._answered: float | None = None
        self._photon_ms: float | None = None
        self._flips: deque[float] = deque(maxlen=30)
        self._hint, self._hint_until = "", 0.0
        self._error: BaseException | None = None

    # ---- called by the session, on its thread ----

    def begin(self, point: Point) -> None:
        """Steps follow one another from here."""
        self._sounds.begin(point)

    def step(self, step: Step) -> None:
        """Remember the key press a frame answers."""
        self._sounds.step(step)
        self._pressed_at = step.pressed_at or self._pressed_at
        self._trends[PACE].append(1000 * step.seconds)

    def show(self, frame: np.ndarray | None, status: Status) -> None:
        """Put the newest picture where the window finds it; what was not shown yet is gone."""
        self._shot = Shot(frame, status, self._pressed_at)
        self._heard_at = self._clock.now()
        self._sounds.show(frame, status)
        if status.drift is not None:
            self._trends[SHARPNESS].append(100 * status.drift)
        if status.seen_share is not None:
            self._trends[RECALL].append(100 * status.seen_share)

    # ---- the main thread ----

    def run(
        self, play: Callable[[], None], keys: Keys, stays: Callable[[], bool] = lambda: False
    ) -> None:
        """Show what `play` does on another thread, until it is done.

        Args:
            play: e.g. `session.run`; ends soon after `keys.command_queue.stop()`.
            keys: where key presses go.
            stays: whether the window stays open at the end, for what is shown next.

        Raises:
            Exception: what `play` raised.
        """
        worker = threading.Thread(target=self._guard, args=(play,), name="session", daemon=True)
        worker.start()

        def finish() -> None:
            keys.command_queue.stop()
            worker.join(PATIENCE_SECONDS)

        on_display_loss(finish)
        stopped_at = None
        while worker.is_alive():
            self._actions = keys.actions
            self._listen(keys)
            self._draw(keys)
            if keys.command_queue.stopped:
                stopped_at = stopped_at or self._clock.now()
                if self._clock.now() - stopped_at > PATIENCE_SECONDS:
                    break
            self._clock.sleep(POLL_SECONDS)
        if self._error is not None or not stays():
            self._screen.close()
        if self._error is not None:
            raise self._error

    @property
    def fullscreen(self) -> bool:
        """Whether it takes the whole screen."""
        return self._screen.full

    def _guard(self, play: Callable[[], None]) -> None:
        try:
            play()
        except BaseException as error:
            self._error = error

    def _listen(self, keys: Keys) -> None:
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                keys.command_queue.stop()
            elif event.type == pygame.KEYDOWN and self._page is not None:
                self._type(self._page, event)
            elif event.type == pygame.KEYDOWN and self._close(event, keys):
                self._drawn = None
            elif event.type == pygame.KEYDOWN:
                letter, place = self._keyboard.name(event)
                keys.layout = self._keyboard.layout()
                self._key(keys.down(_with_ctrl(letter, event), self._clock.now(), place))
                if self._page is not None:
                    self._lose(keys)  # what comes up while the page is open counts for nothing
            elif event.type == pygame.KEYUP:
                keys.up(*self._keyboard.name(event))
            elif event.type in (*FINGERS, *MICE):
                self._point(event, keys)
            elif event.type == pygame.DROPFILE:
                keys.drop(event.file)
            elif event.type == pygame.WINDOWFOCUSLOST:
                self._lose(keys)
            elif event.type in (pygame.VIDEORESIZE, pygame.VIDEOEXPOSE):
                self._drawn = None
            else:
                self._pad(event, keys)

    def _type(self, page: SettingsPage, event: pygame.event.Event) -> None:
        """A key goes to the settings; what can be seen of them is seen at once."""
        page.press(self._keyboard.name(event)[0], event.unicode)
        self._settings = page.settings
        self._sounds.on = page.settings.sound
        self._screen.apply(page.settings)
        self._page, self._drawn = page if page.open else None, None

    def _close(self, event: pygame.event.Event, keys: Keys) -> bool:
        """Close the help, or what there is to pick from, with the key that quits otherwise; whether
        either was open.
        """
        letter = self._keyboard.name(event)[0]
        if not any(intent.name == "quit" and letter in intent.keys for intent in keys.intents):
            return False
        if self._help:
            self._help = 0
            return True
        if self._shot.status.state != State.CHOOSING.value:
            return False
        keys.command_queue.put("leave")
        return True

    def _lose(self, keys: Keys) -> None:
        """Nothing is down any more."""
        keys.lost()
        self._pointer.clear()

    def _point(self, event: pygame.event.Event, keys: Keys) -> None:
        """The mouse or a finger: keys on the screen, hints of keys, turns, and a place to walk to;
        over the help, its next page.
        """
        if self._page is not None or keys.actions is None:
            return
        if self._help:
            if event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
                self._help, self._drawn = self._help + 1, None
            return
        for key, is_down in self._pointer.read_keys(event, self._scene):
            if is_down:
                self._key(keys.press(key, self._clock.now()))
            else:
                keys.release(key)
            self._drawn = None
        if not self._settings.mouse or not keys.actions.keys:  # no move is the player's to make
            return
        turns = self._pointer.read_turns(event, self._scene, keys.actions, keys.limits)
        try:
            click = self._pointer.read_click(event, self._scene)
        except ValueError as error:  # it shows no place
            self._say(read_told(error))
            return
        if turns:
            keys.command_queue.put("turn", (self._clock.now(), turns))
        if click is not None:
            self._touched_at = self._clock.now()
            keys.command_queue.put("walk", (self._clock.now(), click.target))

    def _pad(self, event: pygame.event.Event, keys: Keys) -> None:
        """A gamepad's events are key presses."""
        for key, is_down in self._pads.keys(event):
            if is_down and self._settings.gamepad:
                self._key(keys.down(key, self._clock.now()))
            elif not is_down:
                keys.up(key)

    def _key(self, answer: Intent | str | None) -> None:
        """Carry out what only the window can, or show a hint."""
        self._touched_at = self._clock.now()
        if answer is None:
            return
        if isinstance(answer, str):
            self._say(answer)
        elif answer.name == "hud":
            self._hud = (self._hud + 1) % (FIGURES + 1)
        elif answer.name == "help":
            self._help += 1
        elif answer.name == "settings":
            self._page = SettingsPage(asset_names("worlds"))
        elif answer.name == "fullscreen":
            self._screen.fullscreen()
        elif answer.name == "sound":
            self._sounds.on = not self._sounds.on
            self._say(tell("Sound is on.") if self._sounds.on else tell("Sound is off."))
        elif answer.name == "screenshot":
            self._say(self._keep_picture())
        self._drawn = None

    def _say(self, hint: str) -> None:
        self._hint, self._hint_until = hint, self._clock.now() + HINT_SECONDS

    def _keep_picture(self) -> str:
        """Write what is shown without a word around it as a PNG; what there is to say."""
        shot, now = self._shot, self._clock.now()
        bare = replace(shot.status, note="", trouble="", recording="", progress=None)
        compose(self._screen, shot.frame, bare, Around(), now)
        path = free_path(self._shares, f"picture-{time.strftime('%Y%m%d-%H%M%S')}", ".png")
        try:
            self._screen.save(path)
        except OSError as error:
            return tell("The picture could not be written: {reason}", reason=error)
        return tell("The picture is in {path}.", path=shorten(path))

    def _copy(self, text: str) -> None:
        """Put a text on the clipboard, once."""
        if text != self._copied:
            self._copied = text
            copy_text(text)

    def _draw(self, keys: Keys) -> None:
        shot, now = self._shot, self._clock.now()
        self._copy(shot.status.copied)
        if shot is self._drawn and now < self._drawn_at + self._redraw:
            return
        status = self._complete(shot.status, keys, now)
        helped = self._page_of_settings() or self._page_of_help(status, keys)
        self.around = self._around(status, keys, now, helped)
        placed = compose(self._screen, shot.frame, status, self.around, now)
        pad, hints = self.around.pad, self.around.hints
        picks = next((one.keys for one in keys.intents if one.name == "pick"), ())
        self._scene = Scene(self._screen.room(), placed, pad, status.view, hints, picks)
        self._screen.flip()
        self._count(shot)
        self._drawn, self._drawn_at = shot, now
        self.beats.append(self._clock.now())

    def _page_of_settings(self) -> list[str]:
        """As much of the settings as fits, where they are open."""
        if self._page is None:
            return []
        lines, at = self._page.lines(), self._page.marked_line
        return self._screen.keep_in_view(lines, self._screen.room(), at)

    def _page_of_help(self, status: Status, keys: Keys) -> list[str]:
        """The page of the help that is to be seen; nothing after the last one."""
        if not self._help or keys.actions is None:
            return []
        keys.layout = self._keyboard.layout()
        lines = format_help(
            keys.actions,
            keys.intents,
            self._pads.any and self._settings.gamepad,
            keys.layout,
            status.lacking,
            self._settings.mouse,
        )
        key = find_view_key("help", keys.intents)
        pages = self._screen.split_pages(lines, self._screen.room(), key)
        self._help = self._help if self._help <= len(pages) else 0
        return pages[self._help - 1] if self._help else []

    def _complete(self, status: Status, keys: Keys, now: float) -> Status:
        """With what only the window knows."""
        busy = now > self._heard_at + BUSY_SECONDS and status.progress is None
        note = status.note
        if busy and not note.endswith("..."):  # what it says it is doing
            note = add_dots(tell("One moment"), now)
        return replace(
            status,
            note=self._hint if now < self._hint_until else note,
            held=keys.held(),
            fps_shown=self._fps_shown(),
            photon_ms=self._photon_ms,
        )

    def _around(self, status: Status, keys: Keys, now: float, helped: list[str]) -> Around:
        """What is shown around the picture: more, the more often H was pressed."""
        pad, held = self._list_pad(keys), self._pointer.touches.held
        if self._hud == NOTHING:
            return Around(helped=helped, pad=pad, held=held)
        hints = self._hints(status, keys, now)
        figures, trends = [], []
        if self._hud == FIGURES and not helped:
            figures = format_hud(status)
            trends = [(name, tuple(kept)) for name, kept in self._trends.items() if kept]
        words = describe_plainly(status)
        if not self._screen.fits(words, self._screen.room().width):
            words = describe_plainly(replace(status, title=""))
        return Around(words, hints, figures, trends, helped, pad, held)

    def _list_pad(self, keys: Keys) -> tuple[PadKey, ...]:
        """The keys on the screen, where the player wants them."""
        after_a_touch, always, _ = TOUCH_PADS
        wanted = self._settings.touch_pad
        shown = wanted == always or (wanted == after_a_touch and self._pointer.touched)
        if not shown or keys.actions is None:
            return ()
        return list_pad_keys(keys.actions, keys.intents)

    def _hints(self, status: Status, keys: Keys, now: float) -> Sequence[Hint]:
        """The keys, at first, when nothing is pressed for a while, after one without a use, and
        while one pauses.
        """
        if keys.actions is None or status.progress is not None:
            return []
        self._met_at = now if self._met_at is None else self._met_at
        rests = status.state == State.PAUSED.value or now > self._touched_at + IDLE_SECONDS
        if not (rests or now < self._met_at + FIRST_SECONDS or now < self._hint_until):
            return []
        keys.layout = self._keyboard.layout()
        return build_key_hints(keys.actions, keys.intents, keys.layout)

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


def free_path(folder: Path, stem: str, suffix: str) -> Path:
    """A path in a folder that nothing has yet."""
    names = (f"{stem}{suffix}" if n == 1 else f"{stem}-{n}{suffix}" for n in itertools.count(1))
    return next(path for name in names if not (path := folder / name).exists())


def _with_ctrl(name: str, event: pygame.event.Event) -> str:
    """The name of a key that went down, "ctrl+" before it while Ctrl is down."""
    return f"ctrl+{name}" if event.mod & pygame.KMOD_CTRL and "ctrl" not in name else name
