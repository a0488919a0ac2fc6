"""`worldsim compare A B [C ...]`: worlds, settings or ways of running them on the same episodes.

    worldsim compare dmlab dmlab@steps=2
    worldsim compare runs/a/world runs/b/world --episodes 16 --out comparison

One table with intervals and paired differences, and one page with the same, curves, sheets and
films side by side, and blind choices. Every finished batch is a file: the same command goes on
where it was stopped.
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldsim.evaluate.compare.contestants import Contestant, number_names, parse_contestant
from worldsim.evaluate.progress import Progress, say

if TYPE_CHECKING:
    import numpy as np

    from worldsim.evaluate.open_loop import Start
    from worldsim.evaluate.protocol import Protocol
    from worldsim.world.model import WorldModel

SHEET_COLUMNS = (1, 2, 4, 8, 16, 32, 64, 100, 156)


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="worldsim compare",
        description="Measure worlds, settings or ways of running them on the same episodes.",
    )
    add = parser.add_argument
    add(
        "worlds",
        nargs="+",
        metavar="WORLD[@NAME=VALUE,...]",
        help="two or more; steps, context_noise, device, threads can be set: dmlab@steps=2",
    )
    add("--episodes", type=int, default=16, help="default: %(default)s")
    add("--context", type=int, default=144, help="frames that are given (default: %(default)s)")
    add(
        "--predicted",
        type=int,
        default=156,
        help="frames that are dreamt (default: %(default)s)",
    )
    add("--batch", type=int, default=8, help="dreams at a time")
    add("--data", type=Path, help="these episodes, not the engine's")
    add("--walker", help="kind of walker that plays (default: as published)")
    add("--tuning", action="store_true", help="on the seeds that settings are chosen on")
    add("--lpips-backbone", type=Path, metavar="FILE", help="torchvision's AlexNet or VGG-16")
    add("--films", type=int, default=4, help="episodes whose films are on the page")
    add("--out", type=Path, default=Path("comparison"), help="folder (default: %(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command.

    Raises:
        ValueError: worlds that cannot be compared, or an argument out of range.
    """
    args = _build_parser().parse_args(argv)
    contestants = number_names([parse_contestant(text) for text in args.worlds])
    if len(contestants) < 2:
        raise ValueError(f"worlds to compare must be >= 2, got {len(contestants)}")
    if args.films < 0:
        raise ValueError(f"--films must be >= 0, got {args.films}")
    from worldsim.evaluate.lpips import read_lpips
    from worldsim.evaluate.protocol import Protocol
    from worldsim.evaluate.report import plain, write_report
    from worldsim.evaluate.table import grid

    protocol = Protocol(
        episodes=args.episodes,
        context=args.context,
        predicted=args.predicted,
        batch=args.batch,
        walker=args.walker,
        split="tuning" if args.tuning else "heldout",
    )
    worlds = load_all(contestants)
    perceptual = read_lpips(args.lpips_backbone) if args.lpips_backbone else None
    job = Comparison(args.out, contestants, worlds, protocol, args.data, perceptual)
    job.check_folder()
    job.run()
    report = plain(job.report())
    write_report(args.out / "compare.json", report)
    job.write_page(args.out / "compare.html", report, args.films)
    from worldsim.evaluate.compare.figures import LEAST_SURE, table_rows

    print("\n".join(grid(*table_rows(report))))
    print(f"\n  *: 0 lies outside the interval ({LEAST_SURE} episodes or more)")
    print(f"\n{args.out / 'compare.html'}, compare.json")
    return 0


def load_all(contestants: Sequence[Contestant]) -> "list[WorldModel]":
    """The contestants' worlds.

    Raises:
        ValueError: they are not of one engine, size and table of actions.
    """
    from worldsim.world.model import load_world

    opened: dict[tuple[str, str], Any] = {}
    for one in contestants:
        if (one.world, one.device) not in opened:
            opened[one.world, one.device] = load_world(one.world, one.device)
    worlds = [opened[one.world, one.device] for one in contestants]
    for name in ("engine", "frame_size", "action_set"):
        found = [getattr(world.card, name) for world in worlds]
        if len(set(found)) > 1:
            raise ValueError(
                f"only worlds of one {name} can be compared, {contestants[0].name} has "
                f"{found[0]!r}, another {next(x for x in found if x != found[0])!r}"
            )
    for one, world in zip(contestants, worlds, strict=True):
        if one.context_noise is not None:
            world.check_noise(one.context_noise)
    return worlds


