"""Sounds: what is to be heard when, that each is a sound, and that a recording is the same with and
without them. SDL's dummy driver plays.
"""

import numpy as np
import pytest

from envs.world_model import WorldModelEnv
from worldsim.actions import load_actions
from worldsim.runtime.core.control import Script
from worldsim.runtime.core.moves import Move, Step
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.core.sound_cues import BUMP, CUES, INVENTION, RECALL, STEP, SoundCues
from worldsim.runtime.recording.recorder import Recorder
from worldsim.runtime.recording.recording import list_recordings, read_recording
from worldsim.runtime.session.loading import LoadedWorld
from worldsim.runtime.session.session import Session
from worldsim.runtime.window.sound import LOUD, RATE, Sounds, synthesise

MAZE = load_actions("dmlab")


def step_to(pose, action="forward", control=None):
    frame, move = np.zeros((2, 2, 3), np.uint8), Move(MAZE.id(action), 1, 0, control)
    pose = None if pose is None else np.array(pose, np.float32)
    return Step(number=1, move=move, frame=frame, reward=0.0, pose=pose, seconds=0.0)


def test_a_walk_that_gets_nowhere_is_a_bump():
    cues = SoundCues()
    cues.begin(np.zeros(3, np.float32))
    walked = [(0.4, 0, 0), (0.4, 0, 0), (0.45, 0, 0), (0.8, 0, 0)]
    heard = [cues.find_step(step_to(pose), MAZE) for pose in walked]
    assert heard == [STEP, BUMP, BUMP, STEP]
    assert cues.find_step(step_to((0.8, 0, 1), "left"), MAZE) is None
    assert cues.find_step(step_to((0.8, 0, 1), "stand"), MAZE) is None
    assert cues.find_step(step_to(None), MAZE) == STEP


def test_part_of_a_step_is_no_bump_where_it_is_free():
    cues = SoundCues()
    cues.begin(np.zeros(3, np.float32))
    walked = {(0.4, 0, 0): (0, 1.0), (0.48, 0, 0): (5.0, 0.2), (0.49, 0, 0): (0.0, 0.2)}
    heard = [cues.find_step(step_to(pose, control=told), MAZE) for pose, told in walked.items()]
    assert heard == [STEP, STEP, BUMP]
    assert cues.find_step(step_to((0.49, 0, 0), control=(5.0, 0.0)), MAZE) is None


def test_a_tone_where_memory_comes_and_goes():
    cues = SoundCues()
    shares = (0.9, 0.9, 0.5, 0.2, 0.1, None, 0.6, 0.8)
    heard = [cues.find_change(share) for share in shares]
    assert heard == [None, None, None, INVENTION, None, None, None, RECALL]
    cues.begin(None)
    assert cues.find_change(0.1) is None  # a new line begins in silence


@pytest.mark.parametrize("cue", CUES)
def test_a_cue_is_a_short_sound_without_clicks(cue):
    sound = synthesise(cue)
    assert sound.dtype == np.int16
    assert len(sound) < RATE / 2
    assert 0.05 * 32767 < np.abs(sound.astype(int)).max() <= LOUD * 32767 + 1
    assert np.abs(sound[[0, -1]].astype(int)).max() < 40
    np.testing.assert_array_equal(sound, synthesise(cue))


def record(world, folder, *sinks):
    """A recording of a few moves, watched by sinks."""
    place = PlayableEnv(WorldModelEnv(world), "FARDMLab-v0", {"world": world.card.name})
    script, recorder = Script([2, 2, 0, 2]), Recorder(folder, on=True)
    options = {"fps": 0, "seed": 3, "runs_on": False, "recorder": recorder, "sinks": sinks}
    session = Session(LoadedWorld(place), script, **options)
    for _ in range(5):
        session.tick()
    session.close()
    return read_recording(next(list_recordings(folder)))


def test_a_recording_is_the_same_with_and_without_sound(make_fake_world, tmp_path):
    world = make_fake_world()
    sounds = Sounds(lambda: world.actions)
    heard, silent = record(world, tmp_path / "a", sounds), record(world, tmp_path / "b")
    assert sounds.played[STEP] + sounds.played[BUMP] == 3
    np.testing.assert_array_equal(heard.episode.frames, silent.episode.frames)
    np.testing.assert_array_equal(heard.episode.actions, silent.episode.actions)
    assert heard.hashes == silent.hashes


def test_without_an_audio_device_it_is_silent(monkeypatch):
    from worldsim.runtime.window import sound

    def refuse(*_):
        raise sound.pygame.error("no device")

    monkeypatch.setattr(sound.pygame.mixer, "init", refuse)
    sounds = Sounds(lambda: MAZE)
    sounds.step(step_to(None))
    assert sounds.played[STEP] == 1
