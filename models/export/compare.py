"""`worldsim bench --runtimes`: the same dream by torch and by ONNX Runtime, how alike and how fast.

    worldsim bench --runtimes dmlab
    worldsim bench --runtimes dmlab --exported exported/dmlab --frames 200

Two questions. Apart: both begin alike and go on by themselves, and last bits make two dreams of
them. Together: before each frame ONNX Runtime is given what torch remembers, so that the error of
that frame alone is seen. Prints a table; the last line is the same as JSON.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from models.export.command import add_weights_option, load_exporter
from worldsim.arguments import parse_count
from worldsim.evaluate.table import grid
from worldsim.world.arrays import to_numpy
from worldsim.world.opening import open_world
from worldsim.world.state import WorldState

RUNTIMES = ("torch", "onnx")
ROUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 200)  # frames that are told, and the last
NEAR = (1, 2)  # grey levels


class Walk(NamedTuple):
    """What was made under the same moves.

    Attributes:
        frames: by "torch", by "onnx" on its own, and by ONNX Runtime from torch's memory
            ("together"); uint8 `[T,H,W,3]` each.
        wall, cpu: seconds of each frame by runtime, of the clock and of all processors.
    """

    frames: dict[str, np.ndarray]
    wall: dict[str, list[float]]
    cpu: dict[str, list[float]]


def main(argv: list[str] | None = None) -> int:
    """The command.

    Raises:
        ValueError: no such world, one that cannot be exported, or an export of another world.
        ImportError: what writes graphs is not installed.
    """
    args = _parse(argv)
    with _export(args) as folder:
        worlds = {"torch": open_world(args.world), "onnx": open_world(folder, runtime="onnx")}
    _check_export(worlds, folder)
    spawn = worlds["torch"].spawns[0]
    moves = draw_moves(len(worlds["torch"].actions), args.frames)
    walk = walk_both(worlds, spawn, moves, args.seed, args.steps)
    report = {
        "world": worlds["torch"].card.name,
        "weights": worlds["onnx"].dynamics.pipeline.weights,
        "frames": args.frames,
        "threads": os.environ.get("OMP_NUM_THREADS"),
        **summarize_walk(walk),
    }
    print("\n".join(_write_lines(report)))
    print(json.dumps(report, allow_nan=False))
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="worldsim bench --runtimes",
        description="Compare torch and ONNX Runtime on one world; the last line is JSON.",
    )
    add = parser.add_argument
    add("world", help="a bundled world's name, or a world's folder")
    add("--exported", type=Path, metavar="DIR", help="what `worldsim export` made of it, else anew")
    add("--frames", type=parse_count, default=200, help="how many (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the noise (default: %(default)s)")
    add("--steps", type=int, choices=(1, 2, 4, 8), help="sampler steps (default: the world's)")
    add_weights_option(parser)
    return parser.parse_args(argv)


@contextmanager
def _export(args: argparse.Namespace) -> Iterator[Path]:
    """The folder of the export, until its graphs are open."""
    if args.exported:
        yield args.exported
        return
    with tempfile.TemporaryDirectory(prefix="worldsim-runtimes-") as scratch:
        load_exporter()(args.world, Path(scratch) / "world", args.weights)
        yield Path(scratch) / "world"


def _check_export(worlds: dict[str, Any], folder: Path) -> None:
    told = worlds["onnx"].dynamics.pipeline.world
    if told != worlds["torch"].hash:
        raise ValueError(
            f"{folder} must be an export of {worlds['torch'].card.name} "
            f"({worlds['torch'].hash[:12]}), got one of {told[:12]}: export it again"
        )


def draw_moves(actions: int, count: int) -> list[int]:
    """Random actions, always the same."""
    return np.random.default_rng(0).integers(0, actions, count).tolist()


def walk_both(
    worlds: dict[str, Any], spawn: Any, moves: list[int], seed: int, steps: int | None = None
) -> Walk:
    """Dream the same walk three times, frame by frame in turn.

    Args:
        worlds: by runtime.
        spawn: where it starts.
        moves: actions.
        seed: of the noise.
        steps: sampler steps a frame; None for the world's own.

    Raises:
        ValueError: a dream ran away.
    """
    context = spawn.frames[None], spawn.actions[None]
    states = {name: world.reset(*context, [seed]) for name, world in worlds.items()}
    frames: dict[str, list[np.ndarray]] = {name: [] for name in (*RUNTIMES, "together")}
    walk = Walk({}, {name: [] for name in RUNTIMES}, {name: [] for name in RUNTIMES})
    for move in moves:
        given = hand_over(states["torch"], worlds["onnx"])
        frames["together"].append(worlds["onnx"].step(given, [move], steps)[1][0])
        for name, world in worlds.items():
            began, spent = time.perf_counter(), time.process_time()
            states[name], made = world.step(states[name], [move], steps)
            walk.wall[name].append(time.perf_counter() - began)
            walk.cpu[name].append(time.process_time() - spent)
            frames[name].append(made[0])
    return walk._replace(frames={name: np.stack(made) for name, made in frames.items()})


def hand_over(state: WorldState, world: Any) -> WorldState:
    """A copy of torch's state as one of an exported world."""
    arrays = {name: to_numpy(part).copy() for name, part in state.carry.tensors().items()}
    return world.restore_state_of(arrays, list(state.seeds), list(state.counts))


def summarize_walk(walk: Walk) -> dict[str, Any]:
    """Milliseconds a frame by runtime, and how far frames are from torch's."""
    speed = {
        name: {
            "p50_ms": _round(1000 * np.median(walk.wall[name])),
            "cpu_ms": _round(1000 * np.mean(walk.cpu[name])),
        }
        for name in RUNTIMES
    }
    frames = walk.frames
    told = {"apart": compare_frames(frames["onnx"], frames["torch"])}
    told["together"] = compare_frames(frames["together"], frames["torch"])
    return {"speed": speed, **told}


def compare_frames(ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    """How far frames `[T,H,W,3]` are apart: the worst frame's share of numbers within some grey
    levels, the mean of all, and the mean error of single frames.
    """
    error = np.abs(ours.astype(np.int16) - theirs)
    each = error.reshape(len(error), -1)
    told = {
        f"within_{levels}": {
            "worst": _round((each <= levels).mean(axis=1).min()),
            "mean": _round((each <= levels).mean()),
        }
        for levels in NEAR
    }
    numbers = [n for n in ROUNDS if n < len(each)] + [len(each)]
    by_frame = {str(number): _round(each[number - 1].mean()) for number in numbers}
    return told | {"mean_error": _round(each.mean()), "error": by_frame}


def _round(number: float) -> float:
    return round(float(number), 4)


def _write_lines(report: dict[str, Any]) -> list[str]:
    rows = [[name, *report["speed"][name].values()] for name in RUNTIMES]
    told = [f"{report['world']}, {report['frames']} frames, weights stored as {report['weights']}"]
    told += grid(["runtime", "p50 ms", "cpu ms"], rows)
    numbers = list(report["apart"]["error"])
    table: list[list[Any]] = []
    for name in ("together", "apart"):
        found = report[name]
        shares = [found[f"within_{levels}"]["worst"] for levels in NEAR]
        table.append([name, *shares, found["mean_error"], *found["error"].values()])
    head = [*(f"within {levels}" for levels in NEAR), "mean", *numbers]
    told += ["", "grey levels between both; within: the share of numbers, of the worst frame"]
    return told + grid(["frames", *head], table)