class Comparison:
    """A comparison on disk: what is there, what is to be done, what comes of it."""

    def __init__(
        self,
        folder: Path,
        contestants: Sequence[Contestant],
        worlds: "Sequence[WorldModel]",
        protocol: "Protocol",
        data: Path | None,
        perceptual: Any,
    ):
        self.folder, self.contestants, self.worlds = folder, contestants, worlds
        self.protocol, self.data, self.perceptual = protocol, data, perceptual
        self.batches = -(-protocol.episodes // protocol.batch)

    def path(self, who: int | str, batch: int) -> Path:
        """Where a contestant's dreams of a batch are, or the truth, or what stands beside."""
        return self.folder / "dreams" / f"{who}-{batch}.npz"

    def check_folder(self) -> None:
        """Write down what is compared, or see that the folder is of the same.

        Raises:
            ValueError: it is of another comparison.
        """
        from worldsim.evaluate.run_record import keep_record

        ours: dict[str, Any] = {
            "contestants": [dataclasses.asdict(one) for one in self.contestants],
            "hashes": [world.hash for world in self.worlds],
            "protocol": json.loads(json.dumps(dataclasses.asdict(self.protocol))),
            "data": str(self.data) if self.data else None,
            "lpips": self.perceptual is not None,
        }
        keep_record(self.folder, ours, "a comparison with other")

    # ---- dreaming ----

    def run(self) -> None:
        """Dream what is not there yet."""
        kinds: list[int | str] = [*range(len(self.contestants))]
        todo = [(w, b) for w in kinds for b in range(self.batches) if not self.path(w, b).is_file()]
        missing = any(not self.path("truth", b).is_file() for b in range(self.batches))
        if not todo and not missing:
            return
        played, env = self._play()
        total = len(kinds) * self.batches
        progress = Progress("batches of dreams", total, total - len(todo))
        done = total - len(todo)
        for batch in range(self.batches):
            rows = slice(batch * self.protocol.batch, (batch + 1) * self.protocol.batch)
            for number in kinds:
                if self.path(number, batch).is_file() and self.path("truth", batch).is_file():
                    continue
                self._dream(int(number), batch, played[rows], env)
                done += 1
                progress.tell(min(done, total))
        if env is not None:
            env.close()

    def _play(self) -> tuple[list[Any], Any]:
        """The episodes, and the engine (None for recorded ones)."""
        from worldsim.ground_truth import open_engine, plays, telling_depth

        protocol = self.protocol
        if self.data is not None:
            from worldsim.evaluate.report import read_recorded_episodes

            found = read_recorded_episodes(self.worlds[0], protocol, self.data)
            if len(found) < protocol.episodes:
                raise ValueError(
                    f"{self.data} holds {len(found)} such episodes: --episodes {len(found)}"
                )
            return found, None
        env = open_engine(self.worlds[0].card)
        walker = protocol.walker or getattr(env, "published_walker", None)
        length, last = protocol.context + protocol.predicted - 1, protocol.context - 1
        with telling_depth(env):
            played = list(plays(env, protocol.episodes, length, protocol.split, walker, last))
        say(f"{len(played)} {protocol.split} episodes are played")
        return played, env

    def _dream(self, number: int, batch: int, played: list[Any], env: Any) -> None:
        import torch

        from worldsim.evaluate.compare.measure import dream_episodes, scores, write_arrays

        who, world = self.contestants[number], self.worlds[number]
        before = torch.get_num_threads()
        torch.set_num_threads(who.threads or before)
        try:
            start = self._start(world, played)
            truth = self._truth(batch, world, start, env)
            found = dream_episodes(world, who, start, truth)
        finally:
            torch.set_num_threads(before)
        found |= scores(found["frames"], truth, self.perceptual)
        write_arrays(self.path(number, batch), found)

    def _start(self, world: "WorldModel", played: list[Any]) -> "Start":
        from worldsim.evaluate.open_loop import start_recorded, starts

        make: Any = start_recorded if self.data is not None else starts
        return make(world, played, self.protocol.context, len(played))[0]

    def _truth(self, batch: int, world: "WorldModel", start: "Start", env: Any) -> Any:
        """What dreams are held against; worked out once for each batch, with what stands beside."""
        from worldsim.evaluate.compare.measure import (
            Truth,
            collect_truth,
            measure_beside,
            read_arrays,
            write_arrays,
        )
        from worldsim.evaluate.rollouts import look_near, make_judge
        from worldsim.evaluate.visibility import can_judge

        path = self.path("truth", batch)
        if path.is_file():
            return Truth(**read_arrays(path))
        frames, actions = collect_truth(start, self.protocol.predicted)
        truth = Truth(frames, actions)
        if env is not None and can_judge(env, start):
            warped, seen = look_near(make_judge(env, start), start, self.protocol)
            truth = truth._replace(seen=seen, warped=warped)
        rows = measure_beside(world, start, truth, self.perceptual)
        arrays = {f"{name}/{key}": a for name, scores in rows for key, a in scores.items()}
        write_arrays(self.path("beside", batch), arrays)
        write_arrays(path, {k: v for k, v in truth._asdict().items() if v is not None})
        return truth

    # ---- telling ----

    def read(self, who: int | str) -> "dict[str, np.ndarray]":
        """All batches of a contestant, episode by episode."""
        import numpy as np

        from worldsim.evaluate.compare.measure import read_arrays

        parts = [read_arrays(self.path(who, batch)) for batch in range(self.batches)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def scores(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Figures `[B,P]` of the contestants, of what stands beside them, and milliseconds."""
        dreams, times = {}, {}
        for number, one in enumerate(self.contestants):
            found = self.read(number)
            del found["frames"]
            times[one.name] = found.pop("ms")
            dreams[one.name] = found
        beside: dict[str, Any] = {}
        for key, values in self.read("beside").items():
            name, _, metric = key.partition("/")
            beside.setdefault(name, {})[metric] = values
        return dreams, beside, times

    def report(self) -> dict[str, Any]:
        """All figures."""
        from worldsim.evaluate.compare.figures import summarise_speeds, summary

        dreams, beside, times = self.scores()
        return summary(dreams, beside, self.protocol.horizons) | {
            "speed": summarise_speeds(times),
            "contestants": [dataclasses.asdict(one) for one in self.contestants],
            "hashes": {o.name: w.hash for o, w in zip(self.contestants, self.worlds, strict=True)},
            "protocol": dataclasses.asdict(self.protocol),
            "episodes": self.protocol.episodes,
        }

    def write_page(self, path: Path, report: dict[str, Any], count: int) -> None:
        """The page with the table, curves, films and sheets."""
        from worldsim.evaluate.compare.figures import make_plots, table_rows
        from worldsim.evaluate.page.document import films, table, write_page

        dreams, beside, _ = self.scores()
        head, rows = table_rows(report)
        scenes, sheets = self._collect_pictures(count)
        protocol, card = self.protocol, self.worlds[0].card
        lead = (
            f"{protocol.episodes} {'recorded' if self.data else protocol.split} episodes, "
            f"{protocol.context} frames given, {protocol.predicted} dreamt under the same actions. "
            f"Intervals hold 95 of 100 bootstrap draws of whole episodes; differences are paired, "
            f"* marks those whose interval holds no 0. Times are of batches of {protocol.batch}."
        )
        parts = {"Figures": table(head, rows), "By age": make_plots(dreams, beside)}
        if scenes:
            parts |= {"Films": films(scenes, card.fps), "Sheets": sheets}
        write_page(path, " against ".join(dreams), lead, parts)

    def _collect_pictures(self, count: int) -> tuple[list[Any], str]:
        """Films and sheets of the first episodes: the truth, and every contestant."""
        from worldsim.evaluate.contact_sheet import contact_sheet
        from worldsim.evaluate.page.document import Film, Scene, picture

        truth = self.read("truth")["frames"][:count]
        frames = {one.name: self.read(n)["frames"] for n, one in enumerate(self.contestants)}
        ages = [age - 1 for age in SHEET_COLUMNS if age <= self.protocol.predicted]
        scenes, sheets = [], []
        for row, true in enumerate(truth):
            dreamt = [Film(name, those[row]) for name, those in frames.items()]
            scenes.append(Scene(f"episode {row + 1}", [Film("truth", true, choice=False), *dreamt]))
            rows = [true[ages], *(film.frames[ages] for film in dreamt)]
            names = ", ".join(("truth", *frames))
            title = f"episode {row + 1}, from above: {names}; frames {[a + 1 for a in ages]}"
            sheets.append(picture(title, contact_sheet(rows, group=len(rows), zoom=1)))
        return scenes, "".join(sheets)
