"""Starts can be looked at before a network is loaded."""

import shutil

import numpy as np

from worldsim.world.starts import MOST, count_near, list_worlds, read_clip


def test_bundled_worlds_and_those_of_trainings_here_are_found(tiny_world, tmp_path):
    shutil.copytree(tiny_world, tmp_path / "runs/mine/world")
    (tmp_path / "runs/broken/world").mkdir(parents=True)
    (tmp_path / "runs/broken/world/card.json").write_text("{")
    found = {one.world: one for one in list_worlds(tmp_path)}
    assert {"dmlab", "minecraft", str(tmp_path / "runs/mine/world")} == set(found)
    mine = found[str(tmp_path / "runs/mine/world")]
    assert mine.title == "A tiny dream"
    assert mine.names == ("Start 1", "Start 2", "Start 3")


def test_a_clip_is_the_end_of_a_context(tiny_world, tmp_path):
    """Play begins with its last frame."""
    from worldsim.data.store import read_episode

    path = sorted((tiny_world / "spawns").glob("*.npz"))[0]
    frames = read_episode(path).frames
    assert (read_clip(path) == frames[-MOST:]).all()
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    assert read_clip(tmp_path / "bad.npz") is None


def test_a_clip_does_not_wander_from_its_start():
    """What was seen before a turn, or far away, is another view than the start's."""
    poses = np.zeros((9, 3))
    assert count_near(poses) == 9
    poses[:4, 2] = 2 * np.pi - 0.5  # a turn across north, by half a radian
    assert count_near(poses) == 9
    poses[:3, 2] = 1.5
    assert count_near(poses) == 6
    poses[:7, 0] = 2
    assert count_near(poses) == 2
    poses[:8, 1] = 2
    assert count_near(poses) == 1
