"""What the window shows of a memory in space, and what it says where there is none."""

import sys

import numpy as np
import pytest

import worldsim  # noqa: F401  registers the environments
from envs.world_model import WorldModelEnv
from tests.support.players import Played
from worldsim.runtime.core.control import Keyboard
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.core.status import format_help
from worldsim.runtime.panels.space_memory import tint
from worldsim.runtime.recording.saves import Saves
from worldsim.runtime.session.loading import LoadedWorld

KEYS = ("f2", "f3", "f4", "f7")


def play(world, folder):
    place = PlayableEnv(WorldModelEnv(world), "FARDMLab-v0", {"world": str(world)})
    return Played(LoadedWorld(place), Keyboard(), saves=Saves(folder))


@pytest.fixture(params=["tiny_spatial_world", "tiny_videoar_spatial_world"])
def played(request, tmp_path):
    played = play(request.getfixturevalue(request.param), tmp_path)
    played.session.go([0, 2])
    return played.ticks(3)


def test_what_is_invented_is_coloured(played):
    status = played.seen.status
    seen = played.place.seen
    assert status.invented is None
    assert status.seen_share == pytest.approx(seen.mean())
    played.tap("f2")
    played.ticks(2)
    assert np.array_equal(played.seen.status.invented, ~seen)
    played.tap("f2")
    played.ticks(2)
    assert played.seen.status.invented is None


def test_the_tint_leaves_what_is_remembered_as_it_is():
    frame = np.full((4, 4, 3), 100, np.uint8)
    invented = np.zeros((4, 4), bool)
    invented[1:3] = True
    tinted = tint(frame, invented)
    assert np.array_equal(tinted[~invented], frame[~invented])
    assert (tinted[invented] == (165, 130, 50)).all()
    with pytest.raises(ValueError, match="must be of shape"):
        tint(frame, invented[:2])


def test_the_map_stands_beside_the_dream(played):
    played.tap("f3")
    played.ticks(2)
    dream, above = played.panes
    assert (dream.newest, above.newest) == (True, False)
    assert np.array_equal(dream.frame, played.session.frame)
    assert np.array_equal(above.frame, played.place.draw_map(128, 4.0))
    played.tap("f3")
    played.ticks(2)
    assert not played.panes


def test_points_are_written_and_never_over_others(played, tmp_path):
    for number in (1, 2):
        played.tap("f4")
        played.ticks(2)
        (path,) = tmp_path.rglob(f"points-{number}.ply")
        assert path.read_bytes().startswith(b"ply")
        assert str(path) in played.note


def test_a_world_without_it_says_so_before_and_after_the_key(make_fake_world, tmp_path):
    played = play(make_fake_world(), tmp_path).ticks(2)
    lines = format_help(played.place.actions, lacking=played.seen.status.lacking)
    assert sum("needs a world with a memory in space" in line for line in lines) == len(KEYS)
    for key in KEYS:
        played.tap(key)
        played.ticks(2)
        assert "no memory in space" in played.note
    assert not list(tmp_path.iterdir())


def test_a_missing_engine_is_told_in_the_help_and_greyed(make_fake_world, tmp_path, monkeypatch):
    from worldsim.runtime.core.status import Dimmed
    from worldsim.runtime.panels import lacking

    world = make_fake_world()
    world.card.engine = "Maze-v0"
    monkeypatch.setitem(sys.modules, "mujoco", None)
    lacking.find_remedy.cache_clear()
    found = play(world, tmp_path).ticks(2).seen.status.lacking
    lacking.find_remedy.cache_clear()
    assert found["ground_truth"] == "needs the engine: pip install 'worldsim[maze]'"
    lines = format_help(world.actions, lacking=found)
    dim = [line for line in lines if isinstance(line, Dimmed)]
    assert sum("worldsim[maze]" in line for line in dim) == 1
    assert len(dim) > len(KEYS)
