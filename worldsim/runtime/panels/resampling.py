"""The newest frame of a dream with a memory in space, sampled again: what is remembered stays, what
is invented comes out otherwise. To be looked at only: play goes on from the frame as it was, so
that recordings can be made again.
"""

from collections.abc import Callable

import numpy as np

from worldsim.controls import step_action
from worldsim.runtime.core.moves import NO_NOISE
from worldsim.runtime.core.track import Track
from worldsim.runtime.panels.picker import Picker
from worldsim.runtime.panels.space_memory import check_space
from worldsim.told import tell
from worldsim.world.arrays import to_numpy

SAMPLES = 3
TITLE = tell("The same moment, its invented part sampled again. 1 or Backspace goes on.")


def sample_again(track: Track, samples: int = SAMPLES) -> np.ndarray:
    """Other samples of the newest frame, uint8 `[samples,H,W,3]`; the place stays as it is.

    Raises:
        ValueError: no memory in space, or no move that could be made again.
    """
    check_space(track.place)
    if track.number <= track.history.first:
        raise ValueError(tell("There is nothing to sample again yet: walk first."))
    here = track.place.clone()
    stands = to_numpy(track.place.base.memory.carry.pose)
    try:
        return _step_again(track, samples, stands)
    finally:
        track.place.restore(here)


def _step_again(track: Track, samples: int, stands: np.ndarray) -> np.ndarray:
    """See sample_again; the body goes to where it stands `[1,4]`. A world that is led by numbers
    draws its way again.
    """
    place, last = track.place, track.number - 1
    found, state = track.history.keyframe(last)
    place.restore(state)
    for index in range(found, last):
        place.step(track.moves[index])
    before, move = place.base.memory, track.moves[last]
    rows = before.select([0] * samples)
    rows.seeds = [int(before.seeds[0]) + 1 + row for row in range(samples)]
    noise = None if move.noise == NO_NOISE else move.noise / 100
    action = step_action(move.taken)
    poses = stands.repeat(samples, axis=0) if isinstance(action, int) else None
    actions = np.array([action] * samples)
    _, frames = place.base.world.step(rows, actions, move.steps or None, noise, poses)
    return frames


def compare_samples(track: Track, picked: Callable[[], None]) -> Picker:
    """The newest frame beside other samples of it; `picked` leaves them.

    Raises:
        ValueError: as `sample_again`.
    """

    def pick(index: int) -> None:
        if index:
            raise ValueError(
                tell("Other samples are only to be looked at: 1 goes on from the frame as it was.")
            )
        picked()

    others = [(frame, tell("sampled again")) for frame in sample_again(track)]
    return Picker(TITLE, [(track.frame, tell("as it was")), *others], pick)
