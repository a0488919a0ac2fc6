"""Poses and depth learnt without an engine: sums, scales, draws, the whole way by the command."""

import numpy as np
import pytest
import torch

from models.own_video.visual_odometry import (
    VisualOdometry,
    VisualOdometryConfig,
    VisualOdometryTraining,
    add_up,
    find_scale,
    gather_moments,
    train_visual_odometry,
)
from tests.support.commands import refused
from tests.support.room_walks import STRIDE, walk_room
from tests.support.rooms import FOV
from worldsim.actions import load_actions
from worldsim.cli import main as cli
from worldsim.data.store import EpisodeStore
from worldsim.poses import relative_poses
from worldsim.types import Episode, EpisodeMeta

TABLE = load_actions("dmlab")
SIZE = 32
CFG = VisualOdometryConfig(field_of_view=FOV, stride=STRIDE, fine=8, width=16, layers=1)


def walk(seed: int, frames: int = 30, **extra) -> Episode:
    """A walk through the room of tests.support.rooms, with its true poses."""
    found = walk_room(frames, SIZE, seed)
    return Episode(
        frames=found.frames,
        actions=found.actions[1:],
        rewards=np.zeros(frames - 1, np.float32),
        poses=found.poses[:, :3].astype(np.float32),
        meta=EpisodeMeta(source="video", action_set="dmlab", fps=7.5, extra=extra),
    )


def make_model() -> VisualOdometry:
    torch.manual_seed(0)
    return VisualOdometry(CFG, TABLE, SIZE)


def test_moves_add_up_to_the_poses():
    episode = walk(0)
    ahead = torch.tensor([[STRIDE, 0.0, 0.0]]) * torch.from_numpy(episode.actions == 2).unsqueeze(1)
    turns = torch.tensor(TABLE.turns)[torch.from_numpy(episode.actions)]
    true = np.pad(episode.poses, ((0, 0), (0, 1)))
    np.testing.assert_allclose(add_up(ahead, turns), relative_poses(true)[:, :3], atol=1e-5)


def test_a_moment_has_a_frame_before_and_after_of_its_own_episode():
    episodes = [walk(seed, frames=5) for seed in range(3)]
    for number, episode in enumerate(episodes):
        episode.frames[:] = number
    moments = gather_moments(episodes, TABLE)
    assert moments.all.tolist() == [1, 2, 3, 6, 7, 8, 11, 12, 13]
    frames, actions = moments.draw(64, torch.Generator().manual_seed(0))
    assert (frames == frames[:, :1]).all()
    assert actions.shape == (64, 2)
    assert set(actions.unique().tolist()) <= set(range(4))
    walks = (actions == 2).any(dim=1).float().mean()
    assert walks > 0.8


def test_only_what_walks_carries_and_a_step_is_a_stride_at_first():
    model = make_model()
    motions, depths = model.measure(walk(0))
    walks = torch.from_numpy(walk(0).actions == 2)
    ahead = torch.tensor([STRIDE, 0.0, 0.0]).expand(int(walks.sum()), 3)
    torch.testing.assert_close(motions[walks], ahead)
    assert motions[~walks].abs().max() == 0
    assert depths.shape == (30, SIZE // 2, SIZE // 2)
    assert find_scale(model, [walk(0)]) == pytest.approx(1)
    model.scale.fill_(2)
    assert torch.equal(model.measure(walk(0))[1], 2 * depths)


def test_the_loss_falls_and_a_stopped_training_goes_on(tmp_path):
    episodes = [walk(seed) for seed in range(3)]
    moments = gather_moments(episodes, TABLE)
    model, plan = make_model(), VisualOdometryTraining(steps=40, batch=4, lr=3e-3)

    def measure() -> float:
        with torch.no_grad():
            return model.loss(*moments.draw(32, torch.Generator().manual_seed(1))).item()

    before = measure()
    train_visual_odometry(model, plan, moments, tmp_path / "a.pt", 0)
    assert measure() < 0.9 * before
    again = train_visual_odometry(make_model(), plan, moments, tmp_path / "a.pt", 0)
    for name, weights in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], weights), name


def test_videos_get_poses_and_depth(tmp_path, capsys):
    source, target = tmp_path / "walks", tmp_path / "posed"
    for split, seed in (("train", 0), ("train", 1), ("heldout", 2)):
        EpisodeStore(source / split).append(walk(seed, actions="inferred"), f"walk{seed}")
    options = ["--field-of-view", str(FOV), "--stride", str(STRIDE), "--steps", "2"]
    assert cli(["data", "poses", str(source), str(target), *options]) == 0
    assert "3 episodes written" in capsys.readouterr().out
    for split, seed in (("train", 0), ("heldout", 2)):
        told, true = EpisodeStore(target / split)[0], walk(seed)
        assert told.depths.shape == (30, SIZE // 2, SIZE // 2)
        assert np.isfinite(told.depths).all()
        assert told.meta.extra == {"actions": "inferred", "poses": "photometric"}
        turned = told.poses[:, 2] - (true.poses[:, 2] - true.poses[0, 2])
        assert np.abs(turned).max() < 1e-4
        steps = np.linalg.norm(np.diff(told.poses[:, :2], axis=0), axis=1)
        assert np.median(steps[true.actions == 2]) == pytest.approx(STRIDE, rel=0.05)
    assert cli(["data", "poses", str(source), str(target), *options]) == 0
    assert "0 episodes written" in capsys.readouterr().out


def test_wrong_wishes_are_one_sentence(tmp_path, capsys):
    def say(**changes) -> str:
        folder = tmp_path / "-".join(changes)
        meta = {"action_set": changes.pop("action_set", "dmlab"), "extra": changes.pop("extra", {})}
        episode = walk(0, frames=4)
        episode = Episode(
            frames=episode.frames,
            actions=np.full(3, changes.pop("action", 0)),
            rewards=episode.rewards,
            meta=EpisodeMeta(source="video", fps=7.5, **meta),
        )
        EpisodeStore(folder / "train").append(episode)
        where = str(folder), str(tmp_path / "out")
        return refused(capsys, "data", "poses", *where, "--field-of-view", "73")

    assert "an action set that turns and walks, got codes4" in say(action_set="codes4")
    assert "must be known: let `worldsim data actions` infer" in say(action=-1)
    assert "must hold steps that walk (forward), got none" in say(action=1)
    with pytest.raises(ValueError, match=r"field_of_view must be in \[10, 150\], got 5"):
        VisualOdometryConfig(field_of_view=5)
    with pytest.raises(ValueError, match="stride must be above 0, got 0"):
        VisualOdometryConfig(field_of_view=73, stride=0)
