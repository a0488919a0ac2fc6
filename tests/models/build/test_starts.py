"""Starts are the walks with the best views, and have names."""

import json

import numpy as np
import pytest

from models.build.starts import FAR, measure_openness, name_starts, rank_starts
from worldsim.types import Episode, EpisodeMeta
from worldsim.world.checkpoint import check_world

META = EpisodeMeta(source="noise", action_set="dmlab", fps=7.5)


def walk(depth, colour=0, frames=3, last=None):
    """A walk that sees one colour at one depth, and at its end another depth."""
    depths = np.full((frames, 6, 6), depth, np.float16)
    depths[-1] = depth if last is None else last
    pictures = np.full((frames, 16, 16, 3), colour, np.uint8)
    actions, rewards = np.zeros(frames - 1, np.int64), np.zeros(frames - 1, np.float32)
    return Episode(frames=pictures, actions=actions, rewards=rewards, depths=depths, meta=META)


def test_openness_is_how_far_the_middle_of_a_view_reaches():
    depths = np.full((6, 6), 100.0)  # floor and sky, whatever their depth
    depths[2:4] = FAR / 2
    assert measure_openness(depths) == pytest.approx(0.5)
    assert measure_openness(np.full((6, 6), 2 * FAR)) == 1.0
    assert measure_openness(np.zeros((6, 6))) == 0.0


def test_a_wall_comes_last_wherever_it_is_seen():
    """3 of 8 bundled starts of the maze looked at a wall."""
    walks = [walk(FAR, last=0.2), walk(0.2, last=FAR), walk(FAR), walk(FAR / 2)]
    assert rank_starts(walks)[:2] == [2, 3]


def test_among_views_as_open_an_unlike_one_comes_first():
    assert rank_starts([walk(FAR, 10), walk(FAR, 12), walk(FAR, 250)]) == [0, 2, 1]


def test_only_the_first_frames_count():
    late = walk(FAR, last=0.1)
    assert rank_starts([walk(FAR / 2), late], frames=2) == [1, 0]
    assert rank_starts([walk(FAR / 2), late]) == [0, 1]


def test_without_depth_the_order_stays():
    blind = Episode(
        frames=np.zeros((2, 16, 16, 3), np.uint8),
        actions=np.zeros(1, np.int64),
        rewards=np.zeros(1, np.float32),
        meta=META,
    )
    assert rank_starts([blind] * 3) == [0, 1, 2]
    assert rank_starts([]) == []


def test_names_change_no_identity(tiny_world, tmp_path):
    import shutil

    from worldsim.world.model import load_world

    folder = tmp_path / "tiny"
    shutil.copytree(tiny_world, folder)
    before = check_world(folder)
    first = sorted((folder / "spawns").glob("*.npz"))[0].stem
    assert name_starts(folder, {first: "The red corridor"}) == before
    assert json.loads((folder / "card.json").read_text())["starts"] == {first: "The red corridor"}
    names = [spawn.name for spawn in load_world(folder).spawns]
    assert names == ["The red corridor", "Start 2", "Start 3"]
    with pytest.raises(ValueError, match="got 'nowhere'"):
        name_starts(folder, {"nowhere": "The moon"})
