"""The truth beside a dream: the engine led from a start, alone and paired with a dream.

What every environment promises, a pair too, is in tests/contracts.
"""

from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest

import worldsim  # noqa: F401  registers the environments
from worldsim import ground_truth
from worldsim.actions import load_actions
from worldsim.data.collect import SEED_RANGES
from worldsim.evaluate.metrics import psnr

LEFT, RIGHT, FORWARD, STAND = range(4)
CARD = {"name": "small", "frame_size": 64, "action_set": "dmlab", "engine": "Maze-v0"}


@pytest.fixture
def env(engine):
    return ground_truth.open_engine(SimpleNamespace(**CARD))


@pytest.fixture
def paired(make_fake_world):
    """Makes pairs of a dream that is only noise and its engine, and closes them."""
    made = []

    def make(engine="Maze-v0", actions="dmlab", size=64):
        world = make_fake_world(size=size)
        world.card.engine, world.card.action_set = engine, actions
        world.actions = load_actions(actions)
        made.append(gymnasium.make("Paired-v0", world=world, context=3).unwrapped)
        return made[-1]

    yield make
    for pair in made:
        pair.close()


def test_held_out_episodes_are_of_unseen_seeds_and_one_walker(env):
    played = [
        one.episode for one in ground_truth.plays(env, 2, 24, "heldout", env.published_walker)
    ]
    assert all(episode.meta.seed in SEED_RANGES["heldout"] for episode in played)
    assert {episode.meta.extra["walker"] for episode in played} == {"goal"}
    assert all(set(episode.actions[:20]) == {LEFT} for episode in played), "it looks around first"


class Forgetful:
    """An engine that cannot go back to a state, nor tell who walks."""

    def __init__(self, env):
        self.reset, self.step, self.spec = env.reset, env.step, env.spec


@pytest.mark.parametrize("forgetful", [False, True])
def test_the_truth_begins_at_its_frame(env, forgetful):
    """Also in an engine that cannot restore a state: it is played again up to there."""
    ((episode, true),) = ground_truth.plays(env, 1, 30, "train", at=25)
    if forgetful:
        true = ground_truth.EngineReplay(Forgetful(env), episode.meta.seed, episode.actions[:25])
    for _ in range(2):
        frames, poses = true.run(episode.actions[25:])
        np.testing.assert_array_equal(frames, episode.frames[25:])
        np.testing.assert_allclose(poses, episode.poses[25:])


@pytest.mark.parametrize("forgetful", [False, True])
def test_truths_share_an_engine(env, forgetful):
    """Each is where it was, whatever the others did; and a way that is gone twice is the same."""
    played = list(ground_truth.plays(env, 2, 12, "train", at=4))
    shared = Forgetful(env) if forgetful else env
    ours, theirs = (
        ground_truth.EngineReplay(shared, episode.meta.seed, episode.actions[:4])
        for episode, _ in played
    )
    way = played[0].episode.actions[4:].tolist()
    for number in range(len(way) + 1):
        np.testing.assert_array_equal(
            ours.frame(way[:number]), played[0].episode.frames[4 + number]
        )
        theirs.frame([LEFT] * number)
        if number % 3 == 0:
            ours.run([RIGHT, RIGHT])
    np.testing.assert_array_equal(ours.frame(way[:2]), played[0].episode.frames[6])


