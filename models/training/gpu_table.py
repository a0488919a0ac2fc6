"""`worldsim bench --gpu-table`: what a GPU makes of play and of training, as one table.

    worldsim bench --gpu-table                              # the day there is one: some 8 minutes
    worldsim bench --gpu-table --device cpu --quick         # does all of it run? less than a minute

Single dreams, many dreams in a batch, published FAR-B-Long's size, and training steps of a
configuration. What would begin after `--limit` seconds, or does not fit into memory, is said to be
left out. Prints a table; the report is also in a JSON file and in the last line.
"""

import argparse
import itertools
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from models.training.step_bench import StepBench, measure_drawing
from models.zoo import bench as layout
from worldsim.arguments import parse_count, parse_counts
from worldsim.atomic import atomic_write
from worldsim.evaluate.bench.timing import make_first_state
from worldsim.evaluate.bench.vector import time_vector
from worldsim.evaluate.table import grid
from worldsim.world.model import WorldModel, load_world, resolve_device

WARM_UP = 5
COLUMNS = ("ms", "p99_ms", "per_s", "memory_mb")
Row = dict[str, Any]
Measure = Callable[[], Row]


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    top = argparse.ArgumentParser(
        prog="worldsim bench --gpu-table",
        description="Measure play and training on a GPU; the last line is JSON.",
    )
    add = top.add_argument
    add("--device", default="cuda", help="cuda, cuda:1, cpu (%(default)s)")
    add("--worlds", default="dmlab,minecraft", help="names or folders (%(default)s)")
    add("--steps", type=parse_counts, default="1,2,4", help="sampler steps (%(default)s)")
    add("--batch", type=parse_counts, default="1,4,16,64,256", help="dreams at once (%(default)s)")
    add("--frames", type=parse_count, default=100, help="of a single dream (%(default)s)")
    add("--kind", default="far-b-long", help="a preset of the zoo, a long one (%(default)s)")
    add("--context", type=parse_count, default=144, help="true frames it is given (%(default)s)")
    add("--kind-steps", type=parse_counts, default="1,4,25", help="its steps (%(default)s)")
    add("--config", default="dmlab", help="a training with a memory in space (%(default)s)")
    add("--train-batch", type=parse_counts, default="64,256", help="targets (%(default)s)")
    add("--compile", action="store_true", help="training steps by torch.compile as well")
    add("--quick", action="store_true", help="tiny sizes: whether it runs, not how fast")
    add("--limit", type=float, default=420, help="begin nothing after so many s (%(default)s)")
    add("--out", type=Path, default=Path("runs/gpu.json"), help="the report (%(default)s)")
    return top


