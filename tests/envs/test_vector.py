"""Many dreams in one batch: each is the single environment, in every way of starting anew."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from envs.vector import DreamVectorEnv
from envs.world_model import WorldModelEnv
from worldsim.world.model import load_world

N = 3


@pytest.fixture(
    scope="module", params=["tiny_world", "tiny_spatial_world", "tiny_videoar_spatial_world"]
)
def world(request):
    return load_world(request.getfixturevalue(request.param))


@pytest.fixture
def dreams(world):
    dreams = DreamVectorEnv(N, world)
    yield dreams
    dreams.close()


def assert_same(these, those, where=""):
    """Equal results of a reset or step, whatever is nested in them."""
    assert type(these) is type(those), where
    if isinstance(these, dict):
        assert set(these) == set(those), where
        for name in these:
            assert_same(these[name], those[name], f"{where}.{name}")
    elif isinstance(these, tuple):
        for number, pair in enumerate(zip(these, those, strict=True)):
            assert_same(*pair, f"{where}[{number}]")
    elif these.dtype == object:
        for number, pair in enumerate(zip(these, those, strict=True)):
            if any(one is not None for one in pair):
                assert np.array_equal(*pair), f"{where}[{number}]"
    else:
        assert these.dtype == those.dtype, where
        assert np.array_equal(these, those), where


@pytest.mark.parametrize("uncertainty", [0, 2])
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_it_is_gymnasiums_own_vector_of_single_ones(world, mode, uncertainty):
    """All that is returned, types and infos included, with dreams that end at different steps."""
    lengths, doubting = [4, 6, 3], {"uncertainty": uncertainty}

    def one(length):
        return lambda: gymnasium.wrappers.TimeLimit(WorldModelEnv(world, **doubting), length)

    sync = SyncVectorEnv([one(length) for length in lengths], autoreset_mode=mode)
    dreams = DreamVectorEnv(N, world, lengths, mode, **doubting)
    assert dreams.observation_space == sync.observation_space
    assert dreams.action_space == sync.action_space
    assert_same(dreams.reset(seed=5), sync.reset(seed=5))
    rng = np.random.default_rng(0)
    for number in range(14):
        actions = rng.integers(0, 4, N)
        assert_same(dreams.step(actions), sync.step(actions), f"step {number}")
    assert_same(dreams.reset(), sync.reset())
    assert dreams.np_random_seed == sync.np_random_seed


def test_a_mask_starts_some_anew_and_leaves_the_others(world):
    mask, actions = np.array([True, False, True]), np.array([2, 1, 0])
    sync = SyncVectorEnv([lambda: WorldModelEnv(world)] * N, autoreset_mode=AutoresetMode.DISABLED)
    dreams = DreamVectorEnv(N, world, autoreset_mode="Disabled")
    for vector in (sync, dreams):
        vector.reset(seed=[3, 1, 4])
        vector.step(actions)
    results = [
        vector.reset(seed=[8, None, 9], options={"reset_mask": mask, "spawn": 1})
        for vector in (dreams, sync)
    ]
    assert_same(*results)
    assert_same(dreams.step(actions), sync.step(actions))


def test_without_autoreset_a_dream_that_is_over_wants_a_reset(world):
    dreams = DreamVectorEnv(N, world, max_episode_steps=[1, 5, 5], autoreset_mode="Disabled")
    dreams.reset(seed=0)
    assert dreams.step([0] * N)[3].tolist() == [True, False, False]
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"\[0\] are over"):
        dreams.step([0] * N)
    dreams.reset(options={"reset_mask": np.array([True, False, False])})
    assert dreams.step([0] * N)[4]["frame"].tolist() == [1, 2, 2]


def test_every_dream_has_its_spawn(dreams, world):
    frames, _ = dreams.reset(seed=0, options={"spawn": [2, 0, 1]})
    assert np.array_equal(frames, [world.spawns[number].frames[-1] for number in (2, 0, 1)])


def test_the_engine_makes_a_start(engine, bundled_world, monkeypatch):
    """Both kinds of environment start where the engine's own walker goes from a seed."""
    monkeypatch.setattr("envs.start.WALK", 4)  # a second less
    dreams, one = DreamVectorEnv(2, bundled_world), WorldModelEnv(bundled_world)
    frames, _ = dreams.reset(seed=1, options={"engine_seed": [2**30, 2**30 + 1]})
    assert not np.array_equal(*frames)
    frame, _ = one.reset(seed=1, options={"engine_seed": 2**30})
    assert np.array_equal(frame, frames[0])
    env = gymnasium.make("Maze-v0").unwrapped
    env.reset(seed=2**30)
    for action in one.context.actions:
        truth = env.step(action)[0]
    assert np.array_equal(frame, truth)
    with pytest.raises(ValueError, match="engine_seed must be an integer >= 0"):
        one.reset(options={"engine_seed": -1})
    with pytest.raises(ValueError, match="must be a spawn, an engine_seed, or"):
        one.reset(options={"engine_seed": 1, "spawn": 2})


