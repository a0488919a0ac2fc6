"""The last ten seconds of play, to show around: a WebP below 3 MB, an mp4 where PyAV is installed,
and a recording with the command that replays it.

    shares/<name>/         a recording, as in recordings/; `worldsim replay shares/<name>`
    shares/<name>.webp     to send to somebody
    shares/<name>.mp4

Files are written on a thread of their own, so play goes on; closing waits for them.
"""

import shlex
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from worldsim.atomic import atomic_write
from worldsim.runtime.core.moves import Point, Step
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.core.sinks import Sink
from worldsim.runtime.core.track import Track
from worldsim.runtime.core.user_folder import shorten
from worldsim.runtime.recording.export import encode_animation, enlarge_frames, export
from worldsim.runtime.recording.recorder import Recorder
from worldsim.runtime.recording.recording import read_recording
from worldsim.told import read_told, tell

SECONDS = 10
MOST_BYTES = 3_000_000
SIDE = 512  # pixels that pictures are enlarged to, by a whole number
QUALITIES = (90, 75, 50, 25, 5)  # of WebP, tried until a clip is small enough


class Sharer(Sink):
    """Writes clips.

    Args:
        folder: where to; None refuses.

    Attributes:
        command: replays the newest one; empty before the first.
        made: the recordings that were written.
    """

    def __init__(self, folder: str | Path | None) -> None:
        self.folder = None if folder is None else Path(folder)
        self.command = ""
        self.made: list[Path] = []
        self._thread: threading.Thread | None = None

    def share(self, track: Track, fps: float, say: Callable[[str], None]) -> None:
        """Write the last seconds of a track; `say` is called from another thread, when they are.

        Raises:
            ValueError: there is nothing to write, or nowhere, or one is being written.
        """
        if self.folder is None:
            raise ValueError(tell("There is no folder for clips."))
        if self._thread is not None and self._thread.is_alive():
            raise ValueError(tell("One moment: the last clip is still being written."))
        number = max(track.history.first, track.number - max(1, round(SECONDS * fps)))
        if number == track.number:
            raise ValueError(tell("There is nothing to share yet: walk first."))
        walk = track.place, fps, track.point(number), track.steps_after(number)
        self._thread = threading.Thread(target=self._write, args=(*walk, say), name="share")
        self._thread.start()

    def close(self) -> None:
        """Wait until all is written."""
        if self._thread is not None:
            self._thread.join()

    def _write(
        self,
        place: PlayableEnv,
        fps: float,
        point: Point,
        steps: Sequence[Step],
        say: Callable[[str], None],
    ) -> None:
        try:
            folder = self._record(place, fps, point, steps)
            clip = folder.with_suffix(".webp")
            data = encode_clip([point.frame, *(step.frame for step in steps)], fps)
            atomic_write(clip, lambda scratch: scratch.write_bytes(data))
            names = [clip.name, *_write_film(folder)]
        except (OSError, ValueError) as error:
            say(tell("The clip could not be written: {reason}", reason=read_told(error)))
            return
        self.command = f"worldsim replay {shlex.quote(str(folder))}"
        self.made.append(folder)
        say(
            tell(
                "{files} in {folder}, {megabytes:.1f} MB. Copied: {command}",
                files=", ".join(names),
                folder=shorten(folder.parent),
                megabytes=len(data) / 1e6,
                command=self.command,
            )
        )

    def _record(self, place: PlayableEnv, fps: float, point: Point, steps: Sequence[Step]) -> Path:
        """The walk as one recording, which can be made again bit for bit."""
        assert self.folder is not None  # share has looked
        recorder = Recorder(self.folder, capacity=len(steps) + 8, part=len(steps))
        recorder.describe(place, fps)
        recorder.start(point)
        for step in steps:
            recorder.step(step)
        recorder.close()
        if recorder.trouble or not recorder.made:
            raise OSError(recorder.trouble or "nothing was recorded.")
        return recorder.made[0]


def _write_film(folder: Path) -> list[str]:
    """Write an mp4 beside a recording; its name, or nothing without PyAV."""
    try:
        import av  # noqa: F401
    except ImportError:
        return []
    film = folder.with_suffix(".mp4")
    export(read_recording(folder), film)
    return [film.name]


def encode_clip(frames: Sequence[np.ndarray], fps: float, most: int = MOST_BYTES) -> bytes:
    """An animated WebP of frames uint8 `[H,W,3]`, of the best quality that takes `most` bytes at
    most; where none does, every second frame is left out.
    """
    zoom = max(1, SIDE // max(frames[0].shape[:2]))
    large = [enlarge_frames(frame, zoom) for frame in frames]
    for quality in QUALITIES:
        data = encode_animation(large, fps, ".webp", [cv2.IMWRITE_WEBP_QUALITY, quality])
        if len(data) <= most or len(frames) == 1:
            return data
    return encode_clip(frames[::2], fps / 2, most)
