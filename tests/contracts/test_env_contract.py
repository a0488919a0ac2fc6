"""What every environment of ours promises; each test runs on all of them.

A new environment joins by one line in ENVIRONMENTS and passes.
"""

import pickle
import random

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import worldsim  # noqa: F401  registers the environments
from envs.world_model import WorldModelEnv
from tests.support.contract import assert_same, assert_sentence, walk
from tests.support.first_of_two import FirstOfTwo
from worldsim.paired import PairedEnv
from worldsim.registration import list_bundled_dreams
from worldsim.world.model import load_world

# What each needs; those with a space in their name are ours under test, and have no id.
ENVIRONMENTS = {
    "Maze-v0": "engine",
    "Voxel-v0": "voxel_engine",
    **dict.fromkeys(list_bundled_dreams(), None),
    "a tiny dream": "tiny_world",
    "a tiny dream in space": "tiny_spatial_world",
    "a tiny dream of scales in space": "tiny_videoar_spatial_world",
    "a fake dream": "make_fake_world",
    "a fake pair": "paired_world",
    "the first of two dreams": "tiny_world",
}
ACTIONS = [0, 1, 2, 2, 1, 0, 2, 3, 2, 1]
NO_ACTIONS = [-1, 4, 1000, 1.0, 1.5, "left", None, True, [0], np.array([0, 1]), np.float32(1), b"0"]


@pytest.fixture(params=ENVIRONMENTS)
def name(request):
    return request.param


@pytest.fixture
def paired_world(engine, make_fake_world):
    """A fake world that has an engine."""
    world = make_fake_world(size=64)
    world.card.engine = "Maze-v0"
    return world


@pytest.fixture
def make(name, request):
    """Makes new environments of the kind, and closes them."""
    world = request.getfixturevalue(ENVIRONMENTS[name]) if ENVIRONMENTS[name] else None
    world = world() if name == "a fake dream" else world
    made = []

    def make_one(**kwargs):
        if name == "a fake pair":
            made.append(PairedEnv(world, context=3, **kwargs))
        elif name == "the first of two dreams":
            made.append(FirstOfTwo(load_world(world), **kwargs))
        elif " " in name:
            made.append(WorldModelEnv(world, **kwargs))
        else:
            made.append(gymnasium.make(name, **kwargs).unwrapped)
        return made[-1]

    yield make_one
    for env in made:
        env.close()


@pytest.fixture(params=[name for name in ENVIRONMENTS if " " not in name])
def registered(request):
    """The ids."""
    if ENVIRONMENTS[request.param]:
        request.getfixturevalue(ENVIRONMENTS[request.param])
    return request.param


def test_spaces_and_actions_fit_each_other(make):
    env = make()
    frame, info = env.reset(seed=0)
    assert env.observation_space.dtype == np.uint8
    assert env.observation_space.shape == frame.shape
    assert frame.shape[0] == frame.shape[1]
    assert frame.dtype == np.uint8
    assert env.action_space == gymnasium.spaces.Discrete(len(env.actions))
    assert env.metadata["render_fps"] > 0
    assert info["pose"].shape == (3,)
    assert info["pose"].dtype == np.float32


def test_gymnasiums_own_check_passes(registered, display, monkeypatch):
    """Any warning fails the test: a shared array, an info that changes, a render mode."""
    monkeypatch.setenv("DISPLAY", display)
    env = gymnasium.make(registered).unwrapped
    check_env(env)
    env.close()


def test_both_ways_to_make_one_work(registered):
    env = gymnasium.make(f"worldsim:{registered}")
    env.reset(seed=0)
    env.step(0)
    env.close()
    assert gymnasium.spec(registered).to_json()


def test_the_seed_decides_everything(make):
    one, two = make(), make()
    frames = [one.reset(seed=5)[0], *walk(one, ACTIONS)]
    assert_same(frames, [two.reset(seed=5)[0], *walk(two, ACTIONS)])
    assert_same(frames, [one.reset(seed=5)[0], *walk(one, ACTIONS)])
    others = [two.reset(seed=6)[0], *walk(two, ACTIONS)]
    assert any(not np.array_equal(a, b) for a, b in zip(frames, others, strict=True))


def test_a_reset_without_a_seed_goes_on_from_the_last(make):
    one, two = make(), make()
    one.reset(seed=5)
    two.reset(seed=5)
    walk(two, ACTIONS)  # steps draw nothing that a later reset would miss
    second = one.reset()[0]
    assert_same([second], [two.reset()[0]])


