"""`worldsim collect`: play an engine with its own walkers and store the episodes.

Episode i of a split is always made from seed (range of the split) + first + i, and the ranges of
train, heldout and tuning don't overlap, so no held-out episode can be trained on. Seeds that are
already stored are skipped: a collection that was stopped goes on where it was, and an episode that
a killed process had in hand is made by another. ::

    worldsim collect --env Maze-v0 --episodes 1200 --steps 300 --workers 2 --out data/maze
    worldsim collect --env Maze-v0 --episodes 100000 --cluster auto --out /shared/data/maze
"""

import argparse
import contextlib
import functools
import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldsim.data.ray_crew import add_cluster_option, count_workers, open_crew
from worldsim.data.workers import Crew, share_out

if TYPE_CHECKING:
    import numpy as np

    from worldsim.types import Episode

SEED_RANGES = {
    "train": range(0, 2**30),
    "heldout": range(2**30, 3 * 2**29),  # what is published is measured here
    "tuning": range(3 * 2**29, 2**31),  # settings are chosen here
}
_TOLD = {"pose": ("poses", "f4"), "depth": ("depths", "f2"), "height": ("heights", "f4")}
_STALE = 3600  # seconds after which a half-written file is left over, not being written


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to collect.

    Attributes:
        env: a Gymnasium id.
        options: JSON-able arguments of the environment.
        steps: actions an episode.
        folder: the split's folder.
        split: "train" or "heldout".
        seeds: one episode each.
        task: `module:function` that judges every step (worldsim/tasks.py); None for the
            environment's own rewards alone.
    """

    env: str
    options: dict[str, Any]
    steps: int
    folder: Path
    split: str
    seeds: tuple[int, ...]
    task: str | None = None


def list_episode_seeds(split: str, first: int, episodes: int) -> tuple[int, ...]:
    """The seeds of a split's episodes `first` to `first + episodes - 1`.

    Raises:
        ValueError: they would leave the split's range.
    """
    seeds = SEED_RANGES[split]
    if first < 0 or episodes < 1 or first + episodes > len(seeds):
        raise ValueError(
            f"--seed {first} with --episodes {episodes} leaves the {len(seeds)} seeds of {split}."
        )
    return tuple(seeds[first : first + episodes])


def play_episode(
    env: Any, seed: int, plan: Plan, seen: Callable[[int], None] = lambda number: None
) -> "Episode":
    """Play one episode; a pure function of the environment, the seed and the steps.

    Args:
        env: an unwrapped environment with `actions` and `info["pose"]`; its own `walker(rng)`
            plays where it has one, else actions are drawn at random.
        seed: of the environment and of the walker.
        plan: steps, names.
        seen: called with the number of every frame while the engine stands there.
    """
    import numpy as np

    from worldsim.tasks import Happened, load_function, nothing, verdict
    from worldsim.types import Episode, EpisodeMeta

    frame, info = env.reset(seed=seed)
    rng = np.random.default_rng([seed, 1])  # not the stream the maze was drawn from
    walker = env.walker(rng) if hasattr(env, "walker") else RandomActions(len(env.actions), rng)
    judge = load_function(plan.task, "--task") if plan.task else nothing
    frames, tellings, actions, rewards = [frame], [_select_info(info)], [], []
    terminated = False
    seen(0)
    for number in range(1, plan.steps + 1):
        actions.append(walker.act(info.get("pose")))
        frame, reward, terminated, truncated, info = env.step(actions[-1])
        step = Happened(frames[-1].copy(), actions[-1], frame.copy(), info)
        gained, over = verdict(judge, step)
        terminated = bool(terminated or over)
        frames.append(frame)
        tellings.append(_select_info(info))
        rewards.append(reward + gained)
        seen(number)
        if terminated or truncated:
            break
    return Episode(
        frames=np.stack(frames),
        actions=np.array(actions, np.int64),
        rewards=np.array(rewards, np.float32),
        **_stack_info(tellings),
        meta=EpisodeMeta(
            source=plan.env,
            action_set=env.actions.name,
            fps=env.metadata["render_fps"],
            seed=seed,
            terminated=terminated,
            extra={"walker": walker.kind, "split": plan.split, "options": plan.options}
            | ({"task": plan.task} if plan.task else {}),
        ),
    )


def _select_info(info: dict[str, Any]) -> dict[str, Any]:
    return {name: info[name] for name in _TOLD if name in info}


def _stack_info(tellings: Sequence[dict[str, Any]]) -> "dict[str, np.ndarray]":
    """What an environment told with every frame, by the name of the episode's array."""
    import numpy as np

    return {
        array: np.stack([telling[name] for telling in tellings]).astype(dtype)
        for name, (array, dtype) in _TOLD.items()
        if all(name in telling for telling in tellings)
    }


class RandomActions:
    """The walker of an environment that brings none: any action, each kept for a while."""

    kind = "uniform"

    def __init__(self, actions: int, rng: Any) -> None:
        self._actions, self._rng = actions, rng
        self._action = int(rng.integers(actions))

    def act(self, pose: Any) -> int:
        """The next action; the pose is not looked at."""
        if self._rng.random() < 0.25:
            self._action = int(self._rng.integers(self._actions))
        return self._action


