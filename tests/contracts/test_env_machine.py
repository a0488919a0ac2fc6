"""Any order of reset, step, clone, restore and close, and ten thousand steps; on all environments.

What the machine compares with is another environment, led to the same moment by its start and its
actions alone.
"""

import gc
import pickle
import threading

import gymnasium
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import worldsim  # noqa: F401  registers the environments
from envs.world_model import WorldModelEnv
from tests.support.first_of_two import FirstOfTwo
from worldsim.evaluate.bench.timing import resident_mb
from worldsim.registration import list_bundled_dreams
from worldsim.world.model import load_world

ACTIONS = st.integers(0, 3)
KINDS = {
    "Maze-v0": "engine",
    "a tiny dream": "tiny_world",
    "a tiny dream in space": "tiny_spatial_world",
    "a fake dream": "make_fake_world",
    "the first of two dreams": "tiny_world",
}


@pytest.fixture(params=KINDS)
def make(request):
    """Makes environments of a kind."""
    need = request.getfixturevalue(KINDS[request.param])
    if request.param == "Maze-v0":
        return lambda: gymnasium.make("Maze-v0").unwrapped
    world = need() if request.param == "a fake dream" else load_world(need)
    kind = FirstOfTwo if request.param == "the first of two dreams" else WorldModelEnv
    return lambda: kind(world)


def machine(make):
    class Environment(RuleBasedStateMachine):
        """An environment, and the way it came: a seed and actions."""

        moments = Bundle("moments")

        @initialize(seed=st.integers(0, 50))
        def begin(self, seed):
            self.env, self.twin, self.closed = make(), make(), False
            self.reset(seed)

        @precondition(lambda self: not self.closed)
        @rule(seed=st.integers(0, 50))
        def reset(self, seed):
            self.frame, _ = self.env.reset(seed=seed)
            self.way = (seed, ())

        @precondition(lambda self: not self.closed)
        @rule(action=ACTIONS)
        def step(self, action):
            self.frame, reward, terminated, truncated, info = self.env.step(action)
            assert (reward, terminated, truncated) == (0.0, False, False)
            assert isinstance(info, dict)
            self.way = (self.way[0], (*self.way[1], action))

        @precondition(lambda self: not self.closed)
        @rule(action=st.sampled_from([-1, 4, 1.5, None]))
        def step_badly(self, action):
            with pytest.raises(ValueError, match="action"):
                self.env.step(action)

        @precondition(lambda self: not self.closed)
        @rule(target=moments)
        def clone(self):
            return self.env.clone_state(), self.way, self.frame.copy()

        @precondition(lambda self: not self.closed)
        @rule(moment=moments, copied=st.booleans())
        def restore(self, moment, copied):
            state, self.way, expected = moment
            state = pickle.loads(pickle.dumps(state)) if copied else state
            self.frame, _ = self.env.restore_state(state)
            assert np.array_equal(self.frame, expected)

        @rule()
        def close(self):
            self.env.close()
            with pytest.raises(gymnasium.error.ClosedEnvironmentError):
                self.env.step(0)
            self.env = make()
            with pytest.raises(gymnasium.error.ResetNeeded):
                self.env.step(0)
            self.closed = True

        @precondition(lambda self: self.closed)
        @rule(seed=st.integers(0, 50))
        def begin_anew(self, seed):
            self.closed = False
            self.reset(seed)

        @precondition(lambda self: not self.closed)
        @invariant()
        def frames_are_frames(self):
            assert self.frame.dtype == np.uint8
            assert self.frame.shape == self.env.observation_space.shape

        def teardown(self):
            """The frame shown last is the one that the start and the actions lead to."""
            if not hasattr(self, "env"):
                return
            if not self.closed:
                seed, actions = self.way
                frame, _ = self.twin.reset(seed=seed)
                for action in actions:
                    frame = self.twin.step(action)[0]
                assert np.array_equal(frame, self.frame)
            self.env.close()
            self.twin.close()

    return Environment


def test_any_order_of_calls_keeps_the_contract(make):
    few = settings(max_examples=12, stateful_step_count=20, deadline=None)
    run_state_machine_as_test(machine(make), settings=few)


@pytest.mark.slow
def test_many_steps_stay_in_the_same_memory(make):
    """A history kept by mistake would fill the memory of a machine that trains over night.

    Those that draw or compute their frames go a fifth of the way: it would take minutes.
    """
    env, rng = make(), np.random.default_rng(0)
    last = 10_000 if type(getattr(env, "world", None)).__name__ == "FakeWorld" else 2_000
    env.reset(seed=0)
    resident = {}
    for number in range(1, last + 1):
        env.step(int(rng.integers(4)))
        if number in (last // 5, last):
            gc.collect()
            resident[number] = resident_mb()
    env.close()
    if resident[last] is not None:
        assert resident[last] - resident[last // 5] < 10  # MB; the engine's frames are 20


def test_an_environment_per_thread(make):
    """Threads may each have one of a world's environments; they share the weights."""
    expected = _walk(make, 3)
    found: dict[int, bytes] = {}

    def work(seed):
        found[seed] = _walk(make, seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (3, 4, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {seed: _walk(make, seed) for seed in (3, 4, 5)}
    assert found[3] == expected


def _walk(make, seed):
    env = make()
    frames = [env.reset(seed=seed)[0], *(env.step(action)[0] for action in (2, 0, 2, 1))]
    env.close()
    return np.stack(frames).tobytes()


@pytest.mark.parametrize("name", ["Maze-v0", "Voxel-v0", "Paired-v0", *list_bundled_dreams()])
def test_a_spec_is_pickled_and_made_again(name):
    spec = pickle.loads(pickle.dumps(gymnasium.spec(name)))
    assert spec == gymnasium.spec(name)
    assert gymnasium.envs.registration.EnvSpec.from_json(spec.to_json()).id == name
