"""`worldsim evaluate WORLD --protocol NAME`: a published table, one command.

    worldsim evaluate worlds/far-b-long --protocol teco --lpips-backbone alexnet-owt-7be5be79.pth
    torchrun --nproc-per-node 8 -m worldsim evaluate WORLD --protocol mcvd --i3d i3d_torchscript.pt

Every finished clip is a file below the output's folder: the same command goes on where it was
stopped.
"""

import argparse
import dataclasses
import functools
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldsim.data.ray_crew import add_cluster_option, count_workers, open_crew
from worldsim.data.workers import share_out
from worldsim.evaluate.progress import Progress
from worldsim.evaluate.published.protocols import NAMES, find_setting, quick

if TYPE_CHECKING:
    from worldsim.evaluate.published.units import Run, Unit
    from worldsim.world.model import WorldModel

LAYOUTS = ("dmlab", "minecraft", "ucf101", "bair")
OF_ACTIONS = {"dmlab": "dmlab", "dmlab-published": "dmlab", "minecraft": "minecraft"}
OF_ACTIONS |= {"voxel": "minecraft", "watch": "ucf101"}
PATIENCE = 2.0


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="worldsim evaluate", description="Measure a world by a published protocol."
    )
    add = parser.add_argument
    add("world", help="a bundled world's name, or a world's folder")
    add("--protocol", required=True, choices=NAMES)
    add("--layout", choices=LAYOUTS, help="the data set (default: by the world's actions)")
    add("--data", type=Path, help="list of clips, or a folder (default: as downloaded)")
    add("--root", type=Path, help="the folder that the list's paths start from")
    add("--out", type=Path, help="folder (default: evaluation/<the world's name>-<protocol>)")
    add("--lpips-backbone", type=Path, metavar="FILE", help="torchvision's AlexNet or VGG-16")
    add("--i3d", type=Path, metavar="FILE", help="StyleGAN-V's i3d_torchscript.pt")
    add("--as-published", action="store_true", help="in the reference's ways, which are not exact")
    add("--clips", type=int, help="how many (default: the protocol's)")
    add("--trajectories", type=int, help="dreams of each clip (default: the protocol's)")
    add("--seeds", type=int, nargs="+", help="default: the protocol's")
    add("--steps", type=int, help="sampler steps (default: 50 for published weights)")
    add("--batch", type=int, default=8, help="dreams at a time")
    add("--workers", type=int, help="processes (default: 1; all that a cluster has room for)")
    add_cluster_option(parser)
    add("--quick", action="store_true", help="seconds, to see that all of it runs")
    add("--device", default="cpu", help="where the network runs: cpu or cuda")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command.

    Raises:
        ValueError: an argument out of range, no such world, clips or weights.
    """
    args = _build_parser().parse_args(argv)
    for name in ("clips", "trajectories", "steps", "batch", "workers"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name} must be at least 1, got {value}")
    from worldsim.evaluate.published.clips import choose_clips
    from worldsim.evaluate.published.dreaming import prepare
    from worldsim.evaluate.published.units import do_units, group_units, read_judges
    from worldsim.world.model import load_world

    world = load_world(args.world, args.device)
    run, whole = _run(args, world)
    run = _with_absolute_paths(run) if args.cluster else run
    read_judges(run)  # a wrong file is told before anything is dreamt
    clips = choose_clips(run.setting, run.source, run.root)
    others = prepare(world, run.setting, 0)
    groups = group_units(run, clips)
    _check_folder(run, world, clips)
    rank, world_size = (int(os.environ.get(n, d)) for n, d in (("RANK", 0), ("WORLD_SIZE", 1)))
    units = Units(run, groups)
    mine = groups[rank::world_size]
    crew = open_crew(args.cluster, run.folder, gpus=float(args.device == "cuda"))
    workers = count_workers(args.workers, crew, default=1)
    reports: Iterator[int] = do_units(run, mine)
    if workers > 1 or crew:
        reports = share_out(functools.partial(do_units, run), mine, workers, crew)
    for _ in reports:
        units.tell()
    if rank:
        return 0
    units.wait()
    return _report(args.protocol, run, world, len(clips), whole, others)


def _run(args: argparse.Namespace, world: "WorldModel") -> "tuple[Run, bool]":
    """What is run, and whether it is the whole of the protocol."""
    from worldsim.evaluate.published.dreaming import takes_labels
    from worldsim.evaluate.published.units import Run
    from worldsim.paths import path_below

    layout = args.layout or OF_ACTIONS.get(world.card.action_set, "dmlab")
    full = find_setting(args.protocol, layout, takes_labels(world))
    setting = quick(full) if args.quick else full
    given = {name: getattr(args, name) for name in ("clips", "trajectories")}
    given["seeds"] = tuple(args.seeds) if args.seeds else None
    setting = dataclasses.replace(setting, **{k: v for k, v in given.items() if v is not None})
    published = world.card.builder == "far-reference"
    name = f"{world.card.name}-{args.protocol}"
    run = Run(
        world=args.world,
        setting=setting,
        source=args.data or Path(setting.data),
        root=args.root,
        folder=args.out or path_below(Path("evaluation"), name),
        steps=args.steps or (setting.steps if published else world.card.steps),
        batch=args.batch,
        device=args.device,
        backbone=args.lpips_backbone,
        i3d=args.i3d,
        as_published=args.as_published,
    )
    return run, setting == full


def _with_absolute_paths(run: "Run") -> "Run":
    """The same run, wherever a process is."""
    given = {field.name: getattr(run, field.name) for field in dataclasses.fields(run)}
    paths: dict[str, Any] = {
        n: path.absolute() for n, path in given.items() if isinstance(path, Path)
    }
    world = Path(run.world)
    named = str(world.absolute()) if world.is_dir() else run.world
    return dataclasses.replace(run, world=named, **paths)


def _check_folder(run: "Run", world: "WorldModel", clips: Sequence[Any]) -> None:
    """Write down what is run, or see that the folder is of the same.

    Raises:
        ValueError: it holds units of something else.
    """
    from worldsim.evaluate.published.units import identity
    from worldsim.evaluate.run_record import keep_record

    keep_record(run.folder, identity(run, world.hash, clips), "a run with another")


class Units:
    """The units of a run on disk: how many are done, and about when all are."""

    def __init__(self, run: "Run", groups: "Sequence[Sequence[Unit]]"):
        from worldsim.evaluate.published.units import unit_path

        self._paths = [unit_path(run.folder, unit) for group in groups for unit in group]
        self._progress = Progress("clips", len(self._paths), self.done())

    def done(self) -> int:
        """How many units are there."""
        there = set(self._paths[0].parent.glob("*.npz"))
        return sum(path in there for path in self._paths)

    def tell(self) -> None:
        """One line on stderr."""
        self._progress.tell(self.done())

    def wait(self) -> None:
        """Until other processes have done theirs."""
        while self.done() < len(self._paths):
            time.sleep(PATIENCE)
            self.tell()


def _report(
    protocol: str, run: "Run", world: "WorldModel", clips: int, whole: bool, others: list[str]
) -> int:
    from worldsim.evaluate.contact_sheet import write_picture
    from worldsim.evaluate.published.summary import gather, lines, notes, sheet
    from worldsim.evaluate.report import plain, write_report

    report = plain(
        {
            "protocol": protocol,
            "layout": run.setting.layout,
            "world": world.card.name,
            "hash": world.hash,
            "clips": clips,
            "steps": run.steps,
            "setting": dataclasses.asdict(run.setting),
            "tables": gather(run, clips),
            "notes": notes(run, clips, whole, others),
        }
    )
    write_report(run.folder / f"{protocol}.json", report)
    picture = sheet(run, clips)
    if picture is not None:
        write_picture(run.folder / f"{protocol}.png", picture)
    print("\n".join(lines(report, run.setting)))
    print(f"\n{run.folder / protocol}.json, {protocol}.png")
    return 0
