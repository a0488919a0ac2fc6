"""`worldsim rollout`: episodes played without a window, recorded as the window records them.

    worldsim rollout --env FARDMLab-v0 --policy random --episodes 20 --steps 300 --out rollouts
    worldsim rollout --env Maze-v0 --policy script --actions forward,forward,left --out rollouts
    worldsim rollout --env Maze-v0 --policy mine:choose --workers 2 --out rollouts
    worldsim rollout --policy random --episodes 10000 --cluster auto --out /shared/rollouts

`module:function` is called as `function(frame, actions, rng)`: the newest frame uint8 [H,W,3], the
world's ActionSet and a generator of the episode's own; it returns an action's id or name, or None
to end the episode. Episode i has seed `--seed` + i, whatever the number of workers. What the folder
holds already of the same world, policy and length is not played again: the same command goes on
where it was stopped.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from worldsim.data.ray_crew import add_cluster_option, count_workers, open_crew


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="worldsim rollout",
        description="Play episodes without a window and record them.",
    )
    add = parser.add_argument
    add("--env", default="FARDMLab-v0", help="Gymnasium id (default: %(default)s)")
    add("--world", help="a world's name or folder, for an environment that dreams")
    add("--policy", default="random", help="random, script or module:function")
    add("--actions", default="", help="for --policy script: names, e.g. forward,forward,left")
    add("--episodes", type=int, default=10, help="default: %(default)s")
    add("--steps", type=int, default=300, help="actions an episode has at most")
    add("--seed", type=int, default=0, help="seed of the first episode")
    add("--workers", type=int, help="processes (default: 1; one a CPU of a cluster)")
    add_cluster_option(parser)
    add("--minari", metavar="NAME", help="also a Minari data set, e.g. dmlab/random-v0")
    add("--out", type=Path, required=True, help="folder for the recordings")
    return parser


def main(argv: list[str] | None = None) -> int:
    """The command.

    Raises:
        ValueError, OSError, RuntimeError: as roll_out.
    """
    parser = _build_parser()
    args = parser.parse_args(argv)
    workers = 1 if args.workers is None else args.workers
    if min(args.episodes, args.steps, workers) < 1 or args.seed < 0:
        parser.error("--episodes, --steps and --workers must be >= 1, --seed >= 0.")
    from worldsim.runtime.cli.rollout import Plan, roll_out

    if args.minari:
        from worldsim.data.minari import check_minari

        check_minari(args.minari)  # before anything is played
    os.environ.setdefault("LP_NUM_THREADS", "0")  # see worldsim/data/collect.py
    if args.cluster and args.world and Path(args.world).is_dir():
        args.world = str(Path(args.world).absolute())
    plan = Plan(
        env=args.env,
        policy=args.policy,
        steps=args.steps,
        folder=args.out.absolute() if args.cluster else args.out,
        options={"world": args.world} if args.world else {},
        script=tuple(name for name in args.actions.split(",") if name),
    )
    seeds = tuple(range(args.seed, args.seed + args.episodes))
    began, frames, there = time.monotonic(), 0, 0
    crew = open_crew(args.cluster, plan.folder)
    workers = count_workers(args.workers, crew, default=1)
    for done, count in enumerate(roll_out(plan, seeds, workers, crew), 1):
        frames, there = frames + count, there + (count == 0)
        rate = frames / (time.monotonic() - began)
        print(f"{done}/{len(seeds)} episodes, {rate:.1f} frames/s", flush=True)
    size = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    new = f"{len(seeds) - there} new episodes, {there} were there already"
    print(f"{args.out}: {new}, {size / 1e6:.1f} MB in all", flush=True)
    if args.minari:
        print(f"{args.minari}: {_export(args.minari, args.out)} episodes for Minari", flush=True)
    return 0


def _export(name: str, folder: Path) -> int:
    from worldsim.actions import load_actions
    from worldsim.data.minari import export
    from worldsim.data.recorded import find_environment, read_episodes

    found = list(read_episodes(folder))
    export(name, found, len(load_actions(found[0].meta.action_set)), find_environment(folder))
    return len(found)


if __name__ == "__main__":
    sys.exit(main())
