"""One running engine: its start and end, its two pipes, and the pictures it draws.

The engine is stopped by a signal whenever nothing is asked of it, so it burns no processor and its
clock stands still between two steps. A picture counts only once it shows the heading it was asked
for at its top and at its bottom; see `look`. Knows no actions and no Gymnasium. ::

    engine = Engine(size=128, biome="mixed")
    x, y, z = engine.ask("spawn", 100, 100, 0)
    engine.load(x, y, z)
    frame = engine.look(x, y, z, heading=0)     # uint8 [128, 128, 3]
    engine.close()
"""

import json
import math
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from pathlib import Path
from typing import NoReturn

import numpy as np

from envs.voxel.framebuffer import Screen
from envs.voxel.programs import find_programs
from envs.voxel.raycast import Land
from envs.voxel.server_dir import VIEW, prepare

PATIENCE = 120  # seconds without an answer; a busy machine may take its time
REACH = VIEW + 44
"""Blocks around the eye that are loaded: all that are drawn, their neighbours, and some steps."""
ROOM = 24
SIGHT = VIEW + ROOM + 1
"""Blocks around a place whose nodes are asked for; they serve while the eye is within ROOM of it.
All of them are built, since that place was within 8 blocks of the one loaded last."""
EYE_HEIGHT = 1.62  # above the feet, as in eye.lua
_TRIES = 3
_KEEPER = Path(__file__).parent / "supervisor.py"


class EngineError(RuntimeError):
    """The engine ended or fell silent."""


