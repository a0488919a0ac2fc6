"""How long the stages of a dream take, frame by frame. Measures; prints nothing.

The network and the codec are timed where the world calls them, so what is timed is what is played.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from worldsim.data.collect import RandomActions
from worldsim.world.base import World

WARM_UP = 10
WINDOW = 200  # frames looked at before each point
STAGES = ("dynamics", "decode", "frame")


class Point(NamedTuple):
    """How fast the frames up to one number were made.

    Attributes:
        at: number of the frame.
        stages: stage -> milliseconds of each of them.
        resident_mb: memory of the process at that frame; None where the system doesn't tell.
    """

    at: int
    stages: dict[str, np.ndarray]
    resident_mb: float | None


class Stopwatch:
    """A part of a world whose one method is timed; everything else is the part's own.

    Args:
        part: e.g. the codec.
        method: the name of the method that is timed.
        device: torch's, waited for, so that no work is left over when the time is taken; None for
            another runtime, which leaves none.
    """

    def __init__(self, part: Any, method: str, device: Any) -> None:
        self._part, self._method, self._device = part, method, device
        self.seconds: list[float] = []
        self._spent = 0.0
        setattr(self, method, self._time_call)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)

    def _time_call(self, *args, **kwargs) -> Any:
        began = time.perf_counter()
        result = getattr(self._part, self._method)(*args, **kwargs)
        if self._device is not None and self._device.type == "cuda":
            import torch

            torch.cuda.synchronize(self._device)
        self._spent += time.perf_counter() - began
        return result

    def lap(self) -> None:
        """A frame is made: note what was spent on it, in however many calls."""
        self.seconds.append(self._spent)
        self._spent = 0.0


def time_dream(
    world: Any,
    points: Sequence[int],
    steps: int,
    batch: int,
    told: Callable[[int], None] = lambda number: None,
) -> list[Point]:
    """Dream under random keys up to the last point, timing every frame.

    Args:
        world: who dreams, by any runtime.
        points: numbers of frames, rising.
        steps: sampler steps a frame.
        batch: dreams at once.
        told: hears the number of every frame that was made.

    Raises:
        ValueError: the dream ran away.
    """
    state = make_first_state(world, batch)
    walkers = [
        RandomActions(len(world.actions), np.random.default_rng(row)) for row in range(batch)
    ]
    device = getattr(world, "device", None)
    parts = {"dynamics": (world.dynamics, "imagine")}
    if hasattr(world, "codec"):  # of graphs it is a part of the dynamics
        parts["codec"] = (world.codec, "decode")
    watches = {name: Stopwatch(*told, device) for name, told in parts.items()}
    whole: list[float] = []
    resident: dict[int, float | None] = {}
    try:
        for name, watch in watches.items():
            setattr(world, name, watch)
        for number in range(1, points[-1] + 1):
            began = time.perf_counter()
            state, _ = world.step(state, [walker.act(None) for walker in walkers], steps)
            whole.append(time.perf_counter() - began)
            for watch in watches.values():
                watch.lap()
            if number in points:
                resident[number] = resident_mb()
            told(number)
    finally:
        for name, (part, _) in parts.items():
            setattr(world, name, part)
    named = {"dynamics": "dynamics", "codec": "decode"}
    seconds = {named[part]: watch.seconds for part, watch in watches.items()} | {"frame": whole}
    return [Point(at, measure_before(seconds, at), resident[at]) for at in points]


def measure_before(seconds: Mapping[str, Sequence[float]], at: int) -> dict[str, np.ndarray]:
    """Milliseconds of the frames that end at one number, the first few frames of all left out."""
    window = slice(max(min(WARM_UP, at - 1), at - WINDOW), at)
    return {name: 1000 * np.array(values[window]) for name, values in seconds.items()}


def make_first_state(world: World, batch: int) -> Any:
    """Dreams that start from the world's first spawn, or from black where it has none."""
    size = world.card.frame_size
    frames, actions = np.zeros((1, size, size, 3), np.uint8), np.zeros(0, np.int64)
    if world.spawns:
        frames, actions = world.spawns[0][:2]
    together = (np.repeat(array[None], batch, axis=0) for array in (frames, actions))
    return world.reset(*together, seeds=range(batch))


def resident_mb() -> float | None:
    """Memory the process holds now, in MB (of 10^6 bytes); None where /proc does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return None
