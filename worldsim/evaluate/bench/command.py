"""`worldsim bench`: how fast a world runs here, stage by stage, now and ten thousand frames later.

    worldsim bench dmlab --frames 1000 --steps 1,2,4
    worldsim bench dmlab --frames 10000 --steps 2 --window --record
    worldsim bench dmlab --frames 10000 --steps 1 --record --rewind 200   # resident memory
    worldsim bench dmlab --vector 1,4,16,64        # frames a second by number of dreams
    worldsim bench dmlab --players 16 --steps 4    # a server on loopback: latency and fairness
    worldsim bench --runtimes dmlab                # torch and ONNX Runtime: how alike, how fast
    worldsim bench --reference-layout             # published FAR-Long, and slow twins of it
    worldsim bench --gpu-table                    # play and training on a GPU, in one table

Prints a table to read; the last line is the same as JSON.
"""

import argparse
import importlib
import json
import os
import platform
import sys
from typing import TYPE_CHECKING, Any

from worldsim.arguments import parse_count, parse_count_to, parse_counts

if TYPE_CHECKING:
    from worldsim.evaluate.bench.timing import Point


LAYOUT, GPU, RUNTIMES = "--reference-layout", "--gpu-table", "--runtimes"
# by name: this package knows no network
OTHERS = {
    LAYOUT: "models.zoo.bench",
    GPU: "models.training.gpu_table",
    RUNTIMES: "models.export.compare",
}
LIVELY = 300  # frames beside which the window draws all the time


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="worldsim bench",
        description="Measure how fast a world runs here; the last line is JSON.",
    )
    parser.add_argument("world", help="a bundled world's name, or a world's folder")
    add = parser.add_argument
    add(
        "--frames",
        type=parse_count,
        default=1000,
        help="go this far at most (default: %(default)s)",
    )
    add("--batch", type=parse_count, default=1, help="dreams at once (default: %(default)s)")
    add("--rounds", type=parse_count, default=20, help="frames a dream of --vector or player makes")
    add("--steps", type=parse_counts, default="1,2,4", help="sampler steps (default: %(default)s)")
    add(
        "--at",
        type=parse_counts,
        default="100,1000,10000",
        help="look at these frames (default: %(default)s, those that --frames reaches)",
    )
    add(
        "--vector",
        type=parse_counts,
        nargs="?",
        const="1,4,16",
        help="only this: dreams in one batch, each at its own frame (default: %(const)s)",
    )
    add("--players", type=parse_count_to(256), help="only this: players of a server, over loopback")
    add("--window", action="store_true", help="also play it with a window")
    add("--record", action="store_true", help="also play it while recording")
    add(
        "--rewind",
        type=parse_count,
        default=0,
        metavar="N",
        help="go back N/10 after every N frames",
    )
    add("--device", default="cpu", help="where the network runs: cpu or cuda")
    add(
        "--runtime",
        choices=("torch", "onnx"),
        default="torch",
        help="what computes it: torch, or onnx for what `worldsim export` wrote",
    )
    add(
        LAYOUT,
        action="store_true",
        help=f"no world: published FAR's layout; options of its own, `bench {LAYOUT} --help`",
    )
    add(
        GPU,
        action="store_true",
        help=f"play and training on a GPU; options of its own, `bench {GPU} --help`",
    )
    add(
        RUNTIMES,
        action="store_true",
        help=f"torch and ONNX Runtime; options of its own, `bench {RUNTIMES} --help`",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """The command.

    Raises:
        ValueError: no such world, steps it cannot take, or a dream that ran away.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    for option, module in OTHERS.items():
        if option in given:
            given.remove(option)
            return importlib.import_module(module).main(given)
    args = _build_parser().parse_args(given)
    from worldsim.types import STEPS
    from worldsim.world.opening import open_world

    if not set(args.steps) <= set(STEPS):
        raise ValueError(f"--steps must be among {STEPS}, got {args.steps}.")
    points = [at for at in args.at if at <= args.frames] or [args.frames]
    world = open_world(args.world, args.device, args.runtime)
    if args.vector:
        return _run_vector(world, args)
    if args.players:
        return _run_players(world, args)
    if args.device == "cpu" and args.runtime == "torch":
        settle_threads_for(world, args.steps[0])
    report = _describe_world(world, args) | {"points": points, "runs": []}
    for steps in args.steps:
        report["runs"] += _time_runs(world, args, points, steps)
    print("\n".join(lines(report, world.card.fps)))
    print(json.dumps(report, allow_nan=False))
    return 0


def settle_threads_for(world: Any, steps: int) -> None:
    """As many threads as play would run the world on."""
    from worldsim.evaluate.bench.timing import make_first_state
    from worldsim.threads import settle_threads

    state = make_first_state(world, 1)
    settle_threads(lambda: world.step(state.fork(), [0], steps))


def _run_vector(world: Any, args: argparse.Namespace) -> int:
    from worldsim.evaluate.bench.vector import time_vector
    from worldsim.evaluate.table import grid

    report = _describe_world(world, args) | {"rounds": args.rounds, "vector": {}}
    for steps in args.steps:
        found = time_vector(world, args.vector, args.rounds, steps, told=_say)
        report["vector"][str(steps)] = found
        print(f"{world.card.name}, {report['threads']} threads on {args.device}, {steps} steps")
        rows = [[str(one["dreams"]), one["ms"], one["per_s"], one["ratio"]] for one in found]
        head = ["dreams", "ms a step", "frames/s", f"x {args.vector[0]} dream"]
        print("\n".join(grid(head, rows)))
    print(json.dumps(report, allow_nan=False))
    return 0


def _run_players(world: Any, args: argparse.Namespace) -> int:
    from worldsim.evaluate.bench.serve import time_players
    from worldsim.evaluate.table import grid

    report = _describe_world(world, args) | {"rounds": args.rounds, "players": {}}
    rows = []
    for steps in args.steps:
        _say(f"{steps} sampler steps: {args.players} players")
        options = ("--steps", str(steps), "--device", args.device, "--runtime", args.runtime)
        found = time_players(args.world, args.players, args.rounds, options)
        report["players"][str(steps)] = found
        figures = [found["per_s"], found["cpu_ms"], *found["latency"].values()]
        spread = [str(found[name]) for name in ("fewest", "most")]
        rows.append([str(steps), *figures, *spread, found["fairness"]])
    print(f"{world.card.name}, {args.players} players of a server on {args.device}")
    head = [
        "steps",
        "frames/s",
        "cpu ms",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "fewest",
        "most",
        "fairness",
    ]
    print("\n".join(grid(head, rows)))
    print(json.dumps(report, allow_nan=False))
    return 0


def _time_runs(world: Any, args: argparse.Namespace, points: list[int], steps: int) -> list[dict]:
    from worldsim.evaluate.bench.timing import time_dream

    _say(f"{steps} sampler steps: {points[-1]} frames")
    what = {"run": "dream", "steps": steps, "batch": args.batch}
    runs = [what | summary(time_dream(world, points, steps, args.batch))]
    if args.window or args.record:
        from worldsim.evaluate.bench.play import time_session

        _say(f"{steps} sampler steps, played")
        how = (args.device, args.window, args.record)
        played = time_session(
            args.world, points, steps, *how, rewind=args.rewind, runtime=args.runtime
        )
        name = "played" + " in a window" * args.window + " and recorded" * args.record
        run = {"run": name, "steps": steps, "batch": 1} | summary(played.points)
        runs.append(run)
        if args.window:  # how alive it is beside a world that works: a run of its own
            some = [min(points[-1], LIVELY)]
            busy = time_session(args.world, some, steps, *how, busy=True, runtime=args.runtime)
            run["window"] = busy.window
    return runs


def summary(points: list["Point"]) -> dict[str, Any]:
    """Percentiles of every stage at every point, and how the last point compares with the first."""
    import numpy as np

    stages = {
        name: {
            str(point.at): {
                f"p{p}_ms": round(float(np.percentile(point.stages[name], p)), 3) for p in (50, 99)
            }
            for point in points
        }
        for name in points[0].stages
    }
    resident = {str(p.at): p.resident_mb and round(p.resident_mb, 1) for p in points}
    first, last = (list(stages.values())[-1][str(points[i].at)] for i in (0, -1))
    growth = {p: round(last[p] / max(first[p], 1e-9), 3) for p in first}
    return {"stages": stages, "resident_mb": resident, "last_to_first": growth}


def _describe_world(world: Any, args: argparse.Namespace) -> dict[str, Any]:
    return {
        "world": world.card.name,
        "hash": world.hash,
        "world_fps": world.card.fps,
        "device": args.device,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "runtime": args.runtime,
        **_describe_runtime(args.runtime),
    }


def _describe_runtime(runtime: str) -> dict[str, Any]:
    """Its threads, and its version where it is torch."""
    if runtime == "onnx":
        told = os.environ.get("OMP_NUM_THREADS", "")
        return {"threads": int(told) if told.isdecimal() else os.cpu_count()}
    import torch

    return {"threads": torch.get_num_threads(), "torch": torch.__version__}


def lines(report: dict[str, Any], fps: float) -> list[str]:
    """The report as a table."""
    from worldsim.evaluate.table import grid

    rows = []
    for run in report["runs"]:
        for stage, at in run["stages"].items():
            for number, ms in at.items():
                rate = 1000 / ms["p50_ms"] if ms["p50_ms"] else None
                figures = [ms["p50_ms"], ms["p99_ms"], rate, rate and rate / fps]
                name = f"{run['run']}: {stage}"
                rows.append([name, run["steps"], run["batch"], int(number), *figures])
    head = ["stage", "steps", "batch", "frame", "p50 ms", "p99 ms", "per s", "x real time"]
    told = [
        f"{report['world']}, {report['threads']} threads on {report['device']}",
        *grid(head, rows),
    ]
    for run in report["runs"]:
        growth, memory = run["last_to_first"], run["resident_mb"]
        told.append(
            f"  {run['run']}, {run['steps']} steps: p99 at {report['points'][-1]} is "
            f"{growth['p99_ms']:.2f} of that at {report['points'][0]}; "
            f"resident MB {', '.join(f'{at}: {mb}' for at, mb in memory.items())}"
        )
        if window := run.get("window"):
            told.append(
                f"  {run['run']}, {run['steps']} steps: the window itself draws "
                f"{window['fps']:.0f} times a second, p99 {window['p99_ms']:.0f} ms"
            )
    return told


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
