"""LeRobot's layout, read as LeRobot reads it: by the templates and features of info.json."""

import dataclasses
import json

import numpy as np
import pytest

from tests.support.commands import refused
from tests.support.lerobot_sets import decode_pictures, read_columns
from worldsim.cli import main as cli
from worldsim.data.store import EpisodeStore
from worldsim.types import Episode, EpisodeMeta


def make_episode(seed, steps, posed=True):
    rng = np.random.default_rng(seed)
    return Episode(
        frames=rng.integers(0, 256, (steps + 1, 16, 16, 3)).astype(np.uint8),
        actions=rng.integers(0, 4, steps),
        rewards=rng.random(steps).astype(np.float32),
        poses=rng.random((steps + 1, 3)).astype(np.float32) if posed else None,
        meta=EpisodeMeta(source="Maze-v0", action_set="dmlab", fps=7.5, seed=seed, terminated=True),
    )


def export(source, target):
    return ["data", "export", str(source), str(target), "--layout", "lerobot", "--task", "walk"]


@pytest.mark.parametrize("posed", [True, False])
def test_every_row_comes_back(tmp_path, posed, parquet):
    store = EpisodeStore(tmp_path / "store")
    for seed, steps in enumerate((5, 3)):
        store.append(make_episode(seed, steps, posed))
    assert cli(export(tmp_path / "store", tmp_path / "set")) == 0
    root, rows = tmp_path / "set", 0
    info = json.loads((root / "meta/info.json").read_text())
    assert (info["total_episodes"], info["total_frames"]) == (2, 8)
    listed = [json.loads(one) for one in (root / "meta/episodes.jsonl").read_text().splitlines()]
    stats = (root / "meta/episodes_stats.jsonl").read_text().splitlines()
    for number, episode in enumerate(store):
        columns = read_columns(parquet, root, info, number)
        assert np.array_equal(decode_pictures(columns), episode.frames[:-1])
        assert columns["action"] == episode.actions.tolist()
        assert np.array_equal(np.float32(columns["next.reward"]), episode.rewards)
        assert columns["next.done"] == [False] * (len(episode) - 1) + [True]
        assert np.allclose(columns["timestamp"], np.arange(len(episode)) / 7.5)
        assert columns["index"] == list(range(rows, rows + len(episode)))
        assert ("observation.state" in columns) == posed
        if posed:
            assert np.array_equal(np.float32(columns["observation.state"]), episode.poses[:-1])
        rows += len(episode)
        assert listed[number]["length"] == len(episode)
        told = json.loads(stats[number])["stats"]
        assert set(told) == set(info["features"])
        mean = np.array(told["observation.image"]["mean"])[:, 0, 0]
        assert np.allclose(mean, episode.frames[:-1].mean((0, 1, 2)) / 255)


def test_what_does_not_fit_is_refused_and_nothing_is_left(tmp_path, capsys, parquet):
    store = EpisodeStore(tmp_path / "store")
    assert "no episodes" in refused(capsys, *export(tmp_path / "store", tmp_path / "set"))
    for seed, posed in enumerate((True, False)):
        store.append(make_episode(seed, 3, posed))
    assert "must be alike" in refused(capsys, *export(tmp_path / "store", tmp_path / "set"))
    assert not (tmp_path / "set").exists()
    assert not list(tmp_path.glob(".export-*"))
    (tmp_path / "set").mkdir()
    assert "exists already" in refused(capsys, *export(tmp_path / "store", tmp_path / "set"))


def test_turns_and_strides_are_a_column_of_every_row(tmp_path, capsys, parquet):
    """Also of actions that were told by their ids, which have a turn and a stride too."""
    controls = np.array([[5, 0.5], [np.nan, np.nan], [-3, 0]], np.float32)
    episode = make_episode(0, 3)
    episode.actions[:] = (2, 0, 3)
    store = EpisodeStore(tmp_path / "store")
    store.append(dataclasses.replace(episode, controls=controls))
    assert cli(export(tmp_path / "store", tmp_path / "set")) == 0
    info = json.loads((tmp_path / "set/meta/info.json").read_text())
    assert info["features"]["action.control"]["names"] == ["turn", "stride"]
    columns = read_columns(parquet, tmp_path / "set", info, 0)
    assert columns["action.control"] == [[5, 0.5], [22.5, 0], [-3, 0]]
    store.append(make_episode(1, 3))
    assert "episodes must be alike" in refused(
        capsys, *export(tmp_path / "store", tmp_path / "other")
    )
