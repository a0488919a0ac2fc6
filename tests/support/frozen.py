"""Writes what test_frozen.py compares with: `python tests/support/frozen.py`, after frames were
meant to change. Plays every bundled world for 200 frames under mixed keys.
"""

import hashlib
import json
import platform
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from worldsim.paths import asset
from worldsim.world.model import load_world

FILE = Path(__file__).resolve().parents[1] / "golden" / "frozen_worlds.json"
FRAMES = 200
SEED = 19
GLANCES = 8  # frames whose small copies are kept, for machines that round otherwise
SMALL = 8


def machine() -> str:
    """What decides how numbers are rounded: torch, and the processor's kind, caches (products are
    cut into blocks that fit them) and instructions.
    """
    told = {}
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            told.setdefault(name.strip(), value.strip())
    names = ("model name", "cpu family", "model", "cache size")
    kind = ", ".join(told[name] for name in names if name in told) or platform.processor()
    return f"torch {torch.__version__}, {kind}, {torch.backends.cpu.get_cpu_capability()}"


def keys(actions: int) -> list[int]:
    """The actions of the 200 frames: each is held for one to six frames."""
    rng = np.random.default_rng(SEED)
    held: list[int] = []
    while len(held) < FRAMES:
        held += [int(rng.integers(actions))] * int(rng.integers(1, 7))
    return held[:FRAMES]


def frames(name: str) -> Iterator[np.ndarray]:
    """The frames uint8 `[H,W,3]` of a bundled world, from its first spawn."""
    world = load_world(name)
    spawn = world.spawns[0]
    state = world.reset(spawn.frames[None], spawn.actions[None], [SEED])
    for action in keys(len(world.actions)):
        state, frame = world.step(state, [action])
        yield frame[0]


def digest(frame: np.ndarray) -> str:
    """The first 16 digits of the SHA-256 of a frame's pixels."""
    return hashlib.sha256(np.ascontiguousarray(frame).tobytes()).hexdigest()[:16]


def small(frame: np.ndarray) -> list:
    """A frame as 8 x 8 means of its pixels."""
    cells = frame.reshape(SMALL, frame.shape[0] // SMALL, SMALL, frame.shape[1] // SMALL, 3)
    return cells.mean((1, 3)).round(1).tolist()


def worlds() -> list[str]:
    """The bundled worlds' names."""
    return sorted(path.parent.name for path in asset("worlds").glob("*/card.json"))


def figures(name: str) -> dict:
    """What a world's card says that it measured."""
    return json.loads(asset("worlds", name, "card.json").read_text())["figures"]


def freeze() -> dict:
    """Everything that is kept."""
    kept = {}
    for name in worlds():
        shown = list(frames(name))
        kept[name] = {
            "figures": figures(name),
            "hashes": [digest(frame) for frame in shown],
            "small": [small(frame) for frame in shown[:GLANCES]],
        }
    return {"machine": machine(), "worlds": kept}


if __name__ == "__main__":
    FILE.write_text(json.dumps(freeze(), indent=0) + "\n")