def test_frames_are_the_callers_own(make):
    """Writing into a returned frame must not change a later one, nor what is rendered."""
    env, untouched = make(render_mode="rgb_array"), make(render_mode="rgb_array")
    for number in range(3):
        frame = env.reset(seed=1)[0] if number == 0 else env.step(2)[0]
        expected = untouched.reset(seed=1)[0] if number == 0 else untouched.step(2)[0]
        assert_same([frame], [expected])
        frame[:] = 0
        env.render()[:] = 0
        assert_same([env.render()], [expected])


@pytest.mark.filterwarnings("ignore:.*render_mode='ascii'")  # Gymnasium says so too, before us
def test_rendering_shows_the_newest_frame(make):
    env = make(render_mode="rgb_array")
    assert_same([env.reset(seed=1)[0]], [env.render()])
    assert_same([env.step(0)[0]], [env.render()])
    with pytest.raises(ValueError, match="render_mode") as caught:
        make(render_mode="ascii")
    assert_sentence(caught)


def test_the_programs_own_chance_is_left_alone(make):
    """A game beside an agent in training must not shift the agent's random numbers."""
    env = make()
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002  the global generator is what is looked at
    torch.manual_seed(1)
    before = random.getstate(), pickle.dumps(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002
    env.reset(seed=3)
    walk(env, ACTIONS)
    after = random.getstate(), pickle.dumps(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])


@pytest.mark.parametrize("action", NO_ACTIONS, ids=repr)
def test_what_is_no_action_is_refused_and_changes_nothing(make, action):
    env, untouched = make(), make()
    env.reset(seed=2)
    untouched.reset(seed=2)
    with pytest.raises(ValueError, match="action") as caught:
        env.step(action)
    assert_sentence(caught)
    assert_same(walk(env, ACTIONS), walk(untouched, ACTIONS))


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.array])
def test_numbers_of_all_kinds_are_actions(make, kind):
    env, plain = make(), make()
    env.reset(seed=2)
    plain.reset(seed=2)
    assert_same(walk(env, map(kind, ACTIONS)), walk(plain, ACTIONS))


def test_nothing_happens_before_reset_or_after_close(make):
    env = make()
    for call in (lambda: env.step(0), env.render, env.clone_state):
        with pytest.raises(gymnasium.error.ResetNeeded) as caught:
            call()
        assert_sentence(caught)
    env.reset(seed=0)
    state = env.clone_state()
    env.close()
    env.close()
    calls = (lambda: env.step(0), env.reset, env.render, lambda: env.restore_state(state))
    for call in calls:
        with pytest.raises(gymnasium.error.ClosedEnvironmentError) as caught:
            call()
        assert_sentence(caught)


def test_a_restored_state_goes_on_with_the_same_frames(make):
    """And the clone stays good: it is restored twice, also in another environment."""
    env, other = make(), make()
    env.reset(seed=4)
    walk(env, ACTIONS)
    shown = env.step(0)[0]
    clone = env.clone_state()
    future = walk(env, ACTIONS)
    for place in (env, env, other):
        frame, info = place.restore_state(clone)
        assert_same([frame], [shown])
        assert info["pose"].shape == (3,)
        assert_same(walk(place, ACTIONS), future)


def test_a_clone_is_a_fork(make):
    """Another path from the same state must not reach into the first one."""
    env = make()
    env.reset(seed=4)
    clone = env.clone_state()
    future = walk(env, ACTIONS)
    env.restore_state(clone)
    walk(env, [2] * 5)
    later = env.clone_state()
    env.restore_state(clone)
    assert_same(walk(env, ACTIONS), future)
    env.restore_state(later)


@pytest.mark.parametrize("state", [None, 3, {}, np.zeros(3)], ids=repr)
def test_what_is_no_state_is_refused(make, state):
    env = make()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="State") as caught:
        env.restore_state(state)
    assert_sentence(caught)


def test_unknown_options_are_refused(make):
    env = make()
    with pytest.raises(ValueError, match="colour") as caught:
        env.reset(seed=0, options={"colour": "red"})
    assert_sentence(caught)


def test_gymnasiums_player_understands_the_keys(make):
    """It takes `ord` of a text, so a named key such as "left" has to be a number."""
    env = make()
    table = env.get_keys_to_action()
    assert table
    for keys, action in table.items():
        assert action in env.action_space
        assert all(isinstance(key, int) or len(key) == 1 for key in keys)


def test_a_vector_environment_is_its_parts(registered):
    vector = gymnasium.make_vec(registered, num_envs=2, vectorization_mode="sync")
    frames, _ = vector.reset(seed=7)
    stepped = vector.step(np.array([2, 1]))[0]
    for number, action in enumerate([2, 1]):
        single = gymnasium.make(registered)
        assert_same([single.reset(seed=7 + number)[0]], [frames[number]])
        assert_same([single.step(action)[0]], [stepped[number]])
        single.close()
    vector.close()
