"""What environments with continuous actions promise; each test runs on all that have them."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import worldsim  # noqa: F401  registers the environments
from envs.maze.engine import MazeEnv
from envs.vector import DreamVectorEnv
from envs.voxel.engine import VoxelEnv
from envs.world_model import WorldModelEnv
from tests.support.contract import assert_same, assert_sentence, walk
from worldsim.controls import name_controls
from worldsim.paired import PairedEnv
from worldsim.registration import list_bundled_dreams
from worldsim.world.model import load_world

KINDS = (
    "a tiny dream in space",
    "a tiny dream of scales in space",
    "the maze",
    "the land",
    "a pair",
)
CONTROLS = np.array(
    [[7.5, 0.5], [-20, 1], [0, 0.25], [3, 0], [0, 1], [20, 0], [-0.5, 0.9]], np.float32
)
ENGINES = {"Maze-v0": "engine", "Voxel-v0": "voxel_engine"}
NO_CONTROLS = [[30.0, 0.0], [0.0, 1.5], [0.0, -0.1], [np.nan, 0.0], [0.0], [0.0] * 3, 1.5]


@pytest.fixture(params=KINDS)
def make(request):
    """Makes new environments of the kind, and closes them."""
    kind, made = request.param, []
    fixtures = {KINDS[1]: "tiny_videoar_spatial_world", "the land": "voxel_engine"}
    fixtures |= {"the maze": "engine", "a pair": "engine"}
    world = request.getfixturevalue(fixtures.get(kind, "tiny_spatial_world"))

    def make_one(**kwargs):
        kwargs = {"continuous": True} | kwargs
        if kind == "the maze":
            made.append(MazeEnv(**kwargs))
        elif kind == "the land":
            made.append(VoxelEnv(**kwargs))
        elif kind == "a pair":
            made.append(PairedEnv("dmlab", context=2, **kwargs))
        else:
            made.append(WorldModelEnv(world, **kwargs))
        return made[-1]

    yield make_one
    for env in made:
        env.close()


def test_the_space_is_a_box_of_what_the_card_allows(make):
    env = make()
    most = 20 if isinstance(env, VoxelEnv) else 22.5
    low, high = np.float32([-most, 0]), np.float32([most, 1])
    box = gymnasium.spaces.Box(low, high, dtype=np.float32)
    assert env.action_space == box
    assert make(continuous=False).action_space == gymnasium.spaces.Discrete(4)


@pytest.mark.filterwarnings("ignore:.*symmetric and normalized")  # degrees are, on purpose, not
@pytest.mark.parametrize("name", [*list_bundled_dreams(), "Maze-v0", "Voxel-v0"])
def test_gymnasiums_own_check_passes_for_boxes(name, request):
    if name in ENGINES:
        request.getfixturevalue(ENGINES[name])
    env = gymnasium.make(name, continuous=True).unwrapped
    check_env(env, skip_render_check=True)
    most = 20.0 if name in ("FARMinecraft-v0", "Voxel-v0") else 22.5
    assert env.action_space.high.tolist() == [most, 1.0]
    env.close()


def test_seed_and_controls_decide_everything(make):
    one, two = make(), make()
    frames = [one.reset(seed=5)[0], *walk(one, CONTROLS)]
    assert_same(frames, [two.reset(seed=5)[0], *walk(two, CONTROLS)])
    apart = [two.reset(seed=5)[0], *walk(two, CONTROLS * np.float32([-1, 1]))]
    assert any(not np.array_equal(a, b) for a, b in zip(frames, apart, strict=True))


def test_ids_and_controls_may_take_turns_in_either_space(make):
    """A window's mouse turns by degrees while its keys are ids."""
    mixed, told = make(continuous=False), make()
    mixed.reset(seed=3)
    told.reset(seed=3)
    named, walk_on = name_controls(mixed.actions), mixed.actions.id("forward")
    taken = [walk_on, np.float32([5, 0]), 0, np.float32([-3, 0.5]), 3]
    equal = [step if isinstance(step, np.ndarray) else named[step] for step in taken]
    assert_same(walk(mixed, taken), walk(told, equal))


