"""What every wrapper of ours promises, on a dream of the smallest network and on many orders of
them: it leaves the frames alone, and its rewards follow from the seed.
"""

import threading

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from envs.world_model import WorldModelEnv
from envs.wrappers import EndWhenUnsure, GoalPicture, Novelty, Task
from worldsim.world.model import load_world

ACTIONS = [0, 2, 2, 1, 3, 2]
WRAPPERS = {
    "goal": lambda env, world: GoalPicture(env, world.spawns[1].frames[0]),
    "novelty": lambda env, world: Novelty(env, memory=3),
    "task": lambda env, world: Task(env, lambda step: float(step.frame.mean())),
    "unsure": lambda env, world: EndWhenUnsure(env, above=200.0),
    "all of them": lambda env, world: EndWhenUnsure(
        Task(Novelty(GoalPicture(env, world.spawns[0].frames[0])), lambda step: 1.0), above=200.0
    ),
}


@pytest.fixture(scope="module")
def world(tiny_world):
    return load_world(tiny_world)


@pytest.fixture(params=WRAPPERS)
def make(request, world):
    """Makes wrapped dreams, fresh ones each time."""
    return lambda: WRAPPERS[request.param](WorldModelEnv(world, uncertainty=1), world)


def walk(env, seed):
    """Frames, and what else a walk told."""
    frames, told = [env.reset(seed=seed)[0]], []
    for action in ACTIONS:
        frame, reward, terminated, truncated, _ = env.step(action)
        frames.append(frame)
        told.append((reward, terminated, truncated))
    return np.stack(frames), told


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version")  # that is the point
def test_gymnasiums_own_check_passes(make):
    check_env(make(), skip_render_check=True)


def test_frames_are_those_of_the_dream_and_all_follows_from_the_seed(make, world):
    env = make()
    frames, told = walk(env, 5)
    assert np.array_equal(frames, walk(WorldModelEnv(world), 5)[0])
    for again in (env, make()):
        same_frames, same_told = walk(again, 5)
        assert np.array_equal(same_frames, frames)
        assert same_told == told
    assert all(isinstance(reward, float) for reward, _, _ in told)
    assert all(isinstance(end, bool) for _, *ends in told for end in ends)


def test_a_bad_action_changes_nothing(make):
    env, untouched = make(), make()
    env.reset(seed=2)
    untouched.reset(seed=2)
    with pytest.raises(ValueError, match="action"):
        env.step(7)
    for action in ACTIONS:
        one, other = env.step(action), untouched.step(action)
        assert np.array_equal(one[0], other[0])
        assert one[1:4] == other[1:4]


def test_it_closes_twice_and_then_is_closed(make):
    env = make()
    env.reset(seed=0)
    env.close()
    env.close()
    with pytest.raises(gymnasium.error.ClosedEnvironmentError):
        env.reset()


def test_one_in_each_thread(make):
    expected, found = {seed: walk(make(), seed) for seed in (3, 4)}, {}
    threads = [
        threading.Thread(target=lambda seed=seed: found.update({seed: walk(make(), seed)}))
        for seed in expected
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, (frames, told) in expected.items():
        assert np.array_equal(found[seed][0], frames)
        assert found[seed][1] == told
