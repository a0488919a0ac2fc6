"""Train a world: python train_world.py dmlab [--set a.b=c ...] [--smoke] [--out DIR]

Codec -> latents -> dynamics -> a world folder. The same command resumes; --smoke does everything in
about a minute, for tests.
Several processes: torchrun --nproc-per-node 2 train_world.py CONFIG
"""

import argparse
import sys
from pathlib import Path

from worldsim.arguments import parse_count_to
from worldsim.config import ConfigError, nearest
from worldsim.paths import asset

PARTS = ("", "published/", "autoencoder/", "videoar/")  # of assets/configs, in this order


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="worldsim train", description="Train a world from episodes. The same command resumes."
    )
    p.add_argument("config", help="a name, e.g. dmlab, or a YAML file")
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
    p.add_argument("--threads", type=parse_count_to(1024), help="CPU threads (default: all)")
    return p


def config_names() -> list[str]:
    """What may be trained by name: the configurations that ship with the code."""
    folder = asset("configs")
    paths = [path for part in PARTS for path in folder.glob(f"{part}*.yaml")]
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in paths)


def find_config(given: str) -> str:
    """The path of a configuration by name (`dmlab`, `far-b-long-dmlab`) or by path.

    Raises:
        ConfigError: there is none.
    """
    if given.endswith((".yaml", ".yml")) or Path(given).is_file():
        return given
    names = config_names()
    found = [name for name in names if given in (name, name.rpartition("/")[2])]
    if not found:
        close = nearest(given, names)
        hint = f"did you mean {close}?" if close else f"there are {', '.join(names)}"
        raise ConfigError(f"there is no configuration {given!r:.60}; {hint}")
    return str(asset("configs", f"{found[0]}.yaml"))


def main(argv: list[str] | None = None) -> int:
    """Run the training; 0 when it is done."""
    args = parser().parse_args(argv)
    args.config = find_config(args.config)
    done = train_recipe(args)
    from models.training import distributed

    return distributed.leave(done)


def train_recipe(args: argparse.Namespace) -> int:
    """Run what a configuration asks for; 0 when it is done."""
    from models.training.recipe_autoencoder import is_autoencoder, train_autoencoder
    from models.training.recipe_far import train
    from models.training.spatial_config import is_spatial
    from models.training.spatial_run import train_spatial
    from models.training.videoar_config import recipe_of
    from models.training.videoar_published_run import train_videoar_published
    from models.training.videoar_run import train_videoar
    from models.training.videoar_spatial_run import train_videoar_spatial
    from models.training.videoar_tokenizer_run import train_videoar_tokenizer

    recipes = {
        "videoar": train_videoar,
        "videoar-published": train_videoar_published,
        "videoar-spatial": train_videoar_spatial,
        "videoar-tokenizer": train_videoar_tokenizer,
    }
    if (recipe := recipe_of(args.config)) in recipes:
        return recipes[recipe](args)
    if is_autoencoder(args.config):
        return train_autoencoder(args)
    return train_spatial(args) if is_spatial(args.config) else train(args)


if __name__ == "__main__":
    from worldsim.cli import run

    sys.exit(run(main, sys.argv[1:]))
