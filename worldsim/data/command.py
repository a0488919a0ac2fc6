r"""`worldsim data`: videos of one's own and published data sets become episodes or latents, and
episodes become published clips, a data set of Minari or LeRobot, or a few large files.

    worldsim data video walks data/walks --fps 7.5 --action-set dmlab
    worldsim data actions data/walks data/walks-acted
    worldsim data poses data/walks-acted data/walks-posed --field-of-view 73
    worldsim data import datasets/dmlab/dmlab_train.json data/dmlab/train
    worldsim data export data/maze/train dmlab/train --stand drop
    worldsim data export rollouts dmlab/random-v0 --layout minari
    worldsim data export rollouts datasets/walks --layout lerobot --task "walk about"
    worldsim data pack data/maze data/maze-packed --size 256MB
    worldsim data latents datasets/dmlab/train data/dmlab-latents --autoencoder dcae-8x-c32 \
        --weights DCAE_DMLab.pth

Parses first and imports torch afterwards, so that --help is instant.
"""

import argparse
import functools
import importlib
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from worldsim.arguments import between, natural, parse_count, parse_count_to, parse_size

PARTS = "video|actions|poses|import|export|latents|pack|unpack|check"
LAYOUTS = ("dmlab", "minecraft", "ucf101", "bair")
LIBRARIES = ("minari", "lerobot")  # an export may also be a data set of theirs
ACTIONS = "models.own_video.command:name_actions"
POSES = "models.own_video.pose_command:name_poses"
LATENTS = "models.training.data_published:extract"  # the encoders are networks, and lie above


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 if all of it was done, 1 if damaged clips were left out."""
    args = parser().parse_args(argv)
    return args.run(args)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    top = argparse.ArgumentParser(
        prog="worldsim data",
        description="Videos of your own, and published data sets: import, export, encode.",
    )
    parts = top.add_subparsers(required=True, metavar=PARTS)
    _add_video(parts)
    _add_actions(parts)
    _add_poses(parts)
    _add_shards(parts)
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
    latents.set_defaults(run=functools.partial(_call, LATENTS))
    for part in (importing, exporting, latents):
        kinds = (*LAYOUTS[:2], *LIBRARIES) if part is exporting else LAYOUTS
        part.add_argument("--layout", choices=kinds, default="dmlab", help="default: %(default)s")
        if part is not exporting:
            part.add_argument("--root", type=Path, help="the folder that a list's paths start from")
    return top


def _add_video(parts: Any) -> None:
    video = parts.add_parser("video", help="make episodes of a folder of videos")
    video.add_argument(
        "source", type=Path, help="mp4 files, and .csv or .jsonl of what was pressed"
    )
    video.add_argument("target", type=Path, help="the folder of the splits")
    video.add_argument("--size", type=parse_count_to(1024), default=64, help="pixels a side")
    video.add_argument(
        "--fps", type=between(0.01, 10_000), help="frames a second (default: each video's own)"
    )
    video.add_argument(
        "--action-set", default="watch", help="names what was pressed (default: %(default)s, none)"
    )
    video.add_argument(
        "--across", type=between(0, 1), default=0.5, help="0 cuts at the left, 1 right"
    )
    video.add_argument(
        "--down", type=between(0, 1), default=0.5, help="0 cuts at the top, 1 at the bottom"
    )
    video.add_argument(
        "--length", type=parse_count, default=300, help="actions an episode, at most"
    )
    video.add_argument("--heldout", type=between(0, 1), default=0.1, help="share of the files")
    video.add_argument("--tuning", type=between(0, 1), default=0.0, help="share of the files")
    video.set_defaults(run=run_video)


def _add_actions(parts: Any) -> None:
    actions = parts.add_parser("actions", help="infer what was pressed in videos")
    actions.add_argument("source", type=Path, help="the folder of the splits")
    actions.add_argument("target", type=Path, help="another one, for the episodes with actions")
    actions.add_argument(
        "--labelled", type=Path, action="append", default=[], metavar="FOLDER",
        help="episodes with recorded actions to learn from as well",
    )  # fmt: skip
    actions.add_argument(
        "--codes", type=int, choices=(4, 8), help="make up so many actions: none were recorded"
    )
    actions.add_argument("--steps", type=parse_count, help="of learning codes (default: 1500)")
    actions.add_argument("--seed", type=natural, default=0, help="of what is learnt")
    actions.set_defaults(run=functools.partial(_call, ACTIONS))


def _add_shards(parts: Any) -> None:
    folder = "a split's folder, or the folder of the splits"
    packing = parts.add_parser("pack", help="put episodes into a few large files")
    packing.add_argument("source", type=Path, help=folder)
    packing.add_argument("target", type=Path, help="another one, for the shards; they are added")
    packing.add_argument(
        "--size", type=parse_size, default="256MB", help="of a shard, at most (default: 256MB)"
    )
    packing.set_defaults(run=run_pack)
    unpacking = parts.add_parser("unpack", help="make episode files of shards")
    unpacking.add_argument("source", type=Path, help=folder)
    unpacking.add_argument("target", type=Path, help="another one, for the files")
    unpacking.set_defaults(run=run_unpack)
    checking = parts.add_parser("check", help="read shards and compare their checksums")
    checking.add_argument("source", type=Path, help=folder)
    checking.set_defaults(run=run_check)


def _add_poses(parts: Any) -> None:
    poses = parts.add_parser("poses", help="learn where the camera was, and how far all is")
    poses.add_argument("source", type=Path, help="the folder of the splits, with actions")
    poses.add_argument("target", type=Path, help="another one, for the episodes with poses")
    poses.add_argument(
        "--field-of-view", type=between(20, 150), default=73.0,
        help="degrees that a frame spans (default: %(default)s, as Maze-v0)",
    )  # fmt: skip
    poses.add_argument(
        "--stride", type=between(1e-3, 1e3), default=0.38,
        help="what a step ahead is to measure: videos do not tell (default: %(default)s)",
    )  # fmt: skip
    poses.add_argument("--climb", action="store_true", help="the camera also rises and falls")
    poses.add_argument(
        "--free-turns", action="store_true", help="a step may turn otherwise than its action does"
    )
    poses.add_argument("--steps", type=parse_count, help="of learning (default: 1000)")
    poses.add_argument("--seed", type=natural, default=0, help="of what is learnt")
    poses.set_defaults(run=functools.partial(_call, POSES))


def _call(target: str, args: argparse.Namespace) -> int:
    """What a network of `models` does, which lies above."""
    module, _, function = target.partition(":")
    getattr(importlib.import_module(module), function)(args)
    return 0


def run_video(args: argparse.Namespace) -> int:
    """Append the episodes of a folder of videos; what cannot be used is told and left out."""
    from worldsim.data.video_folder import SPLITS, VideoPlan, import_videos

    damaged = []

    def refused(error: ValueError) -> None:
        damaged.append(error)
        print(f"left out: {error}", file=sys.stderr)

    plan = VideoPlan(**{field.name: getattr(args, field.name) for field in fields(VideoPlan)})
    found = Counter(
        path.parent.name for path in import_videos(args.source, args.target, plan, refused)
    )
    told = ", ".join(f"{found[split]} {split}" for split in SPLITS)
    print(f"{args.target}: new episodes: {told}; {len(damaged)} videos left out.")
    return 1 if damaged else 0


def run_pack(args: argparse.Namespace) -> int:
    """Add the episodes to shards that are not there yet."""
    from worldsim.data.pack import pack

    made = list(pack(args.source, args.target, args.size))
    return _tell_shards(f"{args.target}: new:", made)


def run_unpack(args: argparse.Namespace) -> int:
    """Write the episode files that are not there yet."""
    from worldsim.data.pack import unpack

    count = sum(1 for _ in unpack(args.source, args.target))
    print(f"{args.target}: {count} files written.")
    return 0


def run_check(args: argparse.Namespace) -> int:
    """Compare the checksums of all shards."""
    from worldsim.data.pack import check

    return _tell_shards(f"{args.source}: whole:", list(check(args.source)))


def _tell_shards(what: str, shards: Sequence[Any]) -> int:
    episodes = sum(len(shard.members) for shard in shards)
    size = sum(shard.size for shard in shards)
    print(f"{what} {len(shards)} shards, {episodes} episodes, {size / 1e6:.1f} MB.")
    return 0


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
