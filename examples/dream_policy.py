"""Learn in the dream, walk in the engine: PPO that never sees the maze it is judged in.

    pip install -e '.[agents,maze]'
    python examples/dream_policy.py

The task: get as far as possible from where you start. Its reward is by how much a step raises the
greatest distance from the start, in cells; in a dream by the dreamer's own dead reckoning, in the
engine by the true place. The policy sees 16 x 16 grey pixels, its last action and how far that
carried it.

One policy learns in dreams that start at the world's own spawns, another for as many steps in the
engine, with the same settings. Both are judged in the engine on mazes that nobody trained on,
beside one that acts at random and one that walks on until it is stopped and then turns a while.
Prints a table; the last line is JSON.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cv2
import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv

import worldsim  # noqa: F401  registers the environments
from envs.state import DreamState
from worldsim.world.batching import observe
from worldsim.world.model import WorldModel, load_world
from worldsim.world.snapshot import take

SIDE, STRIDE = 16, 0.38
HELDOUT = 2**30  # no world is trained on mazes of seeds from here on
JUDGED = HELDOUT + 10**6  # and no world's spawns are from here on
BY_HAND = {"autoreset_mode": AutoresetMode.DISABLED}


class Moment(NamedTuple):
    """What N walkers see: frames uint8 `[N,H,W,3]`, poses `[N,3]`."""

    frames: np.ndarray
    poses: np.ndarray


class Course(VecEnv):
    """The task on N environments that tell a pose; all start, and all end, together.

    Args:
        many: makes the frames.
        begin: starts them all anew.
        length: steps an episode has.
    """

    render_mode = None

    def __init__(self, many: VectorEnv, begin: Callable[[], Moment], length: int) -> None:
        self.many, self._begin, self.length = many, begin, length
        self.count = int(many.single_action_space.n)
        seen = gymnasium.spaces.Box(-9, 9, (SIDE * SIDE + self.count + 1,), np.float32)
        super().__init__(many.num_envs, seen, many.single_action_space)

    def reset(self) -> np.ndarray:
        """Start anew."""
        moment = self._begin()
        self.start = self.poses = moment.poses
        self.farthest, self.done = np.zeros(self.num_envs), 0
        return self._seen(moment, np.full(self.num_envs, -1))

    def step_async(self, actions: np.ndarray) -> None:
        """Note what to do."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Do it."""
        frames, *_, info = self.many.step(self._actions)
        seen = self._seen(Moment(frames, info["pose"]), self._actions)
        far = np.linalg.norm(self.poses[:, :2] - self.start[:, :2], axis=1)
        rewards = np.maximum(far - self.farthest, 0)
        self.farthest, self.done = np.maximum(self.farthest, far), self.done + 1
        over = self.done == self.length
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if over:
            for row, told in enumerate(infos):
                told |= {"TimeLimit.truncated": True, "terminal_observation": seen[row]}
                told["episode"] = {"r": self.farthest[row], "l": self.length, "t": 0.0}
            seen = self.reset()
        return seen, rewards.astype(np.float32), np.full(self.num_envs, over), infos

    def _seen(self, moment: Moment, actions: np.ndarray) -> np.ndarray:
        """Observations `[N, ...]`; the pictures' brightness and contrast are taken out."""
        grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in moment.frames]
        small = [cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for one in grey]
        pictures = np.stack(small).reshape(self.num_envs, -1).astype(np.float32)
        pictures -= pictures.mean(1, keepdims=True)
        pictures /= pictures.std(1, keepdims=True) + 4
        moved = np.linalg.norm(moment.poses[:, :2] - self.poses[:, :2], axis=1) / STRIDE
        self.poses = moment.poses.copy()
        did = np.eye(self.count + 1, dtype=np.float32)[actions][:, : self.count]
        return np.concatenate((pictures, did, moved[:, None]), axis=1).astype(np.float32)

    def close(self) -> None:
        """End the environments."""
        self.many.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of this course, once a walker."""
        return [getattr(self, attr_name)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of this course."""
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list:
        """Walkers have no methods of their own."""
        raise NotImplementedError(method_name)

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """No walker is wrapped."""
        return [False] * self.num_envs


def dream_course(
    world: WorldModel, dreams: int, length: int, after: Sequence[int], seed: int
) -> Course:
    """The task in dreams, which start from spawn_moments."""
    many = gymnasium.make_vec("FARDMLab-v0", num_envs=dreams, world=world, **BY_HAND)
    moments, rng = spawn_moments(world, after), np.random.default_rng([seed, 1])

    def begin() -> Moment:
        chosen = rng.integers(len(moments), size=dreams)
        frames, info = many.restore_state([moments[number] for number in chosen])
        return Moment(frames, info["pose"])

    return Course(many, begin, length)


