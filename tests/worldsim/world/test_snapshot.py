"""Moments that share their memory: exact, independent, and as small as what differs."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from envs.world_model import WorldModelEnv
from worldsim.world.model import load_world
from worldsim.world.snapshot import DEPTH, recall, take


@pytest.fixture
def world(tiny_world):
    return load_world(tiny_world)


@pytest.fixture
def env(world):
    env = WorldModelEnv(world)
    env.reset(seed=0)
    yield env
    env.close()


def walk(env, actions):
    return [env.step(action)[0] for action in actions]


def test_a_chain_of_moments_is_exact_at_every_link(env, world):
    """Deeper than bases are walked through, so that the chain begins anew on the way."""
    kept = []
    for number in range(DEPTH + 4):
        kept.append((env.clone_state(), env._state.fork()))
        env.step(number % 3)
    assert max(moment.memory.depth for moment, _ in kept) == DEPTH
    for moment, state in kept:
        found = recall(world, moment.memory)
        assert (found.seeds, found.counts) == (state.seeds, state.counts)
        expected, got = state.carry.tensors(), found.carry.tensors()
        assert all(torch.equal(got[name], expected[name]) for name in expected)


def test_a_recalled_state_does_not_write_into_its_moment(env, world):
    moment = env.clone_state()
    first = recall(world, moment.memory)
    future = [world.step(first, [2])[1] for _ in range(4)]
    second = recall(world, moment.memory)
    assert np.array_equal([world.step(second, [2])[1] for _ in range(4)], future)


def test_a_thousand_forks_cost_what_differs(env):
    """Whole copies of a thousand moments would fill the memory of a machine."""
    root = env.clone_state()
    whole = root.memory.nbytes
    tree = [root]
    for number in range(1000):
        env.restore_state(tree[number // 4])
        if number % 50 == 0:
            env.step(number % 3)
        tree.append(env.clone_state())
    same = [moment.memory.nbytes for moment in tree[1:]]
    assert min(same) == 0
    assert sum(same) < 20 * whole


def test_copies_and_pickles_go_on_alike(env, world):
    env.step(2)
    env.clone_state()
    env.step(1)
    moment = env.clone_state()
    future = walk(env, [0, 2, 2])
    assert moment.memory.base is not None
    for other in (copy.deepcopy(moment), copy.copy(moment), pickle.loads(pickle.dumps(moment))):
        env.restore_state(other)
        assert np.array_equal(walk(env, [0, 2, 2]), future)
    assert pickle.loads(pickle.dumps(moment)).memory.base is None


def test_a_pickle_goes_on_in_another_process(env, tiny_world, tmp_path):
    env.step(2)
    (tmp_path / "moment").write_bytes(pickle.dumps(env.clone_state()))
    np.save(tmp_path / "future", walk(env, [0, 2, 2]))
    code = f"""
import pickle, numpy as np
from pathlib import Path
from envs.world_model import WorldModelEnv
here = Path({str(tmp_path)!r})
env = WorldModelEnv({str(tiny_world)!r})
env.restore_state(pickle.loads((here / "moment").read_bytes()))
frames = [env.step(action)[0] for action in (0, 2, 2)]
assert np.array_equal(frames, np.load(here / "future.npy"))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_a_base_of_another_batch_is_not_used(world):
    spawn = world.spawns[0]
    one = world.reset(spawn.frames[None], spawn.actions[None], [0])
    two = one.select([0, 0])
    assert take(two, take(one)).base is None


def test_a_moment_of_another_world_is_refused(env, make_fake_world):
    other = WorldModelEnv(make_fake_world(name="other"))
    other.reset(seed=0)
    with pytest.raises(ValueError, match="belongs to the world"):
        env.restore_state(other.clone_state())