@pytest.mark.parametrize(("id", "need"), [("Maze-v0", "engine"), ("Voxel-v0", "voxel_engine")])
def test_a_leap_shows_what_steps_show(request, id, need):
    """What play has left behind is not drawn; the frame after it is the same, bit for bit."""
    request.getfixturevalue(need)
    env = gymnasium.make(id).unwrapped
    ahead, left = env.actions.id("forward"), env.actions.id("left")
    way = ([ahead] * 9 + [left]) * 4
    steps = ground_truth.EngineReplay(Forgetful(env), 5, []).frame(way)
    leap = ground_truth.EngineReplay(env, 5, [])
    assert len(way) > ground_truth.STATES
    np.testing.assert_array_equal(leap.frame(way), steps)
    assert len(leap._frames) == 3, "the start, a state that is kept, and the end"
    with pytest.raises(ValueError, match="actions must be at most 32, got 40"):
        env.advance(way)
    env.close()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"engine": "Nothing-v0"}, "its engine 'Nothing-v0' won't start"),
        ({"engine": "CartPole-v1"}, "it must be one of Maze-v0"),
    ],
)
def test_an_engine_that_does_not_fit_gets_one_sentence(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        ground_truth.open_engine(SimpleNamespace(**CARD | change))


# ---- a pair ----


@pytest.mark.parametrize(
    ("id", "actions", "size", "need"),
    [("Maze-v0", "dmlab", 64, "engine"), ("Voxel-v0", "voxel", 128, "voxel_engine")],
)
def test_both_take_one_action_from_one_start(paired, request, id, actions, size, need):
    request.getfixturevalue(need)
    pair = paired(id, actions, size)
    frame, info = pair.reset(seed=1)
    assert info["engine_seed"] in SEED_RANGES["heldout"], "a world may have been trained there"
    assert len(pair.dream.context.frames) == 4
    np.testing.assert_array_equal(info["truth"], frame)
    assert info["psnr"] > 58
    way = [pair.actions.id(name) for name in ("forward", "left", "forward")]
    shown = [pair.step(action) for action in way]
    alone = gymnasium.make(id).unwrapped
    before = pair.dream.context.actions.tolist()
    frames, poses = ground_truth.EngineReplay(alone, info["engine_seed"], before).run(way)
    alone.close()
    for (frame, *_, told), true, pose in zip(shown, frames[1:], poses[1:], strict=True):
        np.testing.assert_array_equal(told["truth"], true)
        np.testing.assert_array_equal(told["truth_pose"], pose)
        assert told["psnr"] == pytest.approx(psnr(frame, true))
        assert told["psnr"] < 20, "noise is not like the engine"


def test_a_pair_goes_back_together(engine, paired):
    pair = paired()
    pair.reset(seed=2)
    pair.step(FORWARD)
    here = pair.clone_state()
    first = pair.step(LEFT)
    pair.step(RIGHT)
    pair.restore_state(here)
    again = pair.step(LEFT)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[4]["truth"], again[4]["truth"])


def test_a_pair_goes_on_with_the_dream_awake(small_world):
    """The dream takes in what the engine shows, as if its context had been longer."""
    pair = gymnasium.make("Paired-v0", world=str(small_world), context=2).unwrapped
    place = pair.reset(seed=2)[1]["engine_seed"]
    context, way = pair.dream.context, [FORWARD, LEFT, FORWARD]
    alone = gymnasium.make("Maze-v0").unwrapped
    frames, poses = ground_truth.EngineReplay(alone, place, context.actions.tolist()).run(way)
    alone.close()
    for action, true, pose in zip(way, frames[1:], poses[1:], strict=True):
        frame, info = pair.observe(action)
        np.testing.assert_array_equal(frame, true)
        np.testing.assert_array_equal(info["truth"], true)
        np.testing.assert_array_equal(info["truth_pose"], pose)
        assert info["psnr"] > 58
    awake = pair.dream.memory.carry.tensors()
    longer = {"frames": np.concatenate([context.frames, frames[1:]])}
    pair.dream.reset(seed=0, options=longer | {"actions": [*context.actions, *way]})
    for name, tensor in pair.dream.memory.carry.tensors().items():
        np.testing.assert_array_equal(awake[name].numpy(), tensor.numpy(), name)
    pair.close()


def test_a_pair_goes_to_a_place_of_ones_own(engine, paired, env):
    pair = paired()
    frame, info = pair.reset(seed=0, options={"engine_seed": 7})
    assert info["engine_seed"] == 7
    episode = ground_truth.play(env, 7, 3, "train").episode
    np.testing.assert_array_equal(episode.frames[-1], frame)
    with pytest.raises(ValueError, match="context must be an integer >= 0, got -1"):
        gymnasium.make("Paired-v0", world=pair.world, context=-1)


# ---- continuous actions ----


def test_the_maze_is_led_by_numbers_and_where_it_is_gone_back_to_is_the_same(env):
    way = [FORWARD, (5.0, 0.5), LEFT, (-3.5, 0.0), (0.0, 0.25)]
    truth = ground_truth.EngineReplay(env, 7, [LEFT, (2.5, 0.5)])
    frames, poses = truth.run(way)
    turned = np.diff(np.unwrap(poses[:, 2]))
    np.testing.assert_allclose(np.degrees(turned), [0, 5, 22.5, -3.5, 0], atol=1e-3)
    for number in (2, 5, 3):
        np.testing.assert_array_equal(truth.frame(way[:number]), frames[number])
    again = ground_truth.EngineReplay(env, 7, [LEFT, [2.5, 0.5]])  # as a file tells it
    np.testing.assert_array_equal(again.run(way)[0], frames)


def test_an_engine_that_takes_no_numbers_knows_no_truth_of_them(env, monkeypatch):
    monkeypatch.setattr(env, "limits", None)
    truth = ground_truth.EngineReplay(env, 7, [])
    assert truth.frame([FORWARD]) is not None
    assert truth.frame([FORWARD, (5.0, 0.5)]) is None
