"""Continuous actions in recordings, saves and rewinding: kept in float32 and made again exactly."""

import dataclasses

import numpy as np
import pytest

from envs.world_model import WorldModelEnv
from tests.support.players import Played
from worldsim.cli import main as cli
from worldsim.data.store import read_episode
from worldsim.runtime.cli.replay import find_first_difference
from worldsim.runtime.cli.replay import main as replay
from worldsim.runtime.core.control import Script
from worldsim.runtime.core.drivers import Follower
from worldsim.runtime.core.moves import Move, Moves, Point, Start, Step, pack, unpack
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.recording import recording as recordings
from worldsim.runtime.recording.journal import Journal
from worldsim.runtime.recording.recorder import Recorder
from worldsim.runtime.recording.recording import list_recordings, read_recording, recover
from worldsim.runtime.recording.saves import Saves
from worldsim.runtime.recording.start_from_file import start_from
from worldsim.runtime.session.loading import LoadedWorld
from worldsim.world.model import load_world

LEFT, RIGHT, FORWARD, STAND = range(4)
WAY = [FORWARD, (7.3, 0.5), LEFT, (-3.1, 0.0), (0.0, 0.25), STAND, (22.5, 0.0)]
IDS = [FORWARD, FORWARD, LEFT, STAND, STAND, STAND, LEFT]


def drift(frame, actions, rng):
    """A policy of continuous actions; a test names it `tests_policy:drift`."""
    return np.array([rng.uniform(-22, 22), rng.uniform()], np.float32)


@pytest.fixture(scope="module")
def world(tiny_spatial_world):
    return load_world(tiny_spatial_world)


@pytest.fixture
def place(world, tiny_spatial_world):
    made = PlayableEnv(WorldModelEnv(world), "FARDMLab-v0", {"world": str(tiny_spatial_world)})
    yield made
    made.close()


def play(place, folder, way=WAY, **options):
    recorder = Recorder(folder, on=True)
    options |= {"recorder": recorder, "saves": Saves(folder / "saves"), "seed": 3}
    return Played(LoadedWorld(place), Script(way), **options).ticks(1 + len(way))


def only_recording(folder):
    (path,) = list_recordings(folder)
    return read_recording(path)


def test_ids_and_controls_are_recorded_and_made_again(place, tmp_path):
    play(place, tmp_path).session.close()
    recording = only_recording(tmp_path)
    assert recording.episode.actions.tolist() == IDS
    told = [tuple(np.float32(one).tolist()) if isinstance(one, tuple) else one for one in WAY]
    assert [move.taken for move in recording.moves] == told
    assert find_first_difference(recording, remake(place)) is None
    other = dataclasses.replace(recording.episode, controls=recording.episode.controls * 0.5)
    changed = dataclasses.replace(recording, episode=other)
    assert find_first_difference(changed, remake(place)) == 2


def remake(place):
    return PlayableEnv(WorldModelEnv(place.base.world), "FARDMLab-v0", place.identity.kwargs)


def test_a_recording_of_ids_alone_has_no_controls(place, tmp_path):
    play(place, tmp_path, [FORWARD, LEFT]).session.close()
    assert only_recording(tmp_path).episode.controls is None
    (path,) = list_recordings(tmp_path)
    with np.load(path / "episode.npz") as file:
        assert "controls" not in file


def test_a_recording_from_the_middle_keeps_the_way_there(place, tmp_path):
    played = play(place, tmp_path)
    played.session.recorder.stop()
    played.session.controller = Script([(1.5, 0.5), FORWARD])
    played.session.controller.meet(place.actions)
    played.session.recorder.start(played.session.playthrough.track.point())
    played.ticks(2).session.close()
    first, second = map(read_recording, list_recordings(tmp_path))
    assert [move.taken for move in second.point.moves] == [move.taken for move in first.moves]
    assert second.point.lead_controls.dtype == np.float32
    assert find_first_difference(second, remake(place)) is None


def test_a_journal_that_was_cut_short_is_finished_with_them(place, tmp_path):
    """Its last record lacks a byte, as after kill -9 in the middle of it."""
    played = play(place, tmp_path / "whole")
    frame = played.seen.lines[0].frame
    steps = played.seen.steps
    played.session.close()
    facts = {"format": 1, "action_set": "dmlab", "fps": 7.5, "made_by": {}}
    journal = Journal(tmp_path / "left-20261130-120000-1.journal")
    point = Point(start=place.start(3), lead_in=np.zeros((0, 3), np.int32), frame=frame)
    journal.append(pack(point, facts | place.identity.as_json()))
    for step in steps:
        journal.append(recordings.pack_step(step))
    journal.close()
    data = journal.path.read_bytes()
    journal.path.write_bytes(data[:-1])
    (made,) = recover(tmp_path).made
    controls = read_recording(made).episode.controls
    wanted = only_recording(tmp_path / "whole").episode.controls
    assert np.array_equal(controls, wanted[:-1], equal_nan=True)


