"""How fast a world is when it is played: a whole session, with a window and a recorder if wished.

Without a display the window is drawn all the same, where nobody sees it (SDL's dummy driver).
"""

import os
import tempfile
import time
from collections.abc import Sequence

import numpy as np

from worldsim.evaluate.timing import Point, before, resident_mb
from worldsim.runtime.control import Keyboard, RandomWalk
from worldsim.runtime.line import Step
from worldsim.runtime.opening import open_world
from worldsim.runtime.record import NoRecorder, Recorder
from worldsim.runtime.session import Session
from worldsim.runtime.sinks import Sink

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")


class Stamps(Sink):
    """Keeps when each frame came and how long the world took for it."""

    def __init__(self, points: Sequence[int]) -> None:
        self._points = set(points)
        self.world: list[float] = []
        self.at: list[float] = [time.perf_counter()]
        self.resident: dict[int, float | None] = {}

    def step(self, step: Step) -> None:
        """A frame was made."""
        self.world.append(step.seconds)
        self.at.append(time.perf_counter())
        if len(self.world) in self._points:
            self.resident[len(self.world)] = resident_mb()


class RandomKeys(RandomWalk):
    """Random actions for a session whose window still wants a keyboard."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.latch = Keyboard().latch


def time_session(
    world: str, points: Sequence[int], steps: int, device: str, window: bool, record: bool
) -> list[Point]:
    """Play a world as fast as it goes, up to the last point.

    Args:
        world: a bundled world's name, or a world's folder.
        points: numbers of frames, rising.
        steps: sampler steps a frame.
        device: where the network runs.
        window: whether a window shows it.
        record: whether it is recorded (and the recording thrown away).
    """
    stamps = Stamps(points)
    with tempfile.TemporaryDirectory(prefix="worldsim-bench-") as folder:
        session = Session(
            open_world(world, seed=0, spawn=None, steps=steps, device=device),
            RandomKeys(0),
            seed=0,
            fps=0,
            endless=True,
            recorder=Recorder(folder, on=True) if record else NoRecorder(),
            sinks=[stamps],
        )
        if window:
            _show(session, points[-1])
        else:
            session.run(points[-1])
    seconds = {"world": stamps.world, "session": np.diff(stamps.at)}
    return [Point(at, before(seconds, at), stamps.resident[at]) for at in points]


def _show(session: Session, length: int) -> None:
    if not any(map(os.environ.get, DISPLAYS)):
        os.environ["SDL_VIDEODRIVER"] = "dummy"
    from worldsim.runtime.requests import Keys
    from worldsim.runtime.window import Window

    shown = Window(session.opening.title, session.opening.size)
    session.sinks.append(shown)
    keys = Keys(session.opening, session.controller.latch, session.requests)
    shown.run(lambda: session.run(length), keys)