def test_frames_of_ones_own_start_every_dream(dreams, world):
    spawn = world.spawns[1]
    own = {"frames": spawn.frames, "actions": spawn.actions}
    one = WorldModelEnv(world)
    frames, _ = dreams.reset(seed=4, options=own)
    stepped = dreams.step([2] * N)[0]
    for row in range(N):
        assert np.array_equal(one.reset(seed=4 + row, options=own)[0], frames[row])
        assert np.array_equal(one.step(2)[0], stepped[row])


def test_states_travel_between_the_one_and_the_many(dreams, world):
    one = WorldModelEnv(world)
    one.reset(seed=9)
    one.step(2)
    moment = one.clone_state()
    frames, info = dreams.restore_state(moment)
    assert np.array_equal(frames, [moment.frame] * N)
    assert info["frame"].tolist() == [1] * N
    fan = dreams.step([0, 1, 2])[0]
    for action, state, frame in zip(range(3), dreams.clone_state(), fan, strict=True):
        one.restore_state(moment)
        assert np.array_equal(one.step(action)[0], frame)
        following = one.step(1)[0]
        one.restore_state(state)
        assert np.array_equal(one.step(1)[0], following)


def test_a_clone_of_all_goes_on_alike(dreams):
    dreams.reset(seed=2)
    dreams.step([0, 1, 2])
    moments = dreams.clone_state()
    future = [dreams.step([2, 2, 1])[0] for _ in range(3)]
    dreams.restore_state(moments)
    assert np.array_equal([dreams.step([2, 2, 1])[0] for _ in range(3)], future)


def test_nothing_happens_before_reset_or_after_close(world):
    dreams = DreamVectorEnv(N, world, render_mode="rgb_array")
    mask = {"reset_mask": np.array([True, False, False])}
    calls = [lambda: dreams.step([0] * N), dreams.clone_state, dreams.render]
    for call in [*calls, lambda: dreams.reset(options=mask)]:
        with pytest.raises(gymnasium.error.ResetNeeded):
            call()
    frames, _ = dreams.reset(seed=0)
    assert np.array_equal(dreams.render(), frames)
    frames[:] = 0
    assert dreams.render()[0].any()
    dreams.close()
    dreams.close()
    for call in [*calls, dreams.reset]:
        with pytest.raises(gymnasium.error.ClosedEnvironmentError):
            call()


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        (lambda d, w: DreamVectorEnv(0, w), "num_envs must be an integer >= 1, got 0"),
        (
            lambda d, w: DreamVectorEnv(2, w, max_episode_steps=0),
            "max_episode_steps must be an integer",
        ),
        (lambda d, w: DreamVectorEnv(2, w, max_episode_steps=[1]), "max_episode_steps must be"),
        (lambda d, w: DreamVectorEnv(2, w, render_mode="human"), "render_mode must be"),
        (lambda d, w: DreamVectorEnv(2, w, steps=3), "steps must be"),
        (lambda d, w: d.reset(seed=[1, 2]), "seed must be one integer or 3, one per dream, got 2"),
        (
            lambda d, w: d.reset(options={"spawn": [1, 2]}),
            "spawn must be one value or 3, one per dream, got 2",
        ),
        (lambda d, w: d.reset(options={"spawn": [0, 1, 9]}), "spawn must be an integer"),
        (lambda d, w: d.reset(options={"colour": 1}), "colour"),
        (lambda d, w: d.reset(options={"reset_mask": [True] * 3}), "reset_mask must be"),
        (lambda d, w: d.reset(options={"reset_mask": np.zeros(3, bool)}), "at least one"),
        (lambda d, w: d.step([0, 1]), "actions must be 3 integers, one per dream"),
        (lambda d, w: d.step([0, 1, 7]), "action must be an integer"),
        (lambda d, w: d.restore_state([3, 4, 5]), "state must be a DreamState"),
        (lambda d, w: d.restore_state([3]), "states must be 3, one per dream, got 1"),
    ],
)
def test_what_does_not_fit_is_one_sentence_and_changes_nothing(dreams, world, how, sentence):
    dreams.reset(seed=1)
    moments = dreams.clone_state()
    expected = dreams.step([2, 2, 2])[0]
    dreams.restore_state(moments)
    with pytest.raises(ValueError, match=sentence) as caught:
        how(dreams, world)
    assert "\n" not in str(caught.value)
    assert np.array_equal(dreams.step([2, 2, 2])[0], expected)


def test_make_vec_makes_it(tiny_world):
    dreams = gymnasium.make_vec(
        "FARDMLab-v0", num_envs=2, world=str(tiny_world), max_episode_steps=3
    )
    assert isinstance(dreams, DreamVectorEnv)
    assert dreams.lengths.tolist() == [3, 3]
    dreams.reset(seed=0)
    assert dreams.step(dreams.action_space.sample())[0].shape == (2, 16, 16, 3)
    dreams.close()