def list_missing_seeds(plan: Plan) -> tuple[int, ...]:
    """The plan's seeds that have no episode yet; also clears away what killed writers left.

    Raises:
        ValueError: some have none, and the folder is packed.
    """
    from worldsim.data.store import EpisodeStore

    for path in plan.folder.glob(".writing-*.tmp"):
        with contextlib.suppress(FileNotFoundError):  # its writer may finish at any moment
            if time.time() - path.stat().st_mtime > _STALE:
                path.unlink()
    store = EpisodeStore(plan.folder)
    done = store.seeds()
    missing = tuple(seed for seed in plan.seeds if seed not in done)
    if missing:
        store.check_writable()
    return missing


def collect(
    plan: Plan, seeds: tuple[int, ...], workers: int = 1, crew: Crew | None = None
) -> Iterator[int]:
    """Play and store one episode for each seed.

    Closing the iterator ends the workers after the episode in hand; every stored file is whole.

    Yields:
        The number of frames of each episode as it is stored.

    Raises:
        ValueError: no such environment.
        ImportError: what the engine needs is not installed.
        RuntimeError: workers died over the same episode.
    """
    if crew is None and min(workers, len(seeds)) <= 1:
        return _play_all(plan, seeds)
    return share_out(functools.partial(_play_all, plan), seeds, workers, crew)


def _play_all(plan: Plan, seeds: Iterable[int]) -> Generator[int]:
    # Mesa's software renderer: more threads than its caller's only get in the way at this size
    os.environ.setdefault("LP_NUM_THREADS", "0")
    from worldsim.data.store import EpisodeStore

    env = _make(plan)
    store = EpisodeStore(plan.folder)
    try:
        for seed in seeds:
            episode = play_episode(env, seed, plan)
            store.append(episode, once=True)  # another collection may have been faster
            yield len(episode.frames)
    finally:
        env.close()


def _make(plan: Plan) -> Any:
    import gymnasium

    import worldsim  # noqa: F401  registers the environments

    try:
        return gymnasium.make(plan.env, disable_env_checker=True, **plan.options).unwrapped
    except (gymnasium.error.Error, TypeError) as error:  # TypeError: it knows no such option
        raise ValueError(f"--env {plan.env}: {error}") from error


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="worldsim collect",
        description="Play an engine and store the episodes; goes on where it was stopped.",
    )
    parser.add_argument("--env", default="Maze-v0", help="Gymnasium id (default: %(default)s)")
    parser.add_argument("--episodes", type=int, default=1200, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=300, help="actions an episode")
    parser.add_argument("--size", type=int, help="pixels a side (default: the environment's)")
    parser.add_argument("--depth", action="store_true", help="store how far all that is seen lies")
    parser.add_argument("--workers", type=int, help="processes (default: one a CPU)")
    add_cluster_option(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder; the split goes below it")
    parser.add_argument("--split", choices=tuple(SEED_RANGES), default="train")
    parser.add_argument("--task", help="module:function that judges steps: (rewards, over)")
    parser.add_argument("--seed", type=int, default=0, help="number of the split's first seed")
    return parser


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit status: 0 done, 2 bad arguments, 130 interrupted."""
    parser = _build_parser()
    args = parser.parse_args(argv)
    if args.steps < 1 or (args.workers is not None and args.workers < 1):
        parser.error("--steps and --workers must be >= 1.")
    try:
        seeds = list_episode_seeds(args.split, args.seed, args.episodes)
    except ValueError as error:
        parser.error(str(error))
    plan = Plan(
        env=args.env,
        options={
            name: value
            for name, value in (("size", args.size), ("depth", args.depth))
            if value not in (None, False)
        },
        steps=args.steps,
        folder=(args.out.absolute() if args.cluster else args.out) / args.split,
        split=args.split,
        seeds=seeds,
        task=args.task,
    )
    try:
        check_plan(plan)
        crew = open_crew(args.cluster, plan.folder)
        workers = count_workers(args.workers, crew, default=os.cpu_count() or 1)
        run_plan(plan, workers, crew)
    except KeyboardInterrupt:
        print("\nstopped; what is stored is whole, the same command goes on from here.")
        return 130
    except (ValueError, ImportError, OSError, RuntimeError) as error:
        parser.error(str(error))
    return 0


def check_plan(plan: Plan) -> None:
    """Refuse what cannot be collected before a folder is made.

    Raises:
        ValueError, ImportError: no such environment or task, or its engine is not installed.
    """
    from worldsim.tasks import load_function

    if plan.task:
        load_function(plan.task, "--task")
    _make(plan).close()


def run_plan(plan: Plan, workers: int, crew: Crew | None = None) -> None:
    """Collect what is not there yet, and tell of progress; raises as `collect` does."""
    seeds = list_missing_seeds(plan)
    start = said = time.monotonic()
    frames, pause, end = 0, *((0.2, "\r") if sys.stdout.isatty() else (10, "\n"))
    with contextlib.closing(collect(plan, seeds, workers, crew)) as running:
        for done, count in enumerate(running, 1):
            frames += count
            now = time.monotonic()
            if now - said < pause and done < len(seeds):
                continue
            said, rate = now, frames / (now - start)
            left = (len(seeds) - done) * frames / done / rate
            line = f"{plan.split} {done}/{len(seeds)}: {rate:.0f} frames/s, {left:.0f} s left"
            print(f"{line:<60}", end=end, flush=True)
    skipped = len(plan.seeds) - len(seeds)
    print(f"{plan.folder}: {len(seeds)} new episodes, {skipped} were there already.", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
