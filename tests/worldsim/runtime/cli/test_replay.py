"""Replaying: shown as it was recorded, verified bit for bit."""

import dataclasses
import json
import shutil

import gymnasium
import numpy as np
import pytest

import worldsim  # noqa: F401  registers the ids
from envs.world_model import WorldModelEnv
from tests.support.players import Seen
from worldsim.data.store import EpisodeStore, read_episode
from worldsim.runtime.cli import replay
from worldsim.runtime.core.control import RandomWalk, Script
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.recording.recorder import Recorder
from worldsim.runtime.recording.recording import EPISODE, META, read_recording
from worldsim.runtime.recording.recording_env import Projector, RecordingEnv
from worldsim.runtime.session.loading import LoadedWorld
from worldsim.runtime.session.session import Session
from worldsim.runtime.session.state import State


def record(env, environment, kwargs, folder, frames=12):
    place = PlayableEnv(env, environment, kwargs)
    recorder = Recorder(folder, on=True)
    Session(LoadedWorld(place), RandomWalk(1), seed=4, fps=0, endless=True, recorder=recorder).run(
        frames
    )
    (made,) = recorder.made
    return made


def change(folder, **changes):
    """Write other values over what an episode file holds."""
    episode = read_episode(folder / EPISODE)
    (folder / EPISODE).unlink()
    EpisodeStore(folder).append(dataclasses.replace(episode, **changes), name="episode")


def change_meta(folder, **changes):
    meta = json.loads((folder / META).read_text())
    (folder / META).write_text(json.dumps(meta | changes))


@pytest.fixture
def fake(make_fake_world, tmp_path):
    """The folder of a recording in a fake world."""
    return record(WorldModelEnv(make_fake_world()), "FARDMLab-v0", {}, tmp_path)


@pytest.fixture
def maze(engine, tmp_path):
    """The folder of a recording in the engine."""
    return record(gymnasium.make("Maze-v0"), "Maze-v0", {}, tmp_path)


def test_a_maze_is_verified(maze, capsys):
    assert replay.main([str(maze), "--verify"]) == 0
    assert capsys.readouterr().out == "13 frames, all equal\n"


def test_a_dream_is_verified(tiny_world, tmp_path, capsys):
    kwargs = {"world": str(tiny_world), "steps": 2, "context_noise": 0.5, "device": "cpu"}
    folder = record(gymnasium.make("FARDMLab-v0", **kwargs), "FARDMLab-v0", kwargs, tmp_path)
    assert replay.main([str(folder), "--verify"]) == 0
    assert capsys.readouterr().out == "13 frames, all equal\n"
    recording = read_recording(folder)
    assert (set(recording.steps), set(recording.noise)) == ({2}, {50})


def test_a_dream_whose_world_was_moved_is_found(tiny_world, tmp_path, capsys):
    kwargs = {"world": str(tiny_world)}
    folder = record(gymnasium.make("FARDMLab-v0", **kwargs), "FARDMLab-v0", kwargs, tmp_path)
    moved = shutil.copytree(tiny_world, tmp_path / "moved")
    change_meta(folder, kwargs={"world": str(tmp_path / "nowhere")})
    assert replay.main([str(folder), "--verify", "--world", str(moved)]) == 0


@pytest.mark.parametrize("frame", [0, 5, 12])
def test_a_changed_pixel_is_found(maze, capsys, frame):
    frames = read_episode(maze / EPISODE).frames.copy()
    frames[frame, 3, 4, 1] ^= 1
    change(maze, frames=frames)
    assert replay.main([str(maze), "--verify"]) == 1
    assert capsys.readouterr().out == f"13 frames, first difference at frame {frame}\n"


def test_a_changed_action_is_found(maze, capsys):
    actions = read_episode(maze / EPISODE).actions.copy()
    actions[4] = (actions[4] + 1) % 2
    change(maze, actions=actions)
    assert replay.main([str(maze), "--verify"]) == 1
    assert "first difference at frame 5" in capsys.readouterr().out


