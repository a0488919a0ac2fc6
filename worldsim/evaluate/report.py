"""`worldsim evaluate`: measure a world against the engine it was learnt from, and write it down.

    worldsim evaluate dmlab --episodes 16 --out evaluation/dmlab
    worldsim evaluate worlds/far-b-long --data data/dmlab/test --context 144 --predicted 156
    worldsim evaluate worlds/far-b-long --protocol teco --help

Everything that could be measured is written, also where it is far from good; a part whose dream
ran away says so in its place. What the parts measure is told in docs/evaluate.md.
"""

import argparse
import dataclasses
import json
import math
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from worldsim.evaluate.progress import Progress, duration, say
from worldsim.evaluate.published.protocols import NAMES

if TYPE_CHECKING:
    from worldsim.evaluate.protocol import Protocol
    from worldsim.world.model import WorldModel

PARTS = ("visibility", "fidelity", "following", "memory", "drift")
LONGER = ("walks", "likelihood")  # measured only when they are asked for
REVISITS = (100, 1000, 10_000)  # frames
WEIGHTS = {"visibility": 10, "fidelity": 2, "following": 2, "memory": 3, "drift": 6}
WEIGHTS |= {"walks": 30, "likelihood": 1}
"""About how long each takes, beside the others."""
DONE = "parts"  # the folder of what is measured already, while a run is not finished
SHEET_ROWS = 30
SHEET_SIDE = 128  # pixels a side of a frame that is shown, about


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="worldsim evaluate",
        description="Measure a world against the engine it was learnt from, on unseen seeds.",
    )
    parser.add_argument("world", help="a bundled world's name, or a world's folder")
    parser.add_argument("--episodes", type=int, default=16, help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="folder (default: evaluation/<the world's name>)")
    parser.add_argument("--steps", type=int, help="sampler steps a frame (default: the world's)")
    parser.add_argument("--frames-long", type=int, default=1000, help="length of the long runs")
    parser.add_argument(
        "--only", action="append", choices=PARTS + LONGER, help="leave the others out"
    )
    parser.add_argument("--quick", action="store_true", help="seconds, to see that all of it runs")
    parser.add_argument(
        "--data", type=Path, help="compare with these episodes, not with an engine: fidelity only"
    )
    parser.add_argument("--context", type=int, help="frames that are given (default: 144)")
    parser.add_argument("--predicted", type=int, help="frames that are dreamt (default: 156)")
    parser.add_argument(
        "--walker", help="kind of walker whose episodes are dreamt (default: as published)"
    )
    parser.add_argument(
        "--lpips-backbone", metavar="FILE", help="torchvision's AlexNet or VGG-16: LPIPS too"
    )
    parser.add_argument(
        "--revisit",
        type=int,
        default=1000,
        help="of --only walks: longest revisit in frames; 10000 takes hours (default: %(default)s)",
    )
    parser.add_argument(
        "--sheets", type=int, help="measure nothing: show so many dreams under mixed keys"
    )
    parser.add_argument("--length", type=int, default=300, help="of the dreams of --sheets")
    parser.add_argument(
        "--tuning", action="store_true", help="on the seeds that settings are chosen on"
    )
    parser.add_argument(
        "--protocol",
        choices=NAMES,
        help="a published table instead; has options of its own: --protocol teco --help",
    )
    parser.add_argument("--device", default="cpu", help="where the network runs: cpu or cuda")
    parser.add_argument(
        "--card", action="store_true", help="write the figures into the world's card (new hash)"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """The command; 0 when everything was measured, 1 when a dream ran away.

    Raises:
        ValueError: an argument out of range, or no such world.
    """
    given = sys.argv[1:] if argv is None else argv
    if any(one.startswith("--protocol") for one in given):
        from worldsim.evaluate.published.command import main as measure_as_published

        return measure_as_published(given)
    parser = _build_parser()
    args = parser.parse_args(given)
    if args.protocol:
        parser.error("--protocol is to be written out.")
    unused = [
        name
        for name in ("only", "walker", "frames_long", "tuning", "sheets", "revisit")
        if getattr(args, name) != parser.get_default(name)
    ]
    if args.data is not None and unused:
        parser.error(f"--{unused[0].replace('_', '-')} needs an engine: leave it out with --data.")
    others = sorted(set(args.only or ()) - {"visibility"})
    lesser = {"--quick": args.quick, f"--only {' '.join(others)}": others, "--tuning": args.tuning}
    part = next((name for name, value in lesser.items() if value), "")
    if args.card and part:
        parser.error(
            f"--card takes the figures of a whole evaluation, or of visibility: leave {part} out."
        )
    from worldsim.evaluate.card_figures import write_figures
    from worldsim.evaluate.contact_sheet import write_picture
    from worldsim.evaluate.lpips import load_lpips
    from worldsim.evaluate.protocol import Protocol, quick
    from worldsim.evaluate.report_page import write_page
    from worldsim.evaluate.table import lines
    from worldsim.paths import path_below
    from worldsim.types import STEPS
    from worldsim.world.model import load_world, world_folder

    full = Protocol(episodes=args.episodes, long=args.frames_long, steps=args.steps)
    protocol = quick(args.steps) if args.quick else full
    chosen = {name: getattr(args, name) for name in ("context", "predicted", "walker")}
    chosen["split"] = "tuning" if args.tuning else "heldout"
    protocol = dataclasses.replace(protocol, **{k: n for k, n in chosen.items() if n is not None})
    if args.lpips_backbone:
        load_lpips(args.lpips_backbone)  # a wrong file is told before anything is dreamt
        protocol = dataclasses.replace(protocol, lpips=args.lpips_backbone)
    if not args.quick:
        revisits = tuple(frames for frames in REVISITS if frames <= args.revisit)
        protocol = dataclasses.replace(protocol, revisits=revisits)
    world = load_world(args.world, args.device)
    # Published FAR takes any number of Euler steps, our own worlds have learnt some jumps.
    known = range(1, 1001) if world.card.builder == "far-reference" else STEPS
    if args.steps is not None and args.steps not in known:
        raise ValueError(f"--steps must be one of {known}, got {args.steps}.")
    if args.sheets:
        shown = dataclasses.replace(protocol, episodes=args.sheets, long=args.length)
        return _show(world, shown, args.out)
    folder = args.out or path_below(Path("evaluation"), world.card.name)
    if args.data is None:
        report, sheets, films = evaluate(world, protocol, args.only or PARTS, folder / DONE)
    else:
        report, sheets, films = evaluate_recorded(world, protocol, args.data)
    for name, picture in sheets.items():
        write_picture(folder / f"{name}.png", picture)
    write_report(folder / "evaluation.json", report)
    write_page(folder / "evaluation.html", report, sheets, films, world.card.fps)
    shutil.rmtree(folder / DONE, ignore_errors=True)
    print("\n".join(lines(report)))
    written = ["evaluation.html", *(f"{name}.png" for name in sheets)]
    print(f"\n{folder / 'evaluation.json'}, " + ", ".join(written))
    if args.card:
        place = world_folder(args.world)
        print(f"{place / 'card.json'} has the figures; hash {write_figures(place, report)[:12]}")
    return int(any("failed" in report[part] for part in _MEASURES if part in report))


def _show(world: "WorldModel", protocol: "Protocol", out: Path | None) -> int:
    """Write a picture of dreams under mixed keys."""
    from worldsim.evaluate.contact_sheet import contact_sheet, write_picture
    from worldsim.evaluate.open_loop import starts
    from worldsim.evaluate.visibility import look_at
    from worldsim.ground_truth import open_engine, plays
    from worldsim.paths import path_below

    env = open_engine(world.card)
    walker = protocol.walker or getattr(env, "published_walker", None)
    length = protocol.context - 1
    played = list(plays(env, protocol.episodes, length, protocol.split, walker, length))
    env.close()
    made = starts(world, played, protocol.context, protocol.batch)
    rows = look_at(world, made, protocol.long, protocol.steps)
    path = (out or path_below(Path("evaluation"), world.card.name)) / "dreams.png"
    write_picture(path, contact_sheet(rows, zoom=max(SHEET_SIDE // world.card.frame_size, 1)))
    print(path)
    return 0


class Evaluation(NamedTuple):
    """What was measured.

    Attributes:
        report: JSON values only.
        sheets: contact sheets uint8 `[H,W,3]` by name.
        films: uint8 `[T,H,W,3]` by name, "NUMBER truth" and "NUMBER dream".
    """

    report: dict[str, Any]
    sheets: dict[str, Any]
    films: dict[str, Any]


def evaluate(
    world: "WorldModel",
    protocol: "Protocol",
    parts: tuple[str, ...] = PARTS,
    done: Path | None = None,
) -> Evaluation:
    """Measure a world.

    Args:
        world: who dreams.
        protocol: how much of it.
        parts: what is measured.
        done: a folder that finished parts are kept in, so that a run that was killed goes on.
    """
    from worldsim.evaluate.finished import read_part, write_part
    from worldsim.evaluate.open_loop import DreamError
    from worldsim.evaluate.thresholds import judge_if_enough
    from worldsim.ground_truth import open_engine

    env = open_engine(world.card)
    walker = protocol.walker or getattr(env, "published_walker", None)
    report, pictures = _describe_world(world, protocol) | {"walker": walker}, {}
    same = json.dumps(plain(report), sort_keys=True)
    there = {part: read_part(done, part, same) for part in parts} if done else {}
    left = [part for part in parts if not there.get(part)]
    made = _make_starts(world, env, protocol, walker, left) if left else []
    progress = Progress("", sum(WEIGHTS[part] for part in left))
    for part in parts:
        began, found = time.monotonic(), there.get(part)
        if not found:
            try:
                figures, shown = _MEASURES[part](world, env, made, protocol)
            except DreamError as error:
                figures, shown = {"failed": str(error)}, {}
            found = plain(figures | {"seconds": time.monotonic() - began}), shown
            if done:
                write_part(done, part, same, *found)
            ahead = left[left.index(part) + 1 :]
            rest = progress.left(progress.total - sum(WEIGHTS[one] for one in ahead))
            say(f"{part} took {duration(found[0]['seconds'])}, {rest} to go")
        report[part], shown = found
        pictures |= shown
    env.close()
    report["verdicts"] = judge_if_enough(report)
    return _make_evaluation(report, pictures)


def _make_starts(world, env, protocol, walker, parts) -> list[Any]:
    """The held-out episodes, seen up to their context."""
    from worldsim.evaluate.open_loop import starts
    from worldsim.ground_truth import plays, telling_depth

    length, last = protocol.context + protocol.predicted - 1, protocol.context - 1
    with telling_depth(env, bool({"visibility", "walks"} & set(parts))):
        played = list(plays(env, protocol.episodes, length, protocol.split, walker, last))
    say(f"{len(played)} {protocol.split} episodes are played")
    made = starts(world, played, protocol.context, protocol.batch)
    say("the dreams have seen their context")
    return made


def _make_evaluation(report: dict[str, Any], pictures: dict[str, Any]) -> Evaluation:
    sheets = {name: picture for name, picture in pictures.items() if picture.ndim == 3}
    films = {name: picture for name, picture in pictures.items() if picture.ndim == 4}
    return Evaluation(plain(report), sheets, films)


def evaluate_recorded(world: "WorldModel", protocol: "Protocol", folder: Path) -> Evaluation:
    """The same beside recorded or imported episodes: only fidelity can be told from them.

    Raises:
        ValueError: no episodes in the folder, none of the world's size that is long enough, or
            one with an action that the world does not know.
    """
    from worldsim.evaluate.open_loop import DreamError, start_recorded
    from worldsim.evaluate.thresholds import judge_if_enough

    recorded = read_recorded_episodes(world, protocol, folder)
    report = _describe_world(world, protocol) | {"data": folder.name, "episodes": len(recorded)}
    try:
        made = start_recorded(world, recorded, protocol.context, protocol.batch)
        report["fidelity"], shown = _measure_fidelity(world, None, made, protocol)
    except DreamError as error:
        report["fidelity"], shown = {"failed": str(error)}, {}
    report["verdicts"] = judge_if_enough(report)
    return _make_evaluation(report, shown)


def read_recorded_episodes(world: "WorldModel", protocol: "Protocol", folder: Path) -> list[Any]:
    """The first episodes of a folder that are long enough, in the world's actions.

    Raises:
        ValueError: none of its size is, or one has an action that the world does not know.
    """
    from worldsim.actions import load_actions, renumber
    from worldsim.data.store import EpisodeStore

    size, length = world.card.frame_size, protocol.context + protocol.predicted
    recorded: list[Any] = []
    for episode in EpisodeStore(folder):
        if len(episode.frames) >= length and episode.frames.shape[1:] == (size, size, 3):
            theirs = load_actions(episode.meta.action_set)
            actions = renumber(episode.actions, theirs, world.actions)
            recorded.append(dataclasses.replace(episode, actions=actions))
        if len(recorded) == protocol.episodes:
            break
    if not recorded:
        raise ValueError(
            f"{folder} holds no episode of {size}x{size} pixels and {length} frames: give another "
            f"folder, or fewer frames by --context and --predicted."
        )
    return recorded


def _describe_world(world: "WorldModel", protocol: "Protocol") -> dict[str, Any]:
    return {
        "world": world.card.name,
        "hash": world.hash,
        "engine": world.card.engine,
        "steps": protocol.steps or world.card.steps,
        "protocol": dataclasses.asdict(protocol),
    }


def _measure_visibility(world, env, made, protocol):
    from worldsim.evaluate.contact_sheet import contact_sheet
    from worldsim.evaluate.visibility import measure
    from worldsim.ground_truth import telling_depth

    with telling_depth(env):
        figures, rows = measure(world, env, made, protocol)
    return figures, {"visibility": contact_sheet(rows[:SHEET_ROWS], group=3)} if rows else {}


def _measure_fidelity(world, env, made, protocol):
    from worldsim.evaluate.contact_sheet import contact_sheet
    from worldsim.evaluate.fidelity import measure

    figures, rows, films = measure(world, made, protocol)
    shown = {"fidelity": contact_sheet([frames for _, frames in rows[:16]], group=2)}
    for number, (truth, dream) in enumerate(films, 1):
        shown |= {f"{number} truth": truth, f"{number} dream": dream}
    return figures, shown


def _measure_following(world, env, made, protocol):
    from worldsim.evaluate.action_following import measure

    return measure(world, env, made, protocol), {}


def _measure_walks(world, env, made, protocol):
    from worldsim.evaluate.walks import measure

    return measure(world, env, made, protocol), {}


def _measure_likelihood(world, env, made, protocol):
    from worldsim.evaluate.likelihood import measure

    return measure(world, made, protocol), {}


def _measure_memory(world, env, made, protocol):
    from worldsim.evaluate.contact_sheet import contact_sheet
    from worldsim.evaluate.revisit import measure

    figures, groups = measure(world, env, made, protocol)
    if not groups:
        return figures, {}
    rows = [row for group in groups for row in group]
    return figures, {"memory": contact_sheet(rows, group=len(groups[0]))}


def _measure_drift(world, env, made, protocol):
    from worldsim.evaluate.contact_sheet import contact_sheet
    from worldsim.evaluate.drift import measure

    figures, rows = measure(world, made, protocol)
    return figures, {"drift": contact_sheet(rows, group=2)}


_MEASURES = {
    "visibility": _measure_visibility,
    "fidelity": _measure_fidelity,
    "following": _measure_following,
    "memory": _measure_memory,
    "drift": _measure_drift,
    "walks": _measure_walks,
    "likelihood": _measure_likelihood,
}


def plain(value: Any) -> Any:
    """JSON values of figures: numpy's numbers become Python's, rounded, None if not finite."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write the report as JSON, whole or not at all."""
    from worldsim.atomic import atomic_write

    text = json.dumps(report, indent=2, allow_nan=False) + "\n"
    atomic_write(path, lambda scratch: scratch.write_text(text))


if __name__ == "__main__":
    raise SystemExit(main())