def test_a_moment_is_gone_on_from_alike(make):
    env = make()
    env.reset(seed=4)
    walk(env, CONTROLS[:2])
    here = env.clone_state()
    frames = walk(env, CONTROLS)
    for other in (env, make()):
        if other is not env:
            other.reset(seed=9)
        other.restore_state(here)
        assert_same(frames, walk(other, CONTROLS))


def test_the_pose_turns_by_the_number(make):
    env = make()
    before = env.reset(seed=4)[1]["pose"]
    after = env.step(np.float32([7.5, 0]))[4]["pose"]
    assert np.cos(after[2] - before[2] - np.radians(7.5)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("control", NO_CONTROLS, ids=repr)
def test_what_is_no_control_is_refused_and_changes_nothing(make, control):
    env, untouched = make(), make()
    env.reset(seed=2)
    untouched.reset(seed=2)
    with pytest.raises(ValueError, match=r"turn|stride|action") as caught:
        env.step(control if isinstance(control, float) else np.array(control, np.float32))
    assert_sentence(caught)
    assert_same(walk(env, CONTROLS[:2]), walk(untouched, CONTROLS[:2]))


def test_what_has_none_says_so(tiny_world, make_fake_world):
    for make_one in (
        lambda **kwargs: WorldModelEnv(tiny_world, **kwargs),
        lambda **kwargs: WorldModelEnv(make_fake_world(), **kwargs),
        lambda **kwargs: DreamVectorEnv(2, tiny_world, **kwargs),
    ):
        with pytest.raises(ValueError, match="no continuous actions: give ids") as caught:
            make_one(continuous=True)
        assert_sentence(caught)
        env = make_one()
        env.reset(seed=0)
        one = np.zeros(2, np.float32)
        with pytest.raises(ValueError, match="no continuous actions: give ids"):
            env.step(np.stack([one, one]) if isinstance(env, DreamVectorEnv) else one)
        env.close()


@pytest.mark.parametrize("uncertainty", [0, 2])
def test_many_dreams_are_the_single_ones(tiny_spatial_world, uncertainty):
    world, rng = load_world(tiny_spatial_world), np.random.default_rng(0)
    options = {"uncertainty": uncertainty, "continuous": True}
    dreams = DreamVectorEnv(3, world, **options)
    single = [WorldModelEnv(world, **options) for _ in range(3)]
    assert dreams.single_action_space == single[0].action_space
    dreams.action_space.seed(0)
    first = dreams.reset(seed=7)[0]
    assert_same(first, [env.reset(seed=7 + row)[0] for row, env in enumerate(single)])
    for _ in range(4):
        controls = dreams.action_space.sample() * rng.integers(0, 2, (3, 2)).astype(np.float32)
        frames, _, _, _, info = dreams.step(controls)
        told = [env.step(control) for env, control in zip(single, controls, strict=True)]
        assert_same(frames, [one[0] for one in told])
        for name in ("pose", "seen", *(["uncertainty"] if uncertainty else [])):
            assert np.array_equal(info[name], np.stack([one[4][name] for one in told])), name
    with pytest.raises(ValueError, match=r"turn must be in \[-22.5, 22.5\]"):
        dreams.step(np.full((3, 2), 23, np.float32))


@pytest.mark.usefixtures("agents")
def test_sb3_and_torchrl_take_them(tiny_spatial_world):
    """A policy of SB3 learns from them, and TorchRL's own check passes."""
    from stable_baselines3 import PPO
    from torchrl.envs.utils import check_env_specs

    from envs.sb3_vec_env import SB3VecEnv
    from envs.torchrl_env import TorchRLEnv

    world = load_world(tiny_spatial_world)
    dreams = SB3VecEnv(DreamVectorEnv(2, world, 3, "SameStep", continuous=True))
    PPO("MlpPolicy", dreams, n_steps=4, batch_size=8, n_epochs=1).learn(8)
    env = TorchRLEnv(2, world=world, max_episode_steps=3, continuous=True)
    check_env_specs(env, seed=0)
    rollout = env.rollout(4, break_when_any_done=False)
    assert rollout["action"].shape == (2, 4, 2)
    assert len(rollout["action"].unique()) > 4
