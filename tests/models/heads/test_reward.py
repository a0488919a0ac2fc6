"""Rewards and ends that a world learns from its data, from the collection to the environment."""

import json
import pickle
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from envs.vector import DreamVectorEnv
from envs.world_model import WorldModelEnv
from envs.wrappers import Task
from models.training.recipe_far import SMOKE
from train_world import main as train
from worldsim.data.collect import main as collect
from worldsim.data.store import EpisodeStore
from worldsim.tasks import Happened
from worldsim.types import Episode, EpisodeMeta
from worldsim.world.model import load_world

CONFIG = str(Path(__file__).resolve().parents[3] / "assets/configs/dmlab-far.yaml")
FORWARD = 2


def brighter(step: Happened) -> tuple[float, bool]:
    """A task: ten points for all the light there is, and over where it is light."""
    gained = 10 * (float(step.frame.mean()) - float(step.before.mean())) / 255
    return gained, bool(step.frame.mean() > 200)


def episode(seed: int) -> Episode:
    """A picture that gets lighter with every step ahead, and darker with any other."""
    rng = np.random.default_rng(seed)
    picture = np.kron(rng.integers(0, 60, (8, 8, 3)), np.ones((8, 8, 1)))
    light, frames, actions, rewards, over = 60.0, [], [], [], False
    frames.append((picture + light).astype(np.uint8))
    while len(actions) < 60 and not over:
        actions.append(int(rng.choice([0, 1, FORWARD, FORWARD])))
        light = float(np.clip(light + (12 if actions[-1] == FORWARD else -9), 0, 190))
        frames.append((picture + light).astype(np.uint8))
        reward, over = brighter(Happened(frames[-2], actions[-1], frames[-1], {}))
        rewards.append(reward)
    return Episode(
        frames=np.stack(frames),
        actions=np.array(actions, np.int64),
        rewards=np.array(rewards, np.float32),
        meta=EpisodeMeta(source="light", action_set="dmlab", fps=7.5, seed=seed, terminated=over),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A world trained on judged episodes; its dreams are noise, its head is not."""
    out = tmp_path_factory.mktemp("judged")
    for split, seeds in (("train", range(24)), ("heldout", range(100, 103))):
        store = EpisodeStore(out / split)
        for seed in seeds:
            store.append(episode(seed))
    settings = [*SMOKE, "training.steps=2", "codec_training.steps=2", f"data.cache={out / 'cache'}"]
    settings += [f"data.{split}={out / split}" for split in ("train", "heldout")]
    assert train([CONFIG, "--out", str(out), *(f"--set={each}" for each in settings)]) == 0
    return out / "world"


@pytest.fixture(scope="module")
def world(folder):
    return load_world(folder)


def test_the_head_learns_what_steps_are_worth(world, folder):
    told = json.loads((folder / "card.json").read_text())["training"]["outcome"]
    assert told["rewards_explained"] > 0.7
    truth, said = [], []
    for one in EpisodeStore(folder.parent / "heldout"):
        latents = world.codec.encode(torch.from_numpy(np.asarray(one.frames)))
        judged = world.dynamics.head.judge(latents[:-1], torch.from_numpy(one.actions), latents[1:])
        said += judged[:, 0].tolist()
        truth += one.rewards.tolist()
        ends = np.arange(len(one)) == len(one) - 1
        if one.meta.terminated:
            assert judged[:, 1].argmax() == ends.argmax()
    assert np.corrcoef(truth, said)[0, 1] > 0.85


def test_the_environment_gives_what_the_head_says(world):
    env = WorldModelEnv(world)
    env.reset(seed=0)
    rewards = []
    for action in (2, 0, 2, 1):
        latents = env.memory.carry.latents
        _, reward, terminated, _, _ = env.step(action)
        carry = env.memory.carry
        judged = world.dynamics.head.judge(latents, torch.tensor([action]), carry.latents)[0]
        assert (reward, terminated) == (float(judged[0]), bool(judged[1] > 0.5))
        rewards.append(reward)
    assert len(set(rewards)) == 4
    # Wrappers add theirs.
    task = Task(env, lambda step: 1.0)
    task.reset(seed=0)
    assert task.step(2)[1] == pytest.approx(rewards[0] + 1)


def test_moments_keep_what_the_head_looks_at(world, tmp_path):
    env = WorldModelEnv(world)
    env.reset(seed=3)
    env.step(2)
    moment = env.clone_state()
    env.save_state(tmp_path / "moment")
    expected = env.step(0)
    for back in (
        lambda: env.restore_state(moment),
        lambda: env.restore_state(pickle.loads(pickle.dumps(moment))),
        lambda: env.load_state(tmp_path / "moment"),
    ):
        back()
        again = env.step(0)
        assert np.array_equal(again[0], expected[0])
        assert again[1:3] == expected[1:3]


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_many_dreams_are_judged_and_end_as_single_ones_do(world, mode):
    """A head that ends dreams for a gain above what is usual: some end, at steps of their own."""
    head = world.dynamics.head
    kept = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    try:
        with torch.no_grad():
            head.out.weight[1] = 8 * head.out.weight[0]
            head.out.bias[1] = 8 * head.out.bias[0]
        sync = SyncVectorEnv([lambda: WorldModelEnv(world)] * 3, autoreset_mode=mode)
        dreams = DreamVectorEnv(3, world, autoreset_mode=mode)
        sync.reset(seed=1), dreams.reset(seed=1)
        rng, ended = np.random.default_rng(0), 0
        for _ in range(12):
            actions = rng.integers(0, 4, 3)
            ours, theirs = dreams.step(actions), sync.step(actions)
            for one, other in zip(ours[:4], theirs[:4], strict=True):
                assert one.dtype == other.dtype
                assert np.array_equal(one, other)
            ended += int(ours[2].sum())
        assert 0 < ended < 36
    finally:
        head.load_state_dict(kept)


def test_data_without_rewards_makes_a_world_without_a_head(tiny_world):
    world = load_world(tiny_world)
    assert "outcome" not in world.card.settings
    env = WorldModelEnv(world)
    env.reset(seed=0)
    assert env.step(2)[1:3] == (0.0, False)
    assert env.memory.outcomes is None


@pytest.fixture
def task(monkeypatch):
    """The task above, where a command finds it by name."""
    import sys
    from types import SimpleNamespace

    monkeypatch.setitem(sys.modules, "tests_task", SimpleNamespace(brighter=brighter, no="no"))
    return "tests_task:brighter"


def test_a_collection_is_judged(engine, task, tmp_path):
    options = ["--episodes", "1", "--steps", "5", "--workers", "1", "--out", str(tmp_path)]
    assert collect([*options, "--task", task]) == 0
    (one,) = EpisodeStore(tmp_path / "train")
    env = Task(gymnasium.make("Maze-v0"), brighter)
    env.reset(seed=one.meta.seed)
    assert one.rewards.tolist() == pytest.approx([env.step(a)[1] for a in one.actions], abs=1e-6)
    assert one.meta.extra["task"] == task
    assert not one.meta.terminated
    assert EpisodeStore(tmp_path / "train").outcome(0)[0].tolist() == one.rewards.tolist()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("nowhere:f", "no module 'nowhere' for --task"), ("tests_task:no", "no function 'no'")],
)
def test_a_task_that_is_none_gets_one_sentence(task, tmp_path, capsys, name, sentence):
    options = ["--episodes", "1", "--steps", "2", "--workers", "1", "--out", str(tmp_path)]
    with pytest.raises(SystemExit):
        collect([*options, "--env", "Maze-v0", "--task", name])
    assert sentence in capsys.readouterr().err
