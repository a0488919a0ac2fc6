"""Dreams in the libraries that agents live in: they pass those libraries' own checks, and give
what the single environments give.
"""

import gymnasium
import numpy as np
import pytest

from envs.vector import DreamVectorEnv
from envs.world_model import WorldModelEnv
from worldsim.world.model import load_world

N, LENGTH = 3, 4
pytestmark = pytest.mark.usefixtures("agents")


@pytest.fixture(scope="module", params=["tiny_world", "tiny_spatial_world"])
def world(request):
    return load_world(request.getfixturevalue(request.param))


def make_sb3(world, length=LENGTH, **options):
    from envs.sb3_vec_env import SB3VecEnv

    return SB3VecEnv(DreamVectorEnv(N, world, length, "SameStep", **options))


def make_torchrl(world, length=LENGTH, **options):
    from envs.torchrl_env import TorchRLEnv

    return TorchRLEnv(N, world=world, max_episode_steps=length, **options)


def assert_same_infos(these, those):
    assert set(these) == set(those)
    for name in these:
        assert np.array_equal(these[name], those[name]), name


@pytest.mark.parametrize("uncertainty", [0, 2])
def test_sb3_gets_what_its_own_vector_of_single_ones_gives(world, uncertainty):
    from stable_baselines3.common.vec_env import DummyVecEnv

    def one():
        return gymnasium.wrappers.TimeLimit(WorldModelEnv(world, uncertainty=uncertainty), LENGTH)

    dreams, dummy = make_sb3(world, uncertainty=uncertainty), DummyVecEnv([one] * N)
    for many in (dreams, dummy):
        many.seed(7)
        many.set_options({"spawn": 1})
    rng = np.random.default_rng(0)
    assert np.array_equal(dreams.reset(), dummy.reset())
    for _ in range(2 * LENGTH + 1):
        actions = rng.integers(0, 4, N)
        mine, own = dreams.step(actions), dummy.step(actions)
        for these, those in zip(mine[:3], own[:3], strict=True):
            assert np.array_equal(these, those)
            assert these.dtype == those.dtype
        for pair in (
            *zip(mine[3], own[3], strict=True),
            *zip(dreams.reset_infos, dummy.reset_infos, strict=True),
        ):
            assert_same_infos(*pair)


def test_ppo_of_sb3_learns_in_dreams(world):
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import VecCheckNan, VecMonitor

    dreams = VecMonitor(VecCheckNan(make_sb3(world), raise_exception=True))
    policy = {"net_arch": [8]}
    model = PPO("MlpPolicy", dreams, n_steps=8, batch_size=8, n_epochs=1, policy_kwargs=policy)
    model.learn(2 * 8 * N)
    assert model.num_timesteps == 2 * 8 * N
    assert [one["l"] for one in model.ep_info_buffer] == [LENGTH] * (2 * 8 // LENGTH * N)
    assert model.predict(dreams.reset())[0].shape == (N,)


def test_sb3_shares_attributes_and_says_what_it_cannot(world):
    dreams = make_sb3(world)
    assert dreams.get_attr("steps", [0, 2]) == [world.card.steps] * 2
    dreams.set_attr("steps", 2)
    assert dreams.many.steps == 2
    assert dreams.env_is_wrapped(gymnasium.Wrapper) == [False] * N
    dreams.reset()
    assert dreams.get_images() == [None] * N
    with pytest.raises(ValueError, match="can only be set for all"):
        dreams.set_attr("steps", 2, indices=[0])
    with pytest.raises(AttributeError, match=r"call `.many.clone_state`"):
        dreams.env_method("clone_state")
    dreams.set_options([{"spawn": 0}, {"spawn": 1}, {}])
    with pytest.raises(ValueError, match="must be the same for all dreams"):
        dreams.reset()
    from envs.sb3_vec_env import SB3VecEnv

    with pytest.raises(ValueError, match="autoreset_mode must be 'SameStep'"):
        SB3VecEnv(DreamVectorEnv(N, world))


@pytest.mark.parametrize("uncertainty", [0, 2])
def test_torchrl_finds_every_tensor_as_the_specs_say(world, uncertainty):
    from torchrl.envs import check_env_specs

    env = make_torchrl(world, uncertainty=uncertainty)
    check_env_specs(env, seed=0)
    env.close()


def test_torchrl_gets_the_frames_of_the_vector(world):
    """Through a time limit, where the done dreams start anew and the others go on."""
    lengths, steps = [2, 5, 3], 7
    env = make_torchrl(world, lengths)
    env.set_seed(5)
    rollout = env.rollout(steps, break_when_any_done=False)
    dreams = DreamVectorEnv(N, world, lengths, "Disabled")
    frames, info = dreams.reset(seed=5)
    for step in range(steps):
        told = rollout[:, step]
        assert np.array_equal(told["pixels"].numpy(), frames)
        assert np.array_equal(told["frame"].numpy(), info["frame"])
        frames, rewards, terminated, truncated, info = dreams.step(told["action"].numpy())
        after = told["next"]
        assert np.array_equal(after["pixels"].numpy(), frames)
        assert np.array_equal(after["reward"].numpy()[:, 0], rewards)
        assert np.array_equal(after["done"].numpy()[:, 0], terminated | truncated)
        if truncated.any():
            count = info["frame"]
            frames, info = dreams.reset(options={"reset_mask": truncated})
            info["frame"] = np.where(truncated, info["frame"], count)


def test_infos_of_single_dreams_are_numpys(world):
    env = WorldModelEnv(world, uncertainty=1)
    told = [env.reset(seed=0)[1], env.step(0)[4]]
    for info in told:
        assert all(isinstance(part, np.generic | np.ndarray) for part in info.values())
