"""Starts can be looked at before a network is loaded."""

import shutil

from worldsim.world.starts import list_worlds, read_clip


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
    assert (read_clip(path, fps=0.7) == frames[-2:]).all()
    assert (read_clip(path, fps=100) == frames).all()
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    assert read_clip(tmp_path / "bad.npz", 7.5) is None
