"""How fast a world is when it is played: a whole session, with a window and a recorder if wished.

Without a display the window is drawn all the same, where nobody sees it (SDL's dummy driver).
"""

import os
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from worldsim.evaluate.bench.timing import WARM_UP, Point, measure_before, resident_mb
from worldsim.runtime.core.control import Keyboard, RandomWalk
from worldsim.runtime.core.moves import Step
from worldsim.runtime.core.sinks import Sink
from worldsim.runtime.recording.recorder import NoRecorder, Recorder
from worldsim.runtime.session.loading import open_world
from worldsim.runtime.session.session import Session, State

BUSY_SECONDS = 0.012  # between two drawings of a window that draws without having to, some 60 Hz
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


class Played(NamedTuple):
    """What was measured.

    Attributes:
        points: the world and the whole session.
        window: frames a second that the window itself drew, whatever the world did, and what 99 of
            100 of the times between two of them stayed below in ms; None without a window.
    """

    points: list[Point]
    window: dict[str, float] | None


class RandomKeys(RandomWalk):
    """Random actions for a session whose window still wants a keyboard."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.latch = Keyboard().latch


def time_session(
    world: str,
    points: Sequence[int],
    steps: int,
    device: str,
    window: bool,
    record: bool,
    busy: bool = False,
    rewind: int = 0,
    runtime: str = "torch",
) -> Played:
    """Play a world as fast as it goes, up to the last point.

    Args:
        world: a bundled world's name, or a world's folder.
        points: numbers of frames, rising.
        steps: sampler steps a frame.
        device: where the network runs.
        window: whether a window shows it.
        record: whether it is recorded (and the recording thrown away).
        busy: whether the window draws all the time, to see how often it could; as it is played it
            draws what is new.
        rewind: after every so many frames a tenth of them is gone back; 0 for never.
        runtime: "torch" or "onnx".
    """
    stamps, drawn = Stamps(points), None
    with tempfile.TemporaryDirectory(prefix="worldsim-bench-") as folder:
        session = Session(
            open_world(world, 0, steps=steps, device=device, runtime=runtime),
            RandomKeys(0),
            seed=0,
            fps=0,
            endless=True,
            recorder=Recorder(folder, on=True) if record else NoRecorder(),
            sinks=[stamps],
        )
        if window:
            beats = _show(session, points[-1], busy)
            # While the world is opened the libraries are loaded; that is not play.
            drawn = rate(beats[beats > stamps.at[min(WARM_UP, len(stamps.world))]])
        else:
            _run(session, points[-1], rewind)
    seconds = {"world": stamps.world, "session": np.diff(stamps.at)}
    played = [Point(at, measure_before(seconds, at), stamps.resident[at]) for at in points]
    return Played(played, drawn)


def _run(session: Session, length: int, rewind: int) -> None:
    goal = rewind
    try:
        while session.made < length:
            session.tick()
            if rewind and session.made >= goal and session.state is State.RUNNING:
                goal += rewind
                session.rewind(rewind // 10)
    finally:
        session.close()


def _show(session: Session, length: int, busy: bool) -> np.ndarray:
    """Play it in a window; when the window drew, in seconds of its clock."""
    if not any(map(os.environ.get, DISPLAYS)):
        os.environ["SDL_VIDEODRIVER"] = "dummy"
    from worldsim.runtime.session.command_queue import Keys
    from worldsim.runtime.window.window import REDRAW_SECONDS, Window

    redraw = BUSY_SECONDS if busy else REDRAW_SECONDS
    shown = Window(session.opening.title, session.opening.size, redraw=redraw)
    session.sinks.append(shown)
    keys = Keys(session.opening, session.controller.latch, session.command_queue)
    shown.run(lambda: session.run(length), keys)
    return np.array(shown.beats)


def rate(beats: np.ndarray) -> dict[str, float]:
    """Frames a second, and the 99th percentile of the time between two, of when each was drawn."""
    between = np.diff(beats)
    if not len(between):
        return {"fps": 0.0, "p99_ms": 0.0}
    p99 = float(np.percentile(between, 99)) * 1000
    return {"fps": round(1 / float(between.mean()), 2), "p99_ms": round(p99, 3)}
