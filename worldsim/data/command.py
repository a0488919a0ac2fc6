r"""`worldsim data`: published data sets become episodes or latents, and episodes become published
clips, or a data set of Minari or LeRobot.

    worldsim data import datasets/dmlab/dmlab_train.json data/dmlab/train
    worldsim data export data/maze/train dmlab/train --stand drop
    worldsim data export rollouts dmlab/random-v0 --layout minari
    worldsim data export rollouts datasets/walks --layout lerobot --task "walk about"
    worldsim data latents datasets/dmlab/train data/dmlab-latents --autoencoder dcae-8x-c32 \
        --weights DCAE_DMLab.pth

Parses first and imports torch afterwards, so that --help is instant.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

LAYOUTS = ("dmlab", "minecraft", "ucf101", "bair")
LIBRARIES = ("minari", "lerobot")  # an export may also be a data set of theirs
LATENTS = "models.training.data_published:extract"  # the encoders are networks, and lie above


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 if all of it was done, 1 if damaged clips were left out."""
    args = parser().parse_args(argv)
    return args.run(args)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    top = argparse.ArgumentParser(
        prog="worldsim data", description="Published data sets: import, export, encode."
    )
    parts = top.add_subparsers(required=True, metavar="import|export|latents")
    given = "a split's folder, or a list of its clips (.json, .txt)"
    importing = parts.add_parser("import", help="make episodes of published clips")
    importing.add_argument("source", type=Path, help=given)
    importing.add_argument("target", type=Path, help="the episodes' folder")
    importing.set_defaults(run=run_import)
    exporting = parts.add_parser("export", help="make published clips of episodes")
    exporting.add_argument("source", type=Path, help="a folder of episodes or of recordings")
    exporting.add_argument(
        "target", type=Path, help="the split's folder, or Minari's id of the set"
    )
    exporting.add_argument("--task", default="", help="for lerobot: what was to be done, in words")
    exporting.add_argument("--stand", choices=("refuse", "drop"), default="refuse")
    exporting.set_defaults(run=run_export)
    latents = parts.add_parser("latents", help="encode published clips once, for training")
    latents.add_argument("source", type=Path, help=given)
    latents.add_argument("target", type=Path, help="the latents' folder")
    latents.add_argument(
        "--autoencoder", default="dcae-8x-c32", help="of the zoo, or a YAML (default: %(default)s)"
    )
    latents.add_argument("--weights", type=Path, help="its .pth or .safetensors")
    latents.add_argument("--device", default="cpu", help="cpu or cuda")
    latents.set_defaults(run=run_latents)
    for part in (importing, exporting, latents):
        kinds = (*LAYOUTS[:2], *LIBRARIES) if part is exporting else LAYOUTS
        part.add_argument("--layout", choices=kinds, default="dmlab", help="default: %(default)s")
        if part is not exporting:
            part.add_argument("--root", type=Path, help="the folder that a list's paths start from")
    return top


def run_import(args: argparse.Namespace) -> int:
    """Append clips to a store; damaged ones are told and left out."""
    from worldsim.data.published.formats import LAYOUTS
    from worldsim.data.published.teco import import_clips
    from worldsim.data.store import EpisodeStore

    damaged = []

    def refused(error: ValueError) -> None:
        damaged.append(error)
        print(f"left out: {error}", file=sys.stderr)

    notes = []
    store = EpisodeStore(args.target)
    new = import_clips(
        args.source, store, LAYOUTS[args.layout], args.root, refused, noted=notes.append
    )
    count = sum(1 for _ in new)
    if notes:
        more = f" (and {len(notes) - 1} more)" if len(notes) > 1 else ""
        print(f"{notes[0]}{more}", file=sys.stderr)
    print(f"{args.target}: {count} written, {len(store)} in all, {len(damaged)} left out.")
    return 1 if damaged else 0


def run_export(args: argparse.Namespace) -> int:
    """Write published clips, or a data set of a library."""
    if args.layout in LIBRARIES:
        count = {"minari": _export_minari, "lerobot": _export_lerobot}[args.layout](args)
        print(f"{args.target}: {count} episodes written.")
        return 0
    from worldsim.data.published.formats import LAYOUTS
    from worldsim.data.published.teco import export_clips
    from worldsim.data.store import EpisodeStore

    store = EpisodeStore(args.source)
    count = export_clips(store, args.target, args.stand, LAYOUTS[args.layout])
    print(f"{args.target}: {count} written.")
    return 0


def _export_minari(args: argparse.Namespace) -> int:
    from worldsim.actions import load_actions
    from worldsim.data.minari import check_minari, export
    from worldsim.data.recorded import find_environment, read_episodes

    name = args.target.as_posix()
    check_minari(name)
    found = list(read_episodes(args.source))
    actions = len(load_actions(found[0].meta.action_set))
    export(name, found, actions, find_environment(args.source))
    return len(found)


def _export_lerobot(args: argparse.Namespace) -> int:
    from worldsim.data.lerobot import export
    from worldsim.data.recorded import read_episodes

    return export(args.target, read_episodes(args.source), args.task)


def run_latents(args: argparse.Namespace) -> int:
    """Encode clips, or take published latents as they are."""
    module, _, function = LATENTS.partition(":")
    getattr(importlib.import_module(module), function)(args)
    return 0
