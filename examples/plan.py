"""Walk to a picture by imagining: planning in a world model, judged in the real engine.

    python examples/plan.py --tasks 4 --moves 12 --dreams 12

A task is a maze of the engine, seen on a walk of its own walker (the context), and the picture that
some more steps of that walker would show. The planner sees the context and the picture. At each
move it forks its dream into many, lets each follow a random future, and takes the first action of
the one whose pictures came nearest to the goal's (in the world's latents). Then the engine takes
that action, and its true frame goes on the planner's memory: dreams are for looking ahead only.

Beside it go a random walker and one that stands. What counts is the engine: how much nearer, in
cells, they came to the place the picture was taken from. Prints a table; the last line is JSON.
"""

import argparse
import json
import time

import gymnasium
import numpy as np

import worldsim  # noqa: F401  registers the environments
from envs.state import DreamState
from envs.wrappers import Sight
from worldsim.world.batching import observe
from worldsim.world.model import load_world
from worldsim.world.snapshot import take

CONTEXT, AHEAD = 48, 10
WALKERS = ("planned", "random", "standing")


def task(engine, seed: int) -> tuple[np.ndarray, list[int], np.ndarray, np.ndarray, object]:
    """Context frames and actions, the goal's picture and place, and the engine's state."""
    frame, info = engine.reset(seed=seed)
    walker = engine.walker(np.random.default_rng([seed, 1]))
    frames, actions = [frame], []
    for _ in range(CONTEXT):
        actions.append(walker.act(info["pose"]))
        frame, *_, info = engine.step(actions[-1])
        frames.append(frame)
    state = engine.clone_state()
    for _ in range(AHEAD):
        frame, *_, info = engine.step(walker.act(info["pose"]))
    goal, place = frame, info["pose"][:2]
    engine.restore_state(state)
    return np.stack(frames), actions, goal, place, state


def best_action(dreams, here, goal, sight: Sight, depth: int, rng) -> int:
    """The first action of the random future whose pictures come nearest to the goal's."""
    dreams.restore_state(here)
    count = len(dreams.actions)
    first = np.arange(dreams.num_envs) % count
    actions, nearest = first, np.full(dreams.num_envs, np.inf)
    for _ in range(depth):
        frames = dreams.step(actions)[0]
        far = [sight.distance(sight.latent(frame), goal) for frame in frames]
        nearest = np.minimum(nearest, far)
        # Every action is kept for a while, else a walk of chance goes nowhere.
        new = rng.integers(count, size=dreams.num_envs)
        actions = np.where(rng.random(dreams.num_envs) < 0.4, new, actions)
    return int(first[nearest.argmin()])


def walk(who: str, engine, job, tools, moves: int, depth: int, rng) -> dict[str, float]:
    """Let one walker try a task; how far it was from the goal before and after, and at best."""
    frames, acted, goal, place, state = job
    world, dreams, sight = tools
    apart = [_cells(engine.restore_state(state)[1], place)]
    frame, target = frames[-1], sight.latent(goal)
    if who == "planned":
        memory = world.reset(frames[None], np.array(acted)[None], [int(rng.integers(2**31))])
    stand = engine.actions.id(engine.actions.idle) if engine.actions.idle else None
    for _ in range(moves):
        if who == "planned":
            here = DreamState(world.hash, take(memory), frame)
            action = best_action(dreams, here, target, sight, depth, rng)
        elif who == "random" or stand is None:
            action = int(rng.integers(len(engine.actions)))
        else:
            action = stand
        frame, *_, info = engine.step(action)
        if who == "planned":
            memory = observe(world, memory, frame[None], [action])
        apart.append(_cells(info, place))
    return {"before": apart[0], "after": apart[-1], "nearest": min(apart)}


def _cells(info: dict, place: np.ndarray) -> float:
    return float(np.linalg.norm(info["pose"][:2] - place))


def main(argv: list[str] | None = None) -> int:
    """Run all tasks and print the table."""
    parser = argparse.ArgumentParser(description="Plan in the dream, walk in the engine.")
    parser.add_argument("--world", default="dmlab")
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--moves", type=int, default=12)
    parser.add_argument("--dreams", type=int, default=12, help="futures looked at before a move")
    parser.add_argument("--depth", type=int, default=8, help="frames each of them is long")
    parser.add_argument(
        "--seed", type=int, default=2**30, help="the first maze; held out from there"
    )
    args = parser.parse_args(argv)
    began = time.monotonic()
    engine = gymnasium.make("Maze-v0").unwrapped
    world = load_world(args.world)
    dreams = gymnasium.make_vec("FARDMLab-v0", num_envs=args.dreams, world=world)
    tools = world, dreams, Sight(world)
    found: dict[str, list] = {who: [] for who in WALKERS}
    for seed in range(args.seed, args.seed + args.tasks):
        job = task(engine, seed)
        for who in WALKERS:
            rng = np.random.default_rng([seed, 2])
            found[who].append(walk(who, engine, job, tools, args.moves, args.depth, rng))
    print(f"cells from the goal, mean of {args.tasks} mazes, {args.moves} moves each")
    print(f"{'':10}{'before':>9}{'after':>9}{'nearest':>9}")
    means = {
        who: {name: float(np.mean([one[name] for one in runs])) for name in runs[0]}
        for who, runs in found.items()
    }
    for who, mean in means.items():
        print(
            f"{who:10}" + "".join(f"{mean[name]:9.2f}" for name in ("before", "after", "nearest"))
        )
    seconds = round(time.monotonic() - began, 1)
    print(json.dumps({"options": vars(args), "seconds": seconds, "means": means, "runs": found}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
