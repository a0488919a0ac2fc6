"""The Recorder: a sink that keeps what happens, losslessly, and never makes play wait.

Steps go through a bounded queue to a thread that writes a journal; a journal that is complete
becomes a recording's folder on yet another. What cannot be written is said: see `trouble`, and
`dropped` in the meta.
"""

import dataclasses
import itertools
import queue
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from worldsim.paths import path_below, to_name
from worldsim.runtime.core.moves import Point, Step, pack
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.core.sinks import Sink
from worldsim.runtime.recording.journal import Journal
from worldsim.runtime.recording.recording import (
    JOURNAL,
    describe_versions,
    finish,
    pack_step,
    recover,
)
from worldsim.told import read_told, tell

QUEUE = 256
PART_BYTES = 64 << 20  # pixels of one recording at most; a longer one goes on in a next part


class NoRecorder(Sink):
    """Keeps nothing."""

    on = False
    label = trouble = ""

    def describe(self, place: PlayableEnv, fps: float) -> None:
        """Nothing to keep."""

    def start(self, point: Point) -> None:
        """Refuse."""
        raise ValueError(tell("There is no folder for recordings."))

    def stop(self) -> None:
        """Nothing to stop."""


class _Line:
    """The line that is recorded, as far as it has come."""

    def __init__(self, point: Point) -> None:
        self._start = point.start
        self._moves = point.moves
        self._frame, self._pose = point.frame, point.pose
        self.steps = 0  # in the part that is open
        self.open = False  # whether a journal was begun
        self.dropped = 0
        self.terminated = False

    def add(self, step: Step) -> None:
        self._moves.append(step.move)
        self._frame, self._pose = step.frame, step.pose
        self.terminated = step.terminated and not self.dropped

    def point(self) -> Point:
        return Point(
            start=self._start,
            lead_in=self._moves.array(),
            frame=self._frame,
            pose=self._pose,
            lead_controls=self._moves.controls(),
        )


@dataclass(frozen=True)
class _End:
    """What a recording's meta says of its end."""

    ended: str
    dropped: int = 0
    terminated: bool = False