def test_a_recording_can_drive_its_world_again(fake, make_fake_world):
    recording = read_recording(fake)
    place, shown = PlayableEnv(WorldModelEnv(make_fake_world()), "FARDMLab-v0", {}), Seen()
    driver = Script(recording.episode.actions)
    session = Session(LoadedWorld(place), driver, seed=4, fps=0, runs_on=False, sinks=[shown])
    for _ in range(20):
        session.tick()
    assert np.array_equal(shown.frames[:13], recording.episode.frames)
    assert session.state is State.WAITING


def test_another_world_is_refused(fake, make_fake_world):
    other = PlayableEnv(WorldModelEnv(make_fake_world(name="other")), "FARDMLab-v0", {})
    with pytest.raises(ValueError, match=r"recorded in fake .* and not in other"):
        replay.find_first_difference(read_recording(fake), other)


def test_headless_says_what_it_is(maze, capsys):
    assert replay.main([str(maze), "--headless"]) == 0
    assert "13 frames of 64x64 in Maze-v0, seed 4, 7.5 fps" in capsys.readouterr().out


def test_no_recording_is_one_sentence(tmp_path, fake):
    with pytest.raises(ValueError, match=f"it holds 1, e.g. {fake}"):
        read_recording(fake.parent)
    with pytest.raises(ValueError, match=r"must hold episode.npz, start.zip and meta.json"):
        read_recording(tmp_path / "nothing")
    with pytest.raises(ValueError, match="there is no journal"):
        read_recording(tmp_path / "a.journal")


@pytest.mark.parametrize("name", ["a.journal", "a.journal.bad"])
def test_what_was_cut_short_is_named_with_how_to_recover_it(tmp_path, name):
    """Two recordings that one signal ended left journals alone, and no word of them."""
    (tmp_path / name).write_bytes(b"")
    for given in (tmp_path, tmp_path / "a" if name == "a.journal" else tmp_path):
        with pytest.raises(ValueError, match="cut short") as caught:
            replay.main([str(given), "--headless"])
        assert f"worldsim replay '{tmp_path / name}' --headless" in str(caught.value)


@pytest.mark.parametrize("name", ["episode.npz", "start.zip", "meta.json"])
@pytest.mark.parametrize("damage", [b"", b"<html>", None])
def test_a_damaged_recording_is_one_sentence(fake, name, damage):
    whole = (fake / name).read_bytes()
    (fake / name).write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    with pytest.raises(ValueError, match="damaged"):
        read_recording(fake)


@pytest.mark.parametrize("threads", [10**9, 0, -4, "x", 1.5])
def test_odd_numbers_of_threads_are_refused(fake, threads):
    """Libgomp ended the process: it had no 216 GB."""
    meta = json.loads((fake / META).read_text())
    (fake / META).write_text(json.dumps(meta | {"made_by": meta["made_by"] | {"threads": threads}}))
    with pytest.raises(ValueError, match="threads must be a whole number"):
        read_recording(fake)


def test_meta_about_other_frames_is_refused(fake):
    change_meta(fake, sha256=["0"])
    with pytest.raises(ValueError, match="about other frames"):
        read_recording(fake)


def test_a_film_shows_the_recorded_frames_and_can_be_gone_through(fake):
    recording = read_recording(fake)
    recording_env, shown = RecordingEnv(recording), Seen()
    session = Session(
        LoadedWorld(recording_env), Projector(recording_env), seed=4, fps=0, sinks=[shown]
    )
    for _ in range(20):
        session.tick()
    assert np.array_equal(shown.frames[:13], recording.episode.frames)
    assert np.array_equal(session.frame, recording.episode.frames[-1])
    session.command_queue.put("one_step")
    session.tick()
    assert session.playthrough.track.number == 12
    session.pause()
    session.pause()
    session.rewind(5)
    while session.state is State.REWINDING:
        session.tick()
    assert session.state is State.PAUSED
    session.command_queue.put("one_step")
    session.tick()
    assert np.array_equal(session.frame, recording.episode.frames[8])
    session.command_queue.put("new_start")
    session.tick()
    assert np.array_equal(shown.frames[-1], recording.episode.frames[1])
    for name in ("save", "load", "record"):
        session.command_queue.put(name)
    session.tick()
    session.close()