class Engine:
    """Luanti on a display of its own, with our game in it."""

    def __init__(self, size: int, biome: str) -> None:
        """Start it, which takes some seconds.

        Args:
            size: pixels a side.
            biome: see setting.BIOMES.

        Raises:
            ImportError: Luanti, Xvfb or OpenGL is missing; the sentence names the packages.
            EngineError: it did not start.
        """
        self.size, self.biome = size, biome
        self.loads = 0  # it forgets nothing of what it loaded, and grows
        for left in reversed(range(_TRIES)):
            try:
                self._start()
                return
            except EngineError:
                self.close()
                if not left:
                    raise

    def _start(self) -> None:
        xvfb, minetest = find_programs()
        self._folder = Path(tempfile.mkdtemp(prefix="worldsim-voxel-"))
        arguments, variables = prepare(self._folder, self.size, self.biome)
        self._screen = Screen(self._folder, self.size)
        world = self._folder / "world"
        # Opened before the engine opens them, and to both ends, so that nobody waits in open().
        self._commands = os.open(world / "commands", os.O_RDWR)
        self._answers = os.open(world / "answers", os.O_RDWR | os.O_NONBLOCK)
        self._unread = b""
        display = [xvfb, *self._screen.arguments]
        engine = [[minetest, *arguments], variables]
        command = [sys.executable, "-I", "-S", str(_KEEPER), str(self._folder)]
        self._keeper = subprocess.Popen(
            [*command, json.dumps(display), json.dumps(engine)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is not the engine's to handle
        )
        pipes = [self._commands, self._answers]
        self._end = weakref.finalize(self, _end, self._keeper, self._folder, pipes, os.getpid())
        self._process = None
        report = json.loads(self._keeper.stdout.readline() or "{}")
        if "engine" not in report:
            raise EngineError("Xvfb ended as soon as it was started.")
        self._pid = report["engine"]
        self._process = os.pidfd_open(self._pid)
        pipes.append(self._process)
        self._running = True
        self._loaded: tuple[float, float, float] | None = None
        self._land: tuple[tuple[float, ...], Land] | None = None  # around a place
        self._shown: tuple[float, ...] | None = None
        if self._read_line() != "ready":
            raise EngineError("the engine began with a wrong answer.")

    def ask(self, *words: object) -> list[float]:
        """Send one command and wait for its answer; the commands are in the game's link.lua.

        Raises:
            EngineError: the engine ended or fell silent.
        """
        if not self.alive:
            raise EngineError("the engine has ended: reset the environment to start another.")
        self._run(True)
        line = " ".join(f"{word:.17g}" if isinstance(word, float) else str(word) for word in words)
        os.write(self._commands, line.encode() + b"\n")
        return [float(word) for word in self._read_line().split() if word != "ok"]

    def load(self, x: float, y: float, z: float) -> None:
        """See to it that all that is in sight from a place is built and has its final look.

        Costs nothing while the place is near the last one that was loaded.
        """
        near = self._loaded is not None and all(
            abs(there - here) < 8 for there, here in zip(self._loaded, (x, y, z), strict=True)
        )
        if near:
            return
        self.loads += 1
        self.ask("load", round(x), round(y), round(z), REACH)
        self._loaded = (x, y, z)
        # The client has the blocks now and makes their meshes in one thread. Done is when that has
        # slept through two pictures: they are drawn by the thread that takes over what it made, and
        # whatever it waited for, work or a lock, would have woken it.
        while True:
            before = self._read_mesh_thread()
            self._point(x, y, z, 90)
            self._point(x, y, z, 180)
            if before[0] == "S" and before == self._read_mesh_thread():
                break
        self._shown = None  # see look

    def look(self, x: float, y: float, z: float, heading: float) -> np.ndarray:
        """The picture from a place of the feet, as a fresh uint8 `[size, size, 3]`.

        Place and heading travel in one message, so a picture that shows a new heading shows the new
        place. Where the heading stays, or turns by so little that the engine would keep its list of
        visible blocks for a while, and where it comes from far, it is first shown another one close
        by: that makes a picture a function of place and heading alone.

        Args:
            x: blocks to the east.
            y: blocks up.
            z: blocks to the north.
            heading: degrees, 0 is north, counter-clockwise.
        """
        turn = 0 if self._shown is None else abs((heading - self._shown + 180) % 360 - 180)
        if not 15 < turn <= 30:
            self._point(x, y, z, heading + 30)
        frame = self._point(x, y, z, heading)
        self._run(False)
        return frame

    def depth(self, x: float, y: float, z: float, heading: float) -> np.ndarray:
        """What `look` shows, as depth float32 `[size/2, size/2]`; see raycast.py.

        The place has to be loaded.
        """
        if self._land is None or math.dist(self._land[0], (x, y, z)) > ROOM:
            self._land = (x, y, z), self._read_land(x, y, z)
        return self._land[1].depth((x, y + EYE_HEIGHT, z), heading, self.size // 2)

    def _read_land(self, x: float, y: float, z: float) -> Land:
        self.ask("nodes", round(x), round(y), round(z), SIGHT)
        self._run(False)
        with open(self._folder / "world" / "nodes", "rb") as file:
            *numbers, names = file.readline().decode().split(maxsplit=6)
            corner, sides = map(int, numbers[:3]), map(int, numbers[5:2:-1])
            nodes = np.frombuffer(file.read(), np.uint8).reshape(tuple(sides))
        return Land(nodes, tuple(corner), names.split())

    def _point(self, x: float, y: float, z: float, heading: float) -> np.ndarray:
        self.ask("look", float(x), float(y), float(z), float(np.radians(heading % 360)))
        deadline = time.monotonic() + PATIENCE
        while (frame := self._screen.picture(heading)) is None:
            self._check(deadline)
            time.sleep(0.0005)
        self._shown = heading
        return frame

    def _read_line(self) -> str:
        deadline = time.monotonic() + PATIENCE
        while b"\n" not in self._unread:
            if select.select([self._answers], [], [], 0.1)[0]:
                self._unread += os.read(self._answers, 4096)
            else:
                self._check(deadline)
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def _check(self, deadline: float) -> None:
        """End the engine and say so, if it ended by itself or was silent for too long."""
        if self._keeper.poll() is None and not select.select([self._process], [], [], 0)[0]:
            if time.monotonic() < deadline:
                return
            self._fail(f"the engine was silent for {PATIENCE} seconds")
        self._fail("the engine ended by itself")

    def _fail(self, what: str) -> NoReturn:
        said = self._read_log()
        self.close()
        raise EngineError(f"{what}; reset the environment to start another.{said}")

    def _read_log(self) -> str:
        try:
            lines = (self._folder / "log.txt").read_text(errors="replace").splitlines()
        except OSError:
            return ""
        errors = [line for line in lines if "ERROR" in line]
        return f" It said: {' / '.join(errors[-3:])}" if errors else ""

    def _run(self, running: bool) -> None:
        if running == self._running:
            return
        self._running = running
        try:
            signal.pidfd_send_signal(self._process, signal.SIGCONT if running else signal.SIGSTOP)
        except ProcessLookupError:
            self._fail("the engine ended by itself")

    def _read_mesh_thread(self) -> tuple[str, ...]:
        """State, times run and times interrupted of the client's mesh maker."""
        names = "State", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"
        try:
            for task in Path(f"/proc/{self._pid}/task").iterdir():
                if (task / "comm").read_text().startswith("MeshUpdate"):
                    lines = (task / "status").read_text().splitlines()
                    rows = dict(line.split(":", 1) for line in lines)
                    return tuple(rows[name].split()[0] for name in names)
        except OSError:
            self._fail("the engine ended by itself")
        self._fail("the engine has no thread that makes meshes")

    @property
    def alive(self) -> bool:
        """Whether it was neither closed nor seen to end."""
        return self._end.alive

    def close(self) -> None:
        """End the engine and its display, and wait until both are gone; does nothing twice."""
        self._end()


def _end(keeper: subprocess.Popen, folder: Path, handles: list[int], owner: int) -> None:
    for handle in handles:
        os.close(handle)
    keeper.stdin.close()
    keeper.stdout.close()
    if os.getpid() != owner:  # a forked child lets go of its copies, the engine is its parent's
        return
    try:
        keeper.wait(timeout=20)
    except subprocess.TimeoutExpired:
        keeper.kill()
        keeper.wait()
    shutil.rmtree(folder, ignore_errors=True)
