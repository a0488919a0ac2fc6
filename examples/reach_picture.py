"""Go back to the place of a shown picture: planned in the dream, walked and judged in the engine.

    python examples/reach_picture.py          # some minutes of a core; --quick: some seconds

The engine's own walker leads an agent through an unseen maze, and a dream takes in what it sees
(`Paired-v0`). Then the agent is shown a picture of a place that it passed a while ago, looking up
to 45 degrees aside from how it looked there. It is to go there, and to end when it has arrived.

The planner takes the places whose remembered frames are most like the picture, forks the dream into
one future each, which follows the ways walked to there and looks round, and does for a few moves
what the future does whose dreamt frame is the most like the picture. The engine's true frames go on
its dream, and it plans anew. It ends at that frame, or when no future shows the picture better.

Beside it: the same planner whose dream began at the newest frame (no memory of the maze); the same
one, shown a picture of another maze; the strides since the remembered frame most like the picture,
reversed; actions at random. Prints means and 95 % intervals over mazes; the last line is JSON.
"""

import argparse
import itertools
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np

import worldsim  # noqa: F401  registers the environments
from worldsim.evaluate.bootstrap import interval
from worldsim.evaluate.metrics import psnr
from worldsim.paired import PairedEnv, PairedState
from worldsim.poses import relative_poses, with_heights
from worldsim.walked_ways import WalkedWays

FIRST = 2**30 + 10**6  # no world is trained on mazes of seeds from here on, nor starts there
WALKED = 64  # steps before the task
AWAY = 1.5  # cells from the goal at the start, at least
NEAR, ASIDE = 0.6, math.radians(23)  # cells and angle within which a place, or a view, is reached
HOP = 0.8  # cells between two places with no wall in between
AGENTS = ("planned", "no memory", "other picture", "reversed", "random")
LEFT, RIGHT, FORWARD = range(3)
STRIDE, TURN = 0.38, math.tau / 16
SHIFTS = {0: 0, 1: 2, -1: -2, 2: 5, -2: -5}  # actions to the left: columns of 8 a view moves by


class Task(NamedTuple):
    """A walk of T steps, the moment after it, and the goal: a picture, and the pose it shows."""

    start: PairedState
    frames: np.ndarray
    actions: list[int]
    poses: np.ndarray  # [T+1,3], as the dreamer tells them
    picture: np.ndarray
    place: np.ndarray


def make_tasks(pair: PairedEnv, least: int, most: int) -> Iterator[Task]:
    """Tasks in the mazes from FIRST on, back to places that were passed `least` to `most` frames
    ago; mazes whose walker stays too near are left out.
    """
    for seed in itertools.count(FIRST):
        rng, walker_rng = np.random.default_rng([seed, 2]), np.random.default_rng([seed, 1])
        frame, info = pair.reset(seed=seed, options={"engine_seed": seed})
        walker, actions = pair.engine.walker(walker_rng), []
        frames, infos, moments = [frame], [info], [pair.engine.clone_state()]
        for _ in range(WALKED):
            actions.append(walker.act(info["truth_pose"]))
            frame, info = pair.observe(actions[-1])
            frames.append(frame)
            infos.append(info)
            moments.append(pair.engine.clone_state())
        start, poses = pair.clone_state(), np.stack([info["pose"] for info in infos])
        true = np.stack([info["truth_pose"] for info in infos])
        away = np.linalg.norm(true[:, :2] - true[-1, :2], axis=1)
        goals = [WALKED - ago for ago in range(least, most + 1) if away[WALKED - ago] >= AWAY]
        if not goals:
            continue
        picture, info = pair.engine.restore_state(moments[rng.choice(goals)])
        for action in [int(rng.choice((LEFT, RIGHT)))] * int(rng.integers(3)):
            picture, *_, info = pair.engine.step(action)
        yield Task(start, np.stack(frames), actions, poses, picture, info["pose"])


