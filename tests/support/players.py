"""What several tests of playing share: a session with keys to press, and a program in a window.

Not a test itself; pytest finds it through `pythonpath`.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from worldsim.runtime.core.control import Latch
from worldsim.runtime.core.sinks import Sink
from worldsim.runtime.session.command_queue import Keys
from worldsim.runtime.session.session import Session
from worldsim.runtime.session.state import State

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 240  # until a thing must have happened; even on a busy machine nothing takes so long
TOOLS = ("xdotool", "import")


def until(condition, pause=0.02):
    """Wait for another thread or process; gives what the condition gave."""
    deadline = time.monotonic() + SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(pause)
    return value


# ---- without a screen ----


class FakeClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self):
        self.time = 100.0

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds


class Seen(Sink):
    """A sink that remembers everything."""

    def __init__(self):
        self.steps, self.lines, self.ends, self.shown, self.closed = [], [], [], [], 0

    def begin(self, point):
        self.lines.append(point)

    def step(self, step):
        self.steps.append(step)

    def end(self, why):
        self.ends.append(why)

    def show(self, frame, status):
        self.shown.append((frame, status))

    def close(self):
        self.closed += 1

    @property
    def actions(self):
        return [step.move.action for step in self.steps]

    @property
    def frames(self):
        """Every frame that was shown, as often as it was."""
        return [frame for frame, _ in self.shown]

    @property
    def frame(self):
        return self.shown[-1][0]

    @property
    def status(self):
        return self.shown[-1][1]


class Played:
    """A session on a fake clock, keys to press, and what was seen."""

    def __init__(self, opening, controller, *, sinks=(), **options):
        self.clock, self.seen, self.place = FakeClock(), Seen(), opening.place
        usual = {"seed": 0, "fps": 0, "runs_on": False, "clock": self.clock}
        self.session = Session(opening, controller, **usual | options, sinks=[*sinks, self.seen])
        latch = getattr(controller, "latch", Latch())
        self.keys = Keys(opening, latch, self.session.command_queue)
        self.session.tick()

    def press(self, key):
        return self.keys.down(key, self.clock.now())

    def tap(self, key):
        answer = self.press(key)
        self.keys.up(key.rpartition("+")[2])
        return answer

    def ticks(self, count=1):
        for _ in range(count):
            self.session.tick()
        return self

    def settle(self):
        """Tick until a journey is over."""
        for _ in range(300):
            if self.session.state is not State.REWINDING:
                return self
            self.session.tick()
            self.clock.sleep(0.1)
        raise AssertionError("it never arrives")

    @property
    def note(self):
        return self.seen.status.note

    @property
    def panes(self):
        return self.seen.status.panes

    @property
    def number(self):
        return self.session.number


# ---- in a window ----


def tool(*words):
    """What a program printed; nothing where it failed."""
    done = subprocess.run(list(map(str, words)), capture_output=True)
    return done.stdout if done.returncode == 0 else b""


def windows_of(process):
    """The numbers of a process's windows."""
    return tool("xdotool", "search", "--pid", process).decode().split()


def screenshot(window):
    """The pixels of a window, uint8 `[H,W,3]`, and the same as a PNG."""
    png = tool("import", "-window", window, "png:-")
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1], png


class Program:
    """A program with a window on the display, and keys to play it with.

    Args:
        command: what to run with this Python; `--zoom` is added.
        zoom: screen pixels a pixel.
    """

    def __init__(self, *command, zoom):
        self.zoom = zoom
        words = [sys.executable, *map(str, command), "--zoom", str(zoom)]
        self.process = subprocess.Popen(
            words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.window = until(lambda: self.alive() and windows_of(self.process.pid))[-1]
        tool("xdotool", "windowfocus", "--sync", self.window)

    def alive(self):
        assert self.process.poll() is None, self.process.communicate()[1]
        return True

    def keys(self, *names):
        """Press and let go, one after another."""
        for name in names:
            assert self.alive()
            tool("xdotool", "key", name)

    def down(self, name):
        assert self.alive()
        tool("xdotool", "keydown", name)

    def up(self, name):
        assert self.alive()
        tool("xdotool", "keyup", name)

    def picture(self, name=""):
        """What is on the screen, uint8 `[H,W,3]`; kept as a file where somebody wants to look."""
        assert self.alive()
        pixels, png = screenshot(self.window)
        kept = os.environ.get("WORLDSIM_SCREENSHOTS")
        if kept and name:
            Path(kept, f"{name}.png").write_bytes(png)
        return pixels

    def small(self):
        """The same, one pixel for each of the frame's."""
        return self.picture()[self.zoom // 2 :: self.zoom, self.zoom // 2 :: self.zoom]

    def until_shown(self, condition, name=""):
        until(lambda: condition(self.picture()))
        return self.picture(name)

    def size(self):
        told = tool("xdotool", "getwindowgeometry", "--shell", self.window).decode().split()
        known = dict(line.split("=") for line in told)
        return int(known["WIDTH"]), int(known["HEIGHT"])

    def leave(self, status=0):
        """Wait for its end, and give what it printed."""
        out, error = self.process.communicate(timeout=SECONDS)
        assert self.process.returncode == status, error
        return out

    def end(self):
        """Whatever happens."""
        self.process.kill()
        self.process.communicate()
        # A key that is still down would be pressed in the next test's window too.
        tool("xdotool", "keyup", "a", "w", "BackSpace", "ctrl")


def recorded_bytes(folder):
    """Bytes of recordings that are on the disk and not yet finished."""
    return sum(path.stat().st_size for path in folder.glob("*.journal"))
