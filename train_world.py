"""Train a world: python train_world.py assets/configs/dmlab.yaml  [--set a.b=c ...] [--smoke]
[--out DIR]

Codec -> latents -> dynamics -> a world folder. The same command resumes; --smoke does everything in
about a minute, for tests.
Several processes: torchrun --nproc-per-node 2 train_world.py CONFIG
"""

import argparse
import sys
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="worldsim train", description="Train a world from episodes. The same command resumes."
    )
    p.add_argument("config", help="a YAML file, e.g. assets/configs/dmlab.yaml")
    p.add_argument("--set", action="append", default=[], metavar="a.b=c", help="override a setting")
    p.add_argument(
        "--out", type=Path, help="where checkpoints, log and the world go (default: runs/<name>)"
    )
    p.add_argument("--from", dest="origin", metavar="WORLD", help="begin with a world's weights")
    p.add_argument("--fresh", action="store_true", help="start again instead of resuming")
    p.add_argument(
        "--smoke", action="store_true", help="a run of about a minute that goes through everything"
    )
    p.add_argument("--export", action="store_true", help="only write the world as it stands")
    p.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ...")
    p.add_argument("--threads", type=int, help="CPU threads (default: all)")
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the training; 0 when it is done."""
    args = parser().parse_args(argv)
    from models.training.recipe_autoencoder import is_autoencoder, train_autoencoder
    from models.training.recipe_far import train
    from models.training.spatial_config import is_spatial
    from models.training.spatial_run import train_spatial

    if is_autoencoder(args.config):
        return train_autoencoder(args)
    return train_spatial(args) if is_spatial(args.config) else train(args)


if __name__ == "__main__":
    from worldsim.cli import run

    sys.exit(run(main, sys.argv[1:]))
