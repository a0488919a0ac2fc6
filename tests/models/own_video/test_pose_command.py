"""`worldsim data poses`: episodes of videos get poses and depth."""

import dataclasses

import numpy as np
import pytest
import torch

from models.own_video.learn_poses import (
    PoseConfig,
    PoseLearner,
    PoseTraining,
    Walks,
    chain_motions,
)
from tests.support.commands import refused
from tests.support.painted_room import forget_poses, walk_about
from tests.support.panoramas import turn_about
from worldsim.cli import main as cli
from worldsim.data.store import EpisodeStore
from worldsim.poses import relative_poses, with_heights


def write(folder, split: str, *episodes) -> None:
    for number, episode in enumerate(episodes):
        EpisodeStore(folder / split).append(episode, f"{split}{number}-0000")


def measure_steps(poses: np.ndarray, true: np.ndarray) -> np.ndarray:
    """How far off each step is that poses `[T,3]` tell, `[T-1]`, a radian counting as a unit."""
    off = []
    for step in range(len(poses) - 1):
        rows = [with_heights(p[step : step + 2], None) for p in (poses, true)]
        told, is_ = (relative_poses(row)[1] for row in rows)
        off.append(np.linalg.norm(told - is_))
    return np.array(off)


@pytest.fixture(scope="module")
def learner(tmp_path_factory) -> PoseLearner:
    """What three short walks through one room have taught in some seconds."""
    walks = Walks([forget_poses(walk_about(60, seed)) for seed in range(3)])
    plan = PoseTraining(steps=140, clips=6, aligned=(0.5,), photometric=0.8)
    path = tmp_path_factory.mktemp("learnt") / "poses.pt"
    learner = PoseLearner(PoseConfig(), plan, 4, path, seed=0)
    learner.learn(walks)
    return learner


def test_learnt_steps_are_nearer_than_those_typical_of_their_action(learner):
    """A wall stops steps, which the action alone does not tell."""
    walk = walk_about(60, seed=9)
    walks = Walks([forget_poses(walk)])
    poses, _ = learner.tell(walks)
    typical = torch.zeros(61, 4)
    typical[1:] = learner.typical[walks.actions[walks.steps]]
    learnt = measure_steps(poses[:, :3].numpy(), walk.poses)
    guessed = measure_steps(chain_motions(typical)[:, :3].numpy(), walk.poses)
    assert guessed.mean() > 0.03
    assert learnt.mean() < 0.5 * guessed.mean()


def test_learning_goes_on_where_it_was_stopped(learner):
    again = PoseLearner(learner.cfg, learner.plan, 4, learner.training.path, seed=0)
    assert again.training.is_done
    assert torch.equal(again.typical, learner.typical)
    pictures = Walks([walk_about(4, seed=9)]).pictures
    assert torch.equal(again.read_depth(pictures), learner.read_depth(pictures))


@pytest.fixture
def videos(tmp_path):
    """A data folder of videos with actions, at 32 pixels."""
    folder = tmp_path / "videos"
    write(folder, "train", *(forget_poses(walk_about(60, seed, 32)) for seed in range(2)))
    write(folder, "heldout", forget_poses(walk_about(20, 2, 32)))
    return folder


def test_episodes_get_what_an_engine_would_have_told(videos, tmp_path, capsys):
    out = tmp_path / "posed"
    options = ["--steps", "2", "--field-of-view", "80", "--climb"]
    assert cli(["data", "poses", str(videos), str(out), *options]) == 0
    said = capsys.readouterr().out
    assert "3 episodes written" in said
    assert "forward: +0.380 ahead" in said
    for split in ("train", "heldout"):
        told, given = (EpisodeStore(folder / split)[0] for folder in (out, videos))
        steps = len(given)
        assert told.poses.shape == (steps + 1, 3)
        assert told.depths.shape == (steps + 1, 16, 16)
        assert told.depths.min() >= 0.049
        assert told.heights.shape == (steps + 1,)
        assert told.meta.extra["poses"] == "learnt"
        assert told.meta.extra["field_of_view"] == 80
        np.testing.assert_array_equal(told.frames, given.frames)
        np.testing.assert_array_equal(told.actions, given.actions)
    assert cli(["data", "poses", str(videos), str(out), *options]) == 0
    assert "0 episodes written" in capsys.readouterr().out
    other = refused(capsys, "data", "poses", str(videos), str(out), "--steps", "2")
    assert "gone on with by its field of view 80 and stride 0.38, got 73 and 0.38" in other


def test_wrong_wishes_are_one_sentence(videos, tmp_path, capsys):
    def say(source, *options: str) -> str:
        return refused(capsys, "data", "poses", str(source), str(tmp_path / "out"), *options)

    def of(name: str, *episodes):
        write(tmp_path / name, "train", *episodes)
        return tmp_path / name

    walk = walk_about(20, 0, 32)
    watched = dataclasses.replace(
        forget_poses(walk),
        actions=np.zeros(20, np.int64),
        meta=dataclasses.replace(walk.meta, action_set="watch"),
    )
    assert "there is no folder" in say(tmp_path / "nowhere")
    assert "must be without poses" in say(of("posed", walk))
    assert "must be known" in say(of("unknown", turn_about(4, 0, known=False)))
    assert "an action set with actions to tell apart, got watch" in say(of("watched", watched))
    assert "must hold at least 100 steps" in say(of("short", forget_poses(walk)))
    turning = [turn_about(60, seed, size=64) for seed in range(2)]
    assert "must show a body that walks" in say(of("turning", *turning))
    assert "--field-of-view: must be in [20, 150]" in say(videos, "--field-of-view", "5")
    same = refused(capsys, "data", "poses", str(videos), str(videos))
    assert "the target must be another folder than the source" in same
    assert not (tmp_path / "out" / "train").exists()
