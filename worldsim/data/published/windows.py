"""Training batches of published clips: which stretch of which clip, as a pure function of the seed,
the step and the row. So several processes share a global batch, a run resumes without any state,
and reading ahead changes nothing.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np

from worldsim.data.crop import square
from worldsim.data.published.clip_files import ClipFile
from worldsim.data.published.formats import Layout
from worldsim.data.published.latents import PublishedLatents


class Row(NamedTuple):
    """A stretch of T frames: `pictures` uint8 `[T,S,S,3]` or latents float32 `[T,C,h,w]`, and the
    class each is conditioned on, int64 `[T]`.
    """

    pictures: np.ndarray
    conditions: np.ndarray


class Source(Protocol):
    """Clips to cut stretches from."""

    def __len__(self) -> int: ...

    def length(self, clip: int) -> int:
        """The number of frames of a clip."""

    def row(self, clip: int, positions: np.ndarray, rng: np.random.Generator) -> Row:
        """Frames at rising positions; some beyond the clip's end are black."""


class LatentSource:
    """Clips that were encoded before. `delay` 1 gives every frame the action taken there."""

    def __init__(self, cache: PublishedLatents, delay: int = 0):
        self.cache, self.delay = cache, delay

    def __len__(self) -> int:
        return len(self.cache)

    def length(self, clip: int) -> int:
        """The number of frames of a clip."""
        return self.cache.length(clip)

    def row(self, clip: int, positions: np.ndarray, rng: np.random.Generator) -> Row:
        """Latents at rising positions."""
        conditions = self.cache.led[clip][positions + self.delay]
        return Row(self.cache.read(clip, positions), conditions)


class FrameSource:
    """Clips that are read while training: a random square of each, mirrored half of the time where
    `flip` is set.
    """

    def __init__(
        self,
        clips: Sequence[ClipFile],
        layout: Layout,
        *,
        size: int,
        flip: bool = False,
        delay: int = 0,
    ):
        self.clips, self.layout, self.size, self.flip = clips, layout, size, flip
        self.delay = delay
        self.length = lru_cache(maxsize=None)(lambda clip: self.clips[clip].length())

    def __len__(self) -> int:
        return len(self.clips)

    def row(self, clip: int, positions: np.ndarray, rng: np.random.Generator) -> Row:
        """Frames at rising positions."""
        total = self.length(clip)
        there = positions[positions < total]
        frames = square(self.clips[clip].read_frames(there), self.size, *rng.random(2))
        missing = len(positions) - len(there)
        if missing:
            frames = np.concatenate((frames, np.zeros((missing, *frames.shape[1:]), np.uint8)))
        if self.flip and rng.random() < 0.5:
            frames = frames[:, :, ::-1]
        led = self.clips[clip].read_led(self.layout, total)
        conditions = led[np.minimum(positions + self.delay, total)]
        return Row(np.ascontiguousarray(frames), conditions)


def positions(total: int, count: int, interval: int, rng: np.random.Generator) -> np.ndarray:
    """Which frames of a clip of `total` make a stretch, as FAR's loaders choose them: a random
    start, every `interval`-th; in a clip too short for that, every frame from the first on.
    """
    starts = total - (count - 1) * interval
    if starts < 1:
        return np.arange(count)
    return int(rng.integers(starts)) + interval * np.arange(count)


class Stretches:
    """Batches of stretches.

    Args:
        source: the clips.
        frames: the length of a stretch.
        interval: every so many frames of the clip.
        shortest: with a number, the length of a step's stretches is drawn from there up to
            `frames`, excluded; None for always `frames`.
        pad: whether a clip may be shorter than a stretch.
        batch: rows of the global batch.
        seed: of everything drawn.
        rows: which rows of it this process takes.
    """

    def __init__(
        self,
        source: Source,
        *,
        frames: int,
        interval: int = 1,
        shortest: int | None = None,
        pad: bool = False,
        batch: int,
        seed: int = 0,
        rows: Sequence[int] | None = None,
    ):
        self.source, self.frames, self.interval = source, frames, interval
        self.shortest, self.pad, self.batch, self.seed = shortest, pad, batch, seed
        self.rows = range(batch) if rows is None else rows
        if shortest is not None and not 0 < shortest < frames:
            raise ValueError(
                f"shortest must be in [1, {frames - 1}] for windows of {frames} frames, "
                f"got {shortest}."
            )
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="clips")
        self._ahead: tuple[int, list[Future]] = (-1, [])
        self._order = lru_cache(maxsize=2)(
            lambda epoch: np.random.default_rng([seed, 1, epoch]).permutation(len(source))
        )

    def draw(self, step: int) -> list[Row]:
        """This process' rows of a step; those of the next step are read meanwhile."""
        number, futures = self._ahead
        if number != step:
            futures = self._submit(step)
        rows = [future.result() for future in futures]
        self._ahead = step + 1, self._submit(step + 1)
        return rows

    def _submit(self, step: int) -> list[Future]:
        return [self._pool.submit(self.row, step, number) for number in self.rows]

    def length(self, step: int) -> int:
        """The number of frames of a step's stretches, the same in every process."""
        if self.shortest is None:
            return self.frames
        return int(np.random.default_rng([self.seed, 2, step]).integers(self.shortest, self.frames))

    def row(self, step: int, number: int) -> Row:
        """A row of the global batch of a step.

        Raises:
            ValueError: its clip is damaged or too short.
        """
        epoch, place = divmod(step * self.batch + number, len(self.source))
        clip = int(self._order(epoch)[place])
        rng = np.random.default_rng([self.seed, 3, step, number])
        total = self.source.length(clip)
        if total < self.frames and not self.pad:
            raise ValueError(
                f"clip {clip} has {total} frames, a stretch has {self.frames}: set data.frames to "
                f"at most {total}, or leave the clip out."
            )
        whole = positions(total, self.frames, self.interval, rng)
        length = self.length(step)
        first = int(rng.integers(self.frames - length + 1))
        return self.source.row(clip, whole[first : first + length], rng)
