"""The memory for going back weighs all that it keeps alive, and stays within its budget."""

import gc
import itertools

import numpy as np
import pytest

from envs.world_model import WorldModelEnv
from worldsim.held_memory import measure_bytes
from worldsim.paired import PairedState
from worldsim.runtime.core.state_history import History, Moment, rebase_state
from worldsim.world.model import load_world
from worldsim.world.snapshot import Snapshot


@pytest.fixture
def env(tiny_world):
    env = WorldModelEnv(load_world(tiny_world))
    env.reset(seed=1)
    yield env
    env.close()


def alive():
    """The bytes of every snapshot that exists, also of those that are only another's base."""
    gc.collect()
    return sum(one.nbytes for one in gc.get_objects() if type(one) is Snapshot)


def fill(env, history, steps, first=1):
    for number in range(first, first + steps):
        frame = env.step(number % 4)[0]
        wanted = history.wants_state(number)
        history.add(number, Moment(frame=frame), env.clone_state() if wanted else None)


def test_what_is_kept_alive_is_weighed_and_stays_below_the_budget(env):
    """Dropped snapshots lived on as bases of kept ones, and nobody weighed them."""
    before, state = alive(), env.clone_state()
    budget = 8 * measure_bytes(state)
    history = History(0, Moment(frame=state.frame), state, budget=budget)
    for start in range(1, 250, 50):
        fill(env, history, 50, start)
        assert alive() - before <= history.bytes <= budget
    assert 0 < history.first <= history.last - 32


def test_without_pressure_only_states_that_are_kept_are_alive(env):
    before, state = alive(), env.clone_state()
    whole = measure_bytes(state)
    history = History(0, Moment(frame=state.frame), state)
    fill(env, history, 256)
    kept = len(history._states)
    assert kept == 256 // 32 + 32 // 4  # 0, 32 ... 224, and 228, 232 ... 256
    assert alive() - before <= history.bytes
    chain = sum(measure_bytes(one) for one in history._states.values())
    assert history.bytes < chain / 2  # they share: each alone keeps much more alive
    assert history.bytes < kept * whole


def test_states_that_were_rebased_go_on_exactly(env):
    state = env.clone_state()
    history = History(0, Moment(frame=state.frame), state)
    fill(env, history, 100)
    for number in (0, 32, 64):
        found, state = history.keyframe(number)
        assert found == number
        frame, _ = env.restore_state(state)
        assert np.array_equal(frame, history[number].frame)
        for after in range(number + 1, number + 10):
            assert np.array_equal(env.step(after % 4)[0], history[after].frame)


def test_what_was_cut_is_not_weighed(env):
    state = env.clone_state()
    history = History(0, Moment(frame=state.frame), state)
    fill(env, history, 40)
    before = history.bytes
    fill(env, history, 90, 41)
    history.cut(40)
    assert history.last == 40
    assert history.bytes <= before


def test_states_of_several_parts_are_weighed_and_rebased(env):
    """A pair of a dream and its engine weighed nothing."""
    states = [PairedState(env.clone_state(), ("engine", number)) for number in range(3)]
    history = History(0, Moment(frame=states[0].dream.frame), states[0])
    assert history.bytes >= measure_bytes(states[0]) > states[0].dream.memory.nbytes
    moved = rebase_state(states[2], states[0])
    assert isinstance(moved, PairedState)
    assert moved.dream.memory.base is states[0].dream.memory
    assert moved.engine == ("engine", 2)


def test_states_without_buffers_weigh_what_they_are_said_to():
    numbers = itertools.count()
    how = {"sparse": 8, "dense": 2, "budget": 100, "weigh": lambda state: 10}
    history = History(0, Moment(frame=None), f"state {next(numbers)}", **how)
    for number in range(1, 100):
        history.add(number, Moment(frame=None), f"state {next(numbers)}")
    assert history.bytes == 10 * (len(history._states) + 1) <= 100