class Recorder(Sink):
    """Records lines of play into a folder.

    Args:
        folder: made when the first step is recorded.
        on: whether to record from the first line on.
        capacity: how many steps may wait to be written; what comes on top is dropped and counted.
        part: how many steps a recording has at most; None for what fits into 64 MiB.

    Attributes:
        on: whether lines are recorded.
        trouble: why recording stopped by itself; empty while all is well.
        made: the recordings that were finished.
        recovered: recordings of earlier programs that were finished now.
        aside: journals of earlier programs that could not be finished.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        on: bool = False,
        capacity: int = QUEUE,
        part: int | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.on = on
        self.trouble = ""
        self.made: list[Path] = []
        self.recovered: list[Path] = []
        self.aside: list[Path] = []
        self._part = part
        self._facts: dict[str, Any] = {}
        self._line: _Line | None = None
        self._queue: queue.Queue = queue.Queue(capacity)
        self._thread: threading.Thread | None = None
        self._finishing: list[threading.Thread] = []

    # ---- called by the session ----

    def describe(self, place: PlayableEnv, fps: float, **more: Any) -> None:
        """Say what is played, before anything is recorded; `more` JSON values go into the meta."""
        self._facts = place.identity.as_json() | {
            "format": 1,
            "action_set": place.actions.name,
            "actions": list(place.actions.names),
            "fps": fps or place.fps,
            **more,
        }

    def start(self, point: Point) -> None:
        """Record from here on."""
        self.on, self.trouble = True, ""
        self.begin(point)

    def stop(self) -> None:
        """Finish the recording, and record no more."""
        self.end("stopped")
        self.on = False

    def begin(self, point: Point) -> None:
        """A line begins; its journal is made with its first step."""
        self._line = _Line(point) if self.on else None

    def step(self, step: Step) -> None:
        """Keep a step, or count it as dropped when too many wait."""
        line = self._line
        if line is None or not self.on:
            return
        items: list[Any] = []
        if line.open and line.dropped:
            items.append(_End("dropped", line.dropped))
        elif line.open and line.steps >= self._count_part_steps(step.frame):
            items.append(_End("continued"))
        if items or not line.open:
            items.append(line.point())
        items.append(step)
        if self._enqueue(items):
            line.steps = 1 if len(items) > 1 else line.steps + 1
            line.open, line.dropped = True, 0
        else:
            line.dropped += 1
        line.add(step)

    def end(self, why: str) -> None:
        """The line is over: its journal becomes a recording."""
        line = self._line
        if line is not None and line.open:
            # `_enqueue` kept a place for it
            self._queue.put_nowait(_End(why, line.dropped, line.terminated))
        self._line = None

    def close(self) -> None:
        """Wait until all is written."""
        self.end("closed")
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        for thread in self._finishing:
            thread.join()

    def check_folder(self) -> None:
        """Make the folder and write into it, so that what is wrong is said before play.

        Raises:
            OSError: it cannot be written to.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryFile(dir=self.folder, prefix=".check-"):
                pass
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.folder)) from error

    def recover(self) -> None:
        """Finish what earlier programs left over, beside play."""
        self._run_beside(self._recover)

    @property
    def label(self) -> str:
        """What the window says about it."""
        if not self.on or self._line is None:
            return ""
        minutes, seconds = divmod(int(self._line.steps / self._facts["fps"]), 60)
        told = tell("recording {minutes}:{seconds:02}", minutes=minutes, seconds=seconds)
        if not self._line.dropped:
            return told
        return tell("{told} ({count} frames dropped)", told=told, count=self._line.dropped)

    def _count_part_steps(self, frame: np.ndarray) -> int:
        return self._part or max(1, PART_BYTES // frame.nbytes)

    def _enqueue(self, items: list[Any]) -> bool:
        if self._thread is None:
            # A daemon: a program that crashes must not hang on it, and the journal is on the disk.
            self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
            self._thread.start()
        if self._queue.maxsize - self._queue.qsize() <= len(items):  # one place is for an end
            return False
        for item in items:
            self._queue.put_nowait(item)
        return True

    # ---- the recorder's thread ----

    def _work(self) -> None:
        journal: Journal | None = None
        while (item := self._queue.get()) is not None:
            try:
                journal = self._write(item, journal)
            except (OSError, ValueError) as error:
                self._fail(error)
                if journal is not None:
                    self._finish_beside(journal, _End(f"failed: {error}"))
                journal = None

    def _write(self, item: Any, journal: Journal | None) -> Journal | None:
        if isinstance(item, Point):
            return self._new_journal(item)
        elif isinstance(item, _End) and journal is not None:
            self._finish_beside(journal, item)
            return None
        elif isinstance(item, Step) and journal is not None:
            journal.append(pack_step(item))
        return journal

    def _new_journal(self, point: Point) -> Journal:
        self.folder.mkdir(parents=True, exist_ok=True)
        facts = self._facts | {
            "began": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "made_by": describe_versions(),
        }
        journal = self._free_journal()
        journal.append(pack(point, facts))
        return journal

    def _free_journal(self) -> Journal:
        name = to_name(self._facts["world"] or self._facts["environment"]).replace(".", "_")
        stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
        for number in itertools.count(1):
            path = path_below(self.folder, f"{stem}-{number}{JOURNAL}")
            if path.with_suffix("").exists():
                continue
            try:
                journal = Journal(path)
            except FileExistsError:  # another recorder was faster
                continue
            if not path.with_suffix("").exists():
                return journal
            journal.close()  # an earlier part became whole between the two looks
            path.unlink()
        raise AssertionError

    def _finish_beside(self, journal: Journal, end: _End) -> None:
        """Finish a journal while the next part is written already."""
        self._run_beside(lambda: self._finish(journal, end))

    def _run_beside(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="recorder finish")
        self._finishing.append(thread)
        thread.start()

    def _recover(self) -> None:
        found = recover(self.folder)
        self.recovered.extend(found.made)
        self.aside.extend(found.aside)

    def _finish(self, journal: Journal, end: _End) -> None:
        try:
            journal.sync()
            folder = finish(journal.path, dataclasses.asdict(end))
            if folder is not None:
                self.made.append(folder)
        except (OSError, ValueError) as error:
            self._fail(error)
        finally:
            journal.close()

    def _fail(self, error: Exception) -> None:
        self.on = False
        reason = (
            error.strerror if isinstance(error, OSError) and error.strerror else read_told(error)
        )
        self.trouble = tell(
            "Recording stopped: {reason} ({folder}). What was recorded before is kept; "
            "V records again.",
            reason=reason,
            folder=self.folder,
        )
