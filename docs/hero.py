"""A minute of play beside the map of what it remembers: `python docs/hero.py` makes docs/hero.webp.

The keys are those of somebody who strolls: straight on, round what stops the body, a look round now
and then. Nothing is chosen or cut: it is the first minute from a start.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from worldsim.runtime.recording.export import encode_animation, enlarge_frames
from worldsim.world.memory_map import draw_map
from worldsim.world.model import WorldModel, WorldState, load_world

HERO = Path(__file__).parent / "hero.webp"
SECONDS, SHOWN = 60, 7.5  # frames a second that are kept
SIDE, GAP = 128, 4  # pixels
MOST_BYTES = 4_000_000
QUALITIES = (70, 60, 50, 40, 30, 20, 10)
STRAIGHT, ROUND = (20, 60), (3, 9)  # steps on, and turns, drawn anew each time
STOPPED = 0.3  # share of a full step below which a body is stopped
TRIES = 4  # stopped steps in a row after which it goes round: a body that climbs stops at first


class Stroll:
    """Chooses keys: straight on, then some turns to one side; turns where it stays stopped."""

    def __init__(self, world: WorldModel, seed: int):
        self.rng = np.random.default_rng(seed)
        self.forward = world.actions.id("forward")
        self.sides = world.actions.id("left"), world.actions.id("right")
        self.planned: list[int] = []
        self.last, self.longest, self.stopped = self.forward, 0.0, 0

    def choose(self, moved: float) -> int:
        """The next action; `moved`: how far the last one carried."""
        self.longest = max(self.longest, moved)
        tried = self.last == self.forward and moved < STOPPED * self.longest
        self.stopped = self.stopped + 1 if tried else 0
        if not self.planned or self.stopped >= TRIES:
            side = self.sides[int(self.rng.integers(2))]
            turns = [side] * int(self.rng.integers(*ROUND))
            self.planned = [*turns, *[self.forward] * int(self.rng.integers(*STRAIGHT))]
        self.last = self.planned.pop(0)
        return self.last


def play(world: WorldModel, start: int, seed: int) -> Iterator[tuple[WorldState, np.ndarray]]:
    """States and frames of a minute, as many a second as the world has."""
    spawn = world.spawns[start]
    state = world.reset(spawn.frames[None], spawn.actions[None], [seed])
    stroll, moved = Stroll(world, seed), 0.0
    for _ in range(round(SECONDS * world.card.fps)):
        before = np.asarray(state.poses)[0, :2]
        state, frames = world.step(state, [stroll.choose(moved)])
        moved = float(np.linalg.norm(np.asarray(state.poses)[0, :2] - before))
        yield state, frames[0]


def compose(world: WorldModel, state: WorldState, frame: np.ndarray, reach: float) -> np.ndarray:
    """The frame beside the map, uint8 `[SIDE,2*SIDE+GAP,3]`."""
    large = enlarge_frames(frame, SIDE // len(frame))
    gap = np.full((SIDE, GAP, 3), 255, np.uint8)
    return np.concatenate((large, gap, draw_map(world, state, SIDE, reach)), axis=1)


def encode_small(frames: list[np.ndarray]) -> bytes:
    """A WebP of frames, of the best quality that stays below MOST_BYTES."""
    for quality in QUALITIES:
        data = encode_animation(frames, SHOWN, ".webp", [cv2.IMWRITE_WEBP_QUALITY, quality])
        if len(data) < MOST_BYTES:
            break
    return data


def main() -> None:
    """Make the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", default="minecraft")
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reach", type=float, default=14.0, help="of the map, in units of poses")
    parser.add_argument("--out", type=Path, default=HERO)
    args = parser.parse_args()
    world = load_world(args.world)
    every = max(1, round(world.card.fps / SHOWN))
    walk = enumerate(play(world, args.start, args.seed))
    shown = [compose(world, *step, args.reach) for index, step in walk if index % every == 0]
    args.out.write_bytes(encode_small(shown))


if __name__ == "__main__":
    main()
