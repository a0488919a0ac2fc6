"""Rewards, ends and doubt, on a real network and codec of the smallest size."""

import gymnasium
import numpy as np
import pytest

from envs.world_model import WorldModelEnv
from envs.wrappers import EndWhenUnsure, GoalPicture, Novelty, Sight, Task
from worldsim.world.model import load_world


@pytest.fixture(scope="module")
def world(tiny_world):
    return load_world(tiny_world)


@pytest.fixture
def env(world):
    return WorldModelEnv(world)


def test_a_picture_is_nearest_to_itself(world):
    sight = Sight(world)
    one, other = (sight.latent(spawn.frames[0]) for spawn in world.spawns[:2])
    assert sight.distance(one, one) == 0
    assert sight.distance(one, other) == pytest.approx(sight.distance(other, one))
    assert sight.distance(one, other) > 0


def test_the_goals_reward_adds_up_to_how_much_nearer_it_came(env, world):
    goal = GoalPicture(env, world.spawns[1].frames[0])
    _, info = goal.reset(seed=0)
    first, rewards = info["distance"], []
    for action in (2, 0, 1, 2):
        _, reward, terminated, _, info = goal.step(action)
        rewards.append(reward)
        assert not terminated
    assert sum(rewards) == pytest.approx(first - info["distance"])
    assert any(rewards)


def test_arriving_ends_with_a_reward_of_one_more(env):
    env.reset(seed=0)
    moment = env.clone_state()
    frame = env.step(2)[0]
    goal = GoalPicture(env, frame, within=1e-6)
    _, info = goal.restore_state(moment)
    _, reward, terminated, _, arrived = goal.step(2)
    assert terminated
    assert arrived["distance"] == 0
    assert reward == pytest.approx(1 + info["distance"])


def test_what_was_seen_is_not_new(env):
    novelty = Novelty(env)
    novelty.reset(seed=0)
    rewards = [novelty.step(action)[1] for action in (2, 0)]
    assert min(rewards) > 0

    class Still(gymnasium.Wrapper):
        def step(self, action):
            return self.frame, 0.5, False, False, {}

        def reset(self, **kwargs):
            self.frame, info = self.env.reset(**kwargs)
            return self.frame, info

    still = Novelty(Still(env), memory=1)
    still.reset(seed=0)
    assert [still.step(0)[1] for _ in range(3)] == [0.5] * 3


def test_a_function_judges(env):
    seen = []

    def judge(step):
        seen.append(step)
        return (2.0, True) if step.action == 1 else -1.0

    task = Task(env, judge)
    first, _ = task.reset(seed=0)
    second, reward, over, _, _ = task.step(2)
    assert (reward, over) == (-1.0, False)
    assert task.step(1)[1:3] == (2.0, True)
    assert np.array_equal(seen[0].before, first)
    assert np.array_equal(seen[1].before, second)
    assert np.array_equal(seen[0].frame, second)
    bad = Task(env, lambda step: float("nan"))
    bad.reset(seed=0)
    with pytest.raises(ValueError, match="as reward, got nan"):
        bad.step(0)


def test_a_moment_holds_what_every_wrapper_remembers(world):
    """Also what was seen and how long the dream has been unsure: the same steps, the same words."""
    dream = WorldModelEnv(world, uncertainty=2)
    task = Task(Novelty(GoalPicture(dream, world.spawns[1].frames[0])), lambda step: step.action)
    env = EndWhenUnsure(task, above=1e-9, patience=3)
    env.reset(seed=0)
    env.step(2)
    moment = env.clone_state()
    first = [env.step(action) for action in (0, 2)]
    for _ in range(2):
        _, info = env.restore_state(moment)
        assert "distance" in info
        again = [env.step(action) for action in (0, 2)]
        assert [step[1:4] for step in again] == [step[1:4] for step in first]
        assert np.array_equal(again[1][0], first[1][0])
    assert first[1][3]  # unsure for the third time, the first of them before the moment
    env.restore_state(moment.below.below.below.below)
    assert not any(env.step(action)[3] for action in (0, 2))  # begun anew


def test_doubt_does_not_change_the_dream(world):
    plain, doubting = WorldModelEnv(world), WorldModelEnv(world, uncertainty=3)
    assert np.array_equal(plain.reset(seed=4)[0], doubting.reset(seed=4)[0])
    for action in (2, 0, 2, 1, 2):
        expected, *_, plain_info = plain.step(action)
        frame, *_, info = doubting.step(action)
        assert np.array_equal(frame, expected)
        assert info["uncertainty"] > 0
        assert info["frame"] == plain_info["frame"]
        assert "uncertainty" not in plain_info


def test_a_drifting_dream_is_truncated(world):
    dream = EndWhenUnsure(WorldModelEnv(world, uncertainty=2), above=1e-9, patience=2)
    dream.reset(seed=0)
    assert [dream.step(2)[3] for _ in range(2)] == [False, True]
    dream.reset(seed=0)
    assert dream.step(2)[3] is False
    sure = EndWhenUnsure(WorldModelEnv(world, uncertainty=2), above=256)
    sure.reset(seed=0)
    assert not any(sure.step(2)[3] for _ in range(5))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda e, w: GoalPicture(e, np.zeros((8, 8, 3), np.uint8)), "a picture for tiny must be"),
        (lambda e, w: GoalPicture(e, w.spawns[0].frames[0], within=0), "within must be > 0, got 0"),
        (lambda e, w: Novelty(e, memory=0), "memory must be an integer >= 1, got 0"),
        (lambda e, w: EndWhenUnsure(e, above=1), "tells no uncertainty"),
        (
            lambda e, w: WorldModelEnv(w, uncertainty=-1),
            "uncertainty must be an integer in .0, 256., got -1",
        ),
        (lambda e, w: Novelty(gymnasium.make("Maze-v0")), "no world whose codec"),
    ],
)
def test_what_does_not_fit_is_one_sentence(env, world, make, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        make(env, world)
    assert "\n" not in str(caught.value)