QUICK = {"steps": (1,), "batch": (1, 2), "frames": 2, "kind_steps": (1,), "train_batch": (4,)}


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 1 where a part failed.

    Raises:
        ValueError: no such device, world, preset or configuration.
    """
    args = parser().parse_args(argv)
    if args.quick:
        vars(args).update(QUICK)
    device, began = resolve_device(args.device), time.monotonic()
    rows = []
    for names, measure in every_row(args, device):
        late = time.monotonic() - began > args.limit
        told = {"skipped": "after --limit"} if late else attempt(measure, device)
        rows.append(names | told)
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    report = heading(args, device) | {"seconds": round(time.monotonic() - began, 1), "rows": rows}
    text = json.dumps(report, allow_nan=False)
    atomic_write(args.out, lambda path: path.write_text(text))
    print("\n".join(lines(report)))
    print(text)
    return int(any("failed" in row for row in rows))


def every_row(args: argparse.Namespace, device: torch.device) -> Iterator[tuple[Row, Measure]]:
    """What is measured, by name, and how; parts that share a world load it once."""
    for name in args.worlds.split(","):
        world = load_world(name, args.device)
        for steps in args.steps:
            names = {"part": "single dream", "of": world.card.name, "steps": steps}
            yield names, lambda w=world, s=steps: measure_single(w, s, args.frames)
    for name in args.worlds.split(","):
        world = load_world(name, args.device)
        for size in args.batch:
            names = {"part": "batch", "of": world.card.name, "steps": 1, "batch": size}
            yield names, lambda w=world, b=size: measure_batch(w, b, 2 if args.quick else 10)
    for steps in args.kind_steps:
        names = {"part": "published layout", "of": args.kind, "steps": steps}
        yield names, lambda s=steps: measure_layout(args, s)
    bench = StepBench(args.config, device, args.quick)
    yield {"part": "drawing, one process", "of": args.config}, lambda: measure_drawing(bench)
    late_and_compiled = itertools.product((False, True), (False, True)[: 1 + args.compile])
    for (late, compiled), size in itertools.product(late_and_compiled, args.train_batch):
        part = f"training{', own frames' if late else ''}{', compiled' if compiled else ''}"
        names = {"part": part, "of": args.config, "batch": size, "samples": bench.source}
        yield names, lambda b=size, o=late, c=compiled: bench.measure(b, o, c)


def attempt(measure: Measure, device: torch.device) -> Row:
    """The figures, and the most memory that the device held; or why there are none."""
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    try:
        told = measure()
    except torch.OutOfMemoryError:
        return {"skipped": "out of memory"}
    except (RuntimeError, ValueError) as error:  # the other parts are still worth measuring
        return {"failed": str(error).partition("\n")[0][:300]}
    if cuda:
        told["memory_mb"] = round(torch.cuda.max_memory_allocated(device) / 1e6)
    return {k: round(v, 2) if isinstance(v, float) else v for k, v in told.items()}


def measure_single(world: WorldModel, steps: int, frames: int) -> Row:
    """One dream that walks, as it is played: the frame comes back to the host every time."""
    state, seconds = make_first_state(world, 1), []
    for number in range(WARM_UP + frames):
        began = time.perf_counter()
        state, _ = world.step(state, [number % len(world.actions)], steps)
        seconds.append(time.perf_counter() - began)
    kept = torch.tensor(seconds[WARM_UP:], dtype=torch.float64) * 1000
    median, last = (float(kept.quantile(share)) for share in (0.5, 0.99))
    return {"ms": median, "p99_ms": last, "per_s": 1000 / median}


def measure_batch(world: WorldModel, size: int, rounds: int) -> Row:
    """Many dreams together."""
    row = time_vector(world, [size], rounds, steps=1)[0]
    return {"ms": row["ms"], "per_s": row["per_s"]}


def measure_layout(args: argparse.Namespace, steps: int) -> Row:
    """A frame of the published layout, in bfloat16 on a GPU."""
    options = ["--kind", args.kind, "--device", args.device, "--steps", str(steps)]
    options += ["--ways", "ours", "--limit", "1e9", "--context", str(args.context)]
    options += ["--precision", "float32" if args.device == "cpu" else "bfloat16"]
    with torch.inference_mode():
        row = next(layout.measured(layout.parser().parse_args(options)))
    return {"ms": row["ms"], "per_s": 1000 / max(row["ms"], 1e-3), "precision": row["precision"]}


def heading(args: argparse.Namespace, device: torch.device) -> Row:
    """What was measured on what."""
    cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else platform.processor() or "cpu",
        "quick": args.quick,
        "torch": torch.__version__,
        "cuda": torch.version.cuda if cuda else None,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def lines(report: Row) -> list[str]:
    """The report as a table."""
    head = ["part", "of", "steps", "batch", *COLUMNS]
    done = [row for row in report["rows"] if "ms" in row]
    table = grid(head, [[row.get(column) for column in head] for row in done])
    notes = []
    for row, why in itertools.product(report["rows"], ("skipped", "failed")):
        if why in row:
            named = (str(row[column]) for column in head[:4] if column in row)
            notes.append(f"  {why}: {', '.join(named)}: {row[why]}")
    samples = next((row["samples"] for row in report["rows"] if "samples" in row), "no")
    title = f"{report['device']}, torch {report['torch']}, {report['seconds']} s"
    return [title, *table, *notes, f"  training on {samples} samples"]