def spawn_moments(world: WorldModel, after: Sequence[int]) -> list[DreamState]:
    """Every spawn after some of its true frames, as moments to dream on from."""
    frames = np.stack([spawn.frames for spawn in world.spawns])
    actions = np.stack([spawn.actions for spawn in world.spawns])
    first, last = min(after), max(after)
    if not 1 <= first <= last <= frames.shape[1]:
        raise ValueError(f"--after must be in [1, {frames.shape[1]}], got {after}.")
    state = world.reset(frames[:, :first], actions[:, : first - 1], range(len(frames)))
    moments = []
    for now in range(first, last + 1):
        if now > first:
            state = observe(world, state, frames[:, now - 1], actions[:, now - 2])
        if now in after:
            memories = [take(state.select([row])) for row in range(len(frames))]
            shown = zip(memories, frames[:, now - 1], strict=True)
            moments += [DreamState(world.hash, memory, frame) for memory, frame in shown]
    return moments


def engine_course(seeds: Callable[[], Sequence[int]], walkers: int, length: int) -> Course:
    """The task in the engine; each start is in a new maze, by the seeds given."""
    many = gymnasium.make_vec(
        "Maze-v0", num_envs=walkers, vectorization_mode="sync", vector_kwargs=BY_HAND
    )

    def begin() -> Moment:
        frames, info = many.reset(seed=[int(seed) for seed in seeds()])
        return Moment(frames, info["pose"])

    return Course(many, begin, length)


def learn(course: Course, steps: int, seed: int) -> PPO:
    """Proximal policy optimisation as it comes, with small batches."""
    model = PPO(
        "MlpPolicy",
        course,
        n_steps=course.length,
        batch_size=min(128, course.length * course.num_envs),
        learning_rate=5e-4,
        gamma=0.95,
        ent_coef=0.01,
        policy_kwargs={"net_arch": [64, 64]},
        seed=seed,
        device="cpu",
    )
    return model.learn(steps)


def judge(act: Callable[[np.ndarray], np.ndarray], seeds: range, length: int) -> list[float]:
    """How far from its start a policy gets in the engine, in cells, once for each seed."""
    found: list[float] = []
    for first in range(0, len(seeds), 20):
        some = seeds[first : first + 20]
        course = engine_course(lambda some=some: some, len(some), length)
        seen, infos = course.reset(), []
        for _ in range(length):
            seen, _, _, infos = course.step(act(seen))
        found += [info["episode"]["r"] for info in infos]
        course.close()
    return found


def at_random(count: int, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """Any action."""
    rng = np.random.default_rng([seed, 2])
    return lambda seen: rng.integers(count, size=len(seen))


def until_stopped(names: Sequence[str], seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """Walks on; where a step carried it less than half its way, turns left a few times."""
    rng, turns = np.random.default_rng([seed, 3]), np.zeros(0, int)
    forward, left = names.index("forward"), names.index("left")

    def act(seen: np.ndarray) -> np.ndarray:
        nonlocal turns
        begins = ~seen[:, SIDE * SIDE : -1].any(axis=1)
        turns = np.zeros(len(seen), int) if begins.any() else turns
        walked = seen[:, SIDE * SIDE + forward] > 0
        stopped = walked & (seen[:, -1] < 0.5)
        turns = np.where(stopped, rng.integers(2, 9, len(seen)), np.maximum(turns - 1, 0))
        return np.where(turns > 0, left, forward)

    return act


def main(argv: list[str] | None = None) -> int:
    """Train both, judge all, print the table."""
    parser = argparse.ArgumentParser(description="Learn in the dream, walk in the engine.")
    add = parser.add_argument
    add("--world", default="dmlab")
    add("--steps", type=int, default=8192, help="frames each policy learns from")
    add("--dreams", type=int, default=16, help="dreams, or mazes, at once")
    add("--length", type=int, default=32, help="steps an episode has")
    add(
        "--after",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[24, 32, 40, 48, 56, 64],
        help="how many of a spawn's true frames dreams start after (default: %(default)s)",
    )
    add("--mazes", type=int, default=100, help="mazes of the engine to be judged in")
    add("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    world, seconds = load_world(args.world), {}
    train_seeds = np.random.default_rng([args.seed, 4])

    def train_mazes() -> np.ndarray:
        return train_seeds.integers(HELDOUT, size=args.dreams)

    policies: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "random": at_random(len(world.actions), args.seed),
        "walk on": until_stopped(world.actions.names, args.seed),
    }
    courses = {
        "dream": lambda: dream_course(world, args.dreams, args.length, args.after, args.seed),
        "engine": lambda: engine_course(train_mazes, args.dreams, args.length),
    }
    for name, make in courses.items():
        began = time.monotonic()
        model = learn(make(), args.steps, args.seed)
        seconds[name] = round(time.monotonic() - began, 1)
        policies[f"PPO, {name}"] = lambda seen, model=model: model.predict(seen)[0]
    found = {}
    mazes = range(JUDGED, JUDGED + args.mazes)
    print(f"cells from the start at best, in {args.length} steps; {args.mazes} mazes of the engine")
    print(f"{'':12}{'mean':>7}{'+-':>6}{'3 cells':>9}")
    for name, act in policies.items():
        far = np.array(judge(act, mazes, args.length))
        found[name] = {
            "mean": float(far.mean()),
            "error": float(far.std() / np.sqrt(len(far))),
            "three": float((far >= 3).mean()),
        }
        row = found[name]
        print(f"{name:12}{row['mean']:7.2f}{row['error']:6.2f}{row['three']:9.0%}", flush=True)
    print(json.dumps({"options": vars(args), "seconds": seconds, "found": found}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
