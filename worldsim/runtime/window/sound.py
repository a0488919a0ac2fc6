"""The sounds of a window: made with numpy, played by pygame's mixer; silent where there is no audio
device. A sink like any other: it watches, and changes nothing of what is played or recorded.
"""

import threading
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from worldsim.actions import ActionSet
from worldsim.runtime.core.moves import Point, Step
from worldsim.runtime.core.sinks import Sink
from worldsim.runtime.core.sound_cues import BUMP, CUES, INVENTION, RECALL, STEP, SoundCues
from worldsim.runtime.core.status import Status
from worldsim.runtime.window.screen import pygame

RATE = 22050
LOUD = 0.2  # of full scale
SECONDS = {STEP: 0.06, BUMP: 0.18, RECALL: 0.3, INVENTION: 0.3}
TONES = {BUMP: (110.0, 60.0), RECALL: (523.0, 784.0), INVENTION: (440.0, 330.0)}  # Hz, from and to


def synthesise(cue: str) -> np.ndarray:
    """The sound of a cue, int16 `[N,2]` at RATE; the same each time."""
    count = round(SECONDS[cue] * RATE)
    time = np.linspace(0, 1, count)
    wave = _rustle(count) if cue == STEP else _glide(*TONES[cue], count)
    envelope = np.minimum(1, 40 * time) * (1 - time) ** 2  # no click at either end
    mono = np.round(LOUD * 32767 * wave * envelope).astype(np.int16)
    return np.stack([mono, mono], axis=1)


def _rustle(count: int) -> np.ndarray:
    """Noise without its high part."""
    noise = np.random.default_rng(0).normal(size=count)
    smooth = np.convolve(noise, np.ones(12) / 12, mode="same")
    return smooth / np.abs(smooth).max()


def _glide(low: float, high: float, count: int) -> np.ndarray:
    """A sine whose frequency goes from one to the other."""
    return np.sin(2 * np.pi * np.cumsum(np.linspace(low, high, count)) / RATE)


class Sounds(Sink):
    """Plays the cues of a session.

    Args:
        find_actions: the world's actions; None while they are not known.
        on: whether they are to be heard at first.

    Attributes:
        on: whether they are to be heard.
        played: how often each cue was given, heard or not.
    """

    def __init__(self, find_actions: Callable[[], ActionSet | None], on: bool = True) -> None:
        self.on, self.played = on, dict.fromkeys(CUES, 0)
        self._find_actions, self._cues = find_actions, SoundCues()
        self._sounds: dict[str, pygame.mixer.Sound] = {}
        # A sound server that does not answer must not hold up the window.
        threading.Thread(target=self._open, name="sound", daemon=True).start()

    def _open(self) -> None:
        with suppress(pygame.error):
            pygame.mixer.init(RATE, -16, 2)
            sounds = {cue: pygame.mixer.Sound(buffer=synthesise(cue).tobytes()) for cue in CUES}
            self._sounds = sounds

    def begin(self, point: Point) -> None:
        """Steps follow one another from here."""
        self._cues.begin(point.pose)

    def step(self, step: Step) -> None:
        """A step, or a bump."""
        if (actions := self._find_actions()) is not None:
            self._play(self._cues.find_step(step, actions))

    def show(self, frame: np.ndarray | None, status: Status) -> None:
        """A tone where the dream begins to remember or to invent."""
        self._play(self._cues.find_change(status.seen_share))

    def _play(self, cue: str | None) -> None:
        if cue is None:
            return
        self.played[cue] += 1
        if self.on and cue in self._sounds:
            with suppress(pygame.error):  # the mixer ends with the window
                self._sounds[cue].play()
