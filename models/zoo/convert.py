"""`worldsim convert`: published FAR models become worlds, and prove that they agree.

    worldsim convert check tests/golden/far_long.safetensors
    worldsim convert import --far FAR.pth --autoencoder DCAE.pth --kind far-b-long --out worlds/far
    worldsim convert import --hub --kind far-b-long --out worlds/far

Parses first and imports torch afterwards, so that --help is instant.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from worldsim.zoo import HUB


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    args = parser().parse_args(argv)
    return args.run(args)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    top = argparse.ArgumentParser(description="Published FAR models: check agreement, import.")
    parts = top.add_subparsers(required=True, metavar="check|import")
    check = parts.add_parser("check", help="compare our networks with golden files of theirs")
    check.add_argument("files", nargs="+", type=Path, metavar="FILE", help="safetensors files")
    check.set_defaults(run=run_check)
    importing = parts.add_parser("import", help="make a world of released weights")
    add = importing.add_argument
    add("--far", help="the network's .pth or .safetensors")
    add("--autoencoder", help="DC-AE's .pth or .safetensors")
    add(
        "--hub",
        nargs="?",
        const=HUB,
        metavar="REPOSITORY",
        help=f"fetch them from the Hugging Face hub (from {HUB}); --far and --autoencoder, if "
        f"given, are names there",
    )
    add("--kind", required=True, help="which network: far-b-long, far-m-long, ..., or a YAML")
    add("--out", type=Path, required=True, help="the world's folder, which should not exist")
    add("--spawns", type=Path, metavar="DIR", help="episodes whose first frames dreams start from")
    add("--plain", action="store_true", help="take the plain weights and not the averaged (EMA)")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="such as play.guidance=1")
    importing.set_defaults(run=run_import)
    return top


def run_check(args: argparse.Namespace) -> int:
    """Print every output's largest difference; 0 if all are small."""
    from models.zoo.golden import TOLERANCE, differences, read_golden

    agree = True
    for path in args.files:
        print(path)
        for difference in differences(read_golden(path)):
            agree &= difference.agrees
            verdict = "" if difference.agrees else f"   DIFFERS (asked: < {TOLERANCE:g})"
            print(f"  {difference.output:<36}{difference.largest:.2e}{verdict}", flush=True)
    print("all agree" if agree else "not all agree")
    return 0 if agree else 1


def run_import(args: argparse.Namespace) -> int:
    """Write a world folder."""
    from models.zoo.import_weights import Released, import_world

    if args.hub:
        from models.zoo.hub import fetch, find_released_names

        paths = fetch(args.hub, find_released_names(args.kind, args.far, args.autoencoder))
    elif args.far and args.autoencoder:
        paths = [Path(args.far), Path(args.autoencoder)]
    else:
        raise ValueError("give both --far and --autoencoder, or --hub to fetch them")
    files = Released(*paths, args.spawns)
    import_world(files, args.kind, args.out, args.plain, tuple(args.set))
    print(f"{args.out} is written")
    return 0
