"""`worldsim zoo`: which worlds there are by name; fetches them before they are played.

    worldsim zoo                      lists them
    worldsim zoo fetch far-dmlab      as play, evaluate and gymnasium.make do on first use
    worldsim zoo fetch OWNER/NAME     a world that `worldsim publish` uploaded to the hub
    worldsim zoo remove far-dmlab     from the cache

Imports torch only where a world is made.
"""

import argparse
import shutil
import textwrap
from collections.abc import Sequence

from worldsim.world.error import WorldError
from worldsim.zoo import ZooRow, cache_folder, fetch_by_name, find_cached, list_zoo, read_released

HEAD = ("name", "size", "speed", "here", "licence", "source", "what it is")
MOST_LICENCE = 24  # letters; the whole text stands in a world's card
NOTES = (
    "speed: cpu plays in real time on two cores, gpu takes seconds a frame there (more than 100 MB "
    "of weights: a rule of thumb).",
    "size: of the folder; of one that is not here, counted from its parameters. What its files "
    "weigh on the hub is unknown until they are fetched.",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    args = parser().parse_args(argv)
    return args.run(args)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    top = argparse.ArgumentParser(description="Worlds by name: list, fetch, remove.")
    top.set_defaults(run=run_list)
    parts = top.add_subparsers(metavar="fetch|remove")
    fetch = parts.add_parser("fetch", help="fetch a world into the cache, unless it is there")
    fetch.add_argument("world", metavar="NAME", help="a name of the list, or OWNER/NAME on the hub")
    fetch.set_defaults(run=run_fetch)
    remove = parts.add_parser("remove", help="remove a world from the cache")
    remove.add_argument("world", metavar="NAME")
    remove.set_defaults(run=run_remove)
    return top


def run_list(args: argparse.Namespace) -> int:
    """Print the list."""
    rows = [HEAD, *(_cells(row) for row in list_zoo())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    print("\n" + "\n".join((*NOTES, f"cache: {cache_folder()}")))
    return 0


def _cells(row: ZooRow) -> tuple[str, ...]:
    size, here = f"{row.size / 1e6:,.0f} MB", "yes" if row.here else "no"
    licence = textwrap.shorten(row.licence, MOST_LICENCE, placeholder=" ...")
    return row.name, size, row.speed, here, licence, row.source, row.title


def run_fetch(args: argparse.Namespace) -> int:
    """Fetch a world, and print its folder."""
    folder = fetch_by_name(args.world)
    if folder is None and args.world.count("/") == 1:
        from models.zoo.fetch_world import fetch_repository

        folder = fetch_repository(args.world)
    if folder is None:
        raise WorldError(
            f"a world to fetch must be one of {', '.join(read_released())}, or OWNER/NAME on the "
            f"hub, got {args.world!r:.80}"
        )
    print(f"{folder}\nplay it: worldsim play --world {folder.name}")
    return 0


def run_remove(args: argparse.Namespace) -> int:
    """Remove a world from the cache."""
    folder = find_cached(args.world)
    if folder is None:
        raise WorldError(f"a world to remove must be in {cache_folder()}, got {args.world!r:.80}")
    shutil.rmtree(folder)
    print(f"{folder} is removed; what the hub's files take is in huggingface_hub's own cache")
    return 0