def measure(frames: np.ndarray, picture: np.ndarray, shift: int = 0) -> np.ndarray:
    """How unlike a picture frames are, `[N]`, at 8 x 8 pixels (places a stride apart look alike),
    of which the picture shows its right ones at the frames' left, shifted by so many.
    """
    small, goal = (
        some.reshape(len(some), 8, 8, 8, 8, 3).mean(axis=(2, 4)) for some in (frames, picture[None])
    )
    mine, its = max(0, -shift), max(0, shift)
    apart = small[:, :, mine : 8 - its] - goal[:, :, its : 8 - mine]
    return np.sqrt(np.square(apart).mean(axis=(1, 2, 3)) * 8 / (8 - abs(shift)))


def recognise(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """How unlike the picture each frame of the walk is, if turned by so many actions to the left
    (negative: right); both `[T+1]`.
    """
    unlike = np.stack([measure(task.frames, task.picture, shift) for shift in SHIFTS.values()])
    return unlike.min(axis=0), np.array(list(SHIFTS))[unlike.argmin(axis=0)]


def plan(
    pair: PairedEnv, dreams: Any, ways: WalkedWays, task: Task, depth: int
) -> list[tuple[int, np.ndarray]]:
    """Actions, each with its dreamt frame, whose last is most like the picture; none where the
    dreams' start is more so.
    """
    here, taken, dreamt, unlike = pair.dream.clone_state(), [], [], []
    _, info = dreams.restore_state(here)
    likely, turns = recognise(task)
    targets: list[int] = []
    for place in likely.argsort().tolist():
        apart = np.linalg.norm(ways.poses[[*targets, place], :2] - ways.poses[place, :2], axis=1)
        if len(targets) < dreams.num_envs and (apart[:-1] > STRIDE).all():
            targets.append(place)
    looks = np.full(dreams.num_envs, -1)
    for _ in range(depth):
        actions = np.full(dreams.num_envs, LEFT)
        for row, target in enumerate(targets):
            action = ways.choose(info["pose"][row], target) if looks[row] < 0 else looks[row]
            if action is None:  # it is there, and looks round, first where the picture may be
                angle = ways.poses[target, 2] + turns[target] * TURN - info["pose"][row][2]
                action = looks[row] = LEFT if math.remainder(angle, math.tau) > 0 else RIGHT
            actions[row] = action
        frames, *_, info = dreams.step(actions)
        taken.append(actions)
        dreamt.append(frames)
        unlike.append(measure(frames, task.picture))
    enough = 1.1 * np.min(unlike) + 1  # sooner is better than a little more alike
    if measure(here.frame[None], task.picture) <= enough:
        return []
    when = int((np.min(unlike, axis=1) <= enough).argmax())
    best = np.argmin(unlike[when])
    return [(int(taken[at][best]), dreamt[at][best]) for at in range(when + 1)]


def reverse(task: Task) -> list[int]:
    """The strides since the frame most like the picture, backwards; then a turn as it looks."""
    likely, turns = recognise(task)
    seen = int(likely.argmin())
    turned = np.cumsum([0] + [(one == LEFT) - (one == RIGHT) for one in task.actions])
    strode = [at for at in range(seen, WALKED) if task.actions[at] == FORWARD][::-1]
    stops = [(turned[at] + 8, 1) for at in strode] + [(turned[seen] + turns[seen], 0)]
    way, now = [], turned[-1]
    for heading, strides in stops:
        turn = (heading - now + 8) % 16 - 8  # sixteenths of a circle
        way += [LEFT if turn > 0 else RIGHT] * abs(turn) + [FORWARD] * strides
        now = heading
    return way


def act(who: str, task: Task, pair: PairedEnv, dreams: Any, args: Any) -> Iterator:
    """Actions of an agent, each with the frame that it dreamt of it, if any."""
    if who in ("random", "reversed"):
        anything = np.random.default_rng(0).integers(3, size=args.moves)
        way = anything if who == "random" else reverse(task)
        yield from ((int(action), None) for action in way)
        return
    poses = task.poses
    if who == "no memory":  # the last frame is the dream's first, so poses are told from there
        pair.dream.reset(seed=0, options={"frames": task.frames[-1:], "actions": []})
        poses = relative_poses(with_heights(poses[::-1], None))[::-1, :3]
    ways = WalkedWays(poses, pair.actions, HOP)
    arrived = False
    while not arrived:
        steps = plan(pair, dreams, ways, task, args.depth)
        yield from steps[: args.follow]
        arrived = len(steps) <= args.follow


def walk(who: str, task: Task, pair: PairedEnv, dreams: Any, args: Any) -> dict[str, float | None]:
    """Let an agent try a task; what came of it."""
    _, info = pair.restore_state(task.start)
    alike, moves = [], 0
    for action, dreamt in itertools.islice(act(who, task, pair, dreams, args), args.moves):
        frame, info = pair.observe(action)
        alike += [] if dreamt is None else [psnr(dreamt, frame)]
        moves += 1
    east, north, turn = info["truth_pose"] - task.place
    cells, angle = math.hypot(east, north), abs(math.remainder(turn, math.tau))
    return {
        "arrived": float(cells <= NEAR),
        "and looks": float(cells <= NEAR and angle <= ASIDE),
        "cells left": cells,
        "moves": float(moves),
        "dB of plans": float(np.mean(alike)) if alike else None,
    }


def main(argv: list[str] | None = None) -> int:
    """Let all agents try all tasks, print the table."""
    parser = argparse.ArgumentParser(description="Go back to the place of a shown picture.")
    add = parser.add_argument
    add("--mazes", type=int, default=11)
    add("--ago", type=int, nargs=2, default=(12, 24), help="frames since the goal, least and most")
    add("--moves", type=int, default=44, help="most that an agent may take")
    add("--dreams", type=int, default=4, help="futures looked at for a plan")
    add("--depth", type=int, default=36, help="frames each of them is long")
    add("--follow", type=int, default=16, help="moves before it plans anew")
    add("--out", type=Path, help="a file for the last line, written after every maze")
    add("--quick", action="store_true", help="two mazes, and little of all else")
    args = parser.parse_args(argv)
    if not 1 <= args.ago[0] <= args.ago[1] <= WALKED:
        parser.error(f"--ago must be two numbers in [1, {WALKED}], the least first.")
    if args.quick:
        args.mazes, args.moves, args.dreams, args.depth, args.follow = 2, 4, 2, 4, 2
    pair = gymnasium.make("Paired-v0", world="dmlab", context=0).unwrapped
    dreams = gymnasium.make_vec("FARDMLab-v0", num_envs=args.dreams, world=pair.world)
    began, runs = time.monotonic(), {who: [] for who in AGENTS}
    tasks = list(itertools.islice(make_tasks(pair, *args.ago), args.mazes))
    for number, task in enumerate(tasks):
        for who, own in runs.items():
            other = tasks[number - 1].picture if who == "other picture" else task.picture
            own.append(walk(who, task._replace(picture=other), pair, dreams, args))
        means = {
            who: {
                name: interval(np.array([run[name] for run in own], float))
                for name in own[0]
                if any(run[name] is not None for run in own)  # who does not dream has no dB
            }
            for who, own in runs.items()
        }
        found = {"options": vars(args), "seconds": time.monotonic() - began, "runs": runs}
        line = json.dumps(found | {"means": means}, default=str)
        if args.out:
            args.out.write_text(line + "\n", encoding="utf-8")
    print(f"{'':14}" + "".join(f"{name:>22}" for name in means["planned"]))
    for who, row in means.items():
        cells = (f"{mean:.2f} [{low:.2f}, {high:.2f}]" for mean, low, high in row.values())
        print(f"{who:14}" + "".join(f"{cell:>22}" for cell in cells))
    print(line)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