def test_going_back_and_quick_saves_follow_them(place, tmp_path):
    played = play(place, tmp_path)
    frames = [step.frame for step in played.seen.steps]
    played.session.save()
    played.session.rewind(3)
    played.settle()
    assert played.number == len(WAY) - 3
    played.session.controller = Script(WAY[-3:])
    played.session.controller.meet(place.actions)
    played.ticks(3)
    again = [step.frame for step in played.seen.steps]
    assert np.array_equal(again[-3:], frames[-3:])
    played.tap("f9")
    played.ticks(1).settle()
    track = played.session.playthrough.track
    assert np.array_equal(played.session.frame, frames[-1])
    assert track.moves.controls().shape == (len(WAY), 2)
    played.session.close()


def test_a_start_is_packed_with_them():
    frame, moves = np.zeros((4, 4, 3), np.uint8), Moves()
    for move in (Move(2, 1), Move(0, 1, 5, (2.5, 0.5))):
        moves.append(move)
    start = Start(
        seed=1,
        context_frames=frame[None].repeat(2, 0),
        context_actions=np.array([2]),
        context_controls=np.array([[1.0, 0.5]], np.float32),
    )
    point = Point(start=start, lead_in=moves.array(), frame=frame, lead_controls=moves.controls())
    kept, _ = unpack(pack(point, {}), "a start")
    assert list(kept.moves) == [Move(2, 1), Move(0, 1, 5, (2.5, 0.5))]
    assert np.array_equal(kept.start.context_controls, start.context_controls)
    odd = dataclasses.replace(point, lead_controls=np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="do not fit together"):
        unpack(pack(odd, {}), "a start")


def test_moves_that_grow_and_are_cut_keep_their_controls():
    moves = Moves()
    for number in range(200):
        control = (float(number % 20), 0.5) if number % 2 else None
        moves.append(Move(number % 4, 1, 0, control))
    moves.cut(150)
    assert moves[149] == Move(1, 1, 0, (9.0, 0.5))
    assert moves[148].control is None
    assert moves.controls(2).shape == (2, 2)
    assert moves.controls(1) is None


def test_a_recording_is_a_start_whose_rest_is_followed(place, tmp_path):
    play(place, tmp_path).session.close()
    (path,) = list_recordings(tmp_path)
    place = remake(place)
    start, _ = start_from(path, place, seed=0)
    assert start.context_controls.shape == (len(start.context_actions), 2)
    assert place.reset(start).pose is not None
    follower = Follower()
    follower.meet(place.actions)
    follower.begin(place_point(start))
    choice = follower.choose(start.context_frames[-1])
    assert choice.control == tuple(np.float32(WAY[3]).tolist())


def place_point(start):
    return Point(start=start, lead_in=np.zeros((0, 3), np.int32), frame=start.context_frames[-1])


def test_a_step_is_packed_and_read_with_and_without_them():
    frame = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    for control in (None, (2.5, 0.25)):
        step = Step(
            number=1, move=Move(1, 4, 5, control), frame=frame, reward=0.5, pose=None, seconds=0.0
        )
        row = recordings._unpack_step(recordings.pack_step(step), frame.shape)
        assert row.move == step.move
        assert np.array_equal(row.frame, frame)
    with pytest.raises(ValueError, match="control must be 8 bytes, got 7"):
        recordings._unpack_step(recordings.pack_step(step)[:-1], frame.shape)


def test_rollouts_of_a_policy_of_numbers_are_verified(tiny_spatial_world, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "tests_policy.py").write_text(
        "from tests.worldsim.runtime.recording.test_recording import drift\n"
    )
    out = tmp_path / "out"
    how = ["--policy", "tests_policy:drift", "--episodes", "2", "--steps", "5"]
    assert cli(["rollout", "--world", str(tiny_spatial_world), "--out", str(out), *how]) == 0
    for path in list_recordings(out):
        assert replay([str(path), "--verify"]) == 0
        controls = read_episode(path / "episode.npz").controls
        assert controls.shape == (5, 2)
        assert len(np.unique(controls)) == 10
