"""A film of a walk through a dream, beside the map of what the dream remembers of it.

    python examples/film_memory.py dmlab --seconds 60 --out walk.webp

The walk goes ahead until something stands in the way, then it turns, now and then for no reason.
The map is drawn from above out of the first-hand pixels of the memory, ahead is up.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from envs.world_model import WorldModelEnv

BLOCKED = 0.2  # a step shorter than this share of the longest one met a wall
WHIM = 0.08  # share of the steps at which the walk turns for no reason
GAP = 8  # pixels between picture and map


class Wanderer:
    """Walks ahead where it can and turns where it cannot.

    Args:
        env: what it walks in, after a reset.
        seed: of its whims.
    """

    def __init__(self, env: WorldModelEnv, seed: int):
        self.ahead = env.actions.id("forward")
        self.ways = [env.actions.id(name) for name in ("left", "right")]
        self.rng = np.random.default_rng(seed)
        self.turns, self.way, self.longest, self.place = 0, self.ways[0], 0.0, None

    def act(self, pose: np.ndarray) -> int:
        """The next action.

        Args:
            pose: float `[3]` of the newest frame.
        """
        step = 0.0 if self.place is None else float(np.hypot(*(pose[:2] - self.place)))
        walked, self.place = self.place is not None and not self.turns, pose[:2].copy()
        self.longest = max(self.longest, step)
        if self.turns:
            self.turns -= 1
        elif (walked and step < BLOCKED * self.longest) or self.rng.random() < WHIM:
            self.turns = int(self.rng.integers(2, 7))
            self.way = self.ways[self.rng.integers(2)]
        return self.way if self.turns else self.ahead


def film(env: WorldModelEnv, frames: int, side: int, reach: float, seed: int) -> list[np.ndarray]:
    """Pictures uint8 `[side, 2 * side + GAP, 3]` of a walk: the dream, and its map."""
    frame, info = env.reset(seed=seed)
    walker, pictures = Wanderer(env, seed), []
    for _ in range(frames):
        frame, *_, info = env.step(walker.act(info["pose"]))
        dream = cv2.resize(frame, (side, side), interpolation=cv2.INTER_NEAREST)
        gap = np.full((side, GAP, 3), 255, np.uint8)
        pictures.append(np.hstack((dream, gap, env.draw_map(side, reach))))
    return pictures


def write_film(pictures: list[np.ndarray], path: Path, fps: float, quality: int) -> None:
    """An animated WebP or GIF."""
    animation = cv2.Animation()
    animation.frames = [np.ascontiguousarray(picture[..., ::-1]) for picture in pictures]
    animation.durations = [round(1000 / fps)] * len(pictures)
    options = [cv2.IMWRITE_WEBP_QUALITY, quality] if path.suffix == ".webp" else []
    good, data = cv2.imencodeanimation(path.suffix, animation, options)
    if not good:
        raise OSError(f"{path} could not be encoded: it must end in .webp or .gif")
    path.write_bytes(data.tobytes())


def main() -> None:
    """Walk, and write the film."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("world", nargs="?", default="dmlab", help="with a memory in space")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", type=int, default=192, help="pixels of picture and map")
    parser.add_argument("--reach", type=float, default=4.0, help="from the middle of the map")
    parser.add_argument("--quality", type=int, default=60, help="of a WebP, 1 to 100")
    parser.add_argument("--out", type=Path, default=Path("walk.webp"))
    given = parser.parse_args()
    env = WorldModelEnv(given.world)
    fps = env.metadata["render_fps"]
    count = max(1, round(given.seconds * fps))
    pictures = film(env, count, given.side, given.reach, given.seed)
    write_film(pictures, given.out, fps, given.quality)
    print(f"{given.out}: {count} frames, {given.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
