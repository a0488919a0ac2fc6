"""The last seconds of play as files to show around."""

import cv2
import numpy as np
import pytest

from envs.world_model import WorldModelEnv
from tests.support.players import Played, until
from worldsim.runtime.cli.replay import find_first_difference
from worldsim.runtime.core.control import Script
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.recording import share as share_module
from worldsim.runtime.recording.recording import read_recording
from worldsim.runtime.recording.share import Sharer, encode_clip
from worldsim.runtime.session.loading import LoadedWorld


@pytest.fixture
def played(make_fake_world, tmp_path):
    """A walk of 30 moves at 2 frames a second, of which the last 20 are ten seconds."""
    place = PlayableEnv(WorldModelEnv(make_fake_world()), "FARDMLab-v0", {})
    sharer = Sharer(tmp_path / "my shares")
    return Played(LoadedWorld(place), Script([2, 0, 1] * 10), fps=2, sharer=sharer)


def walk(played, moves):
    while played.number < moves:
        played.ticks()
        played.clock.sleep(0.5)


def share(played):
    played.tap("f8")
    played.ticks()
    played.session.sharer.close()
    played.clock.sleep(1)
    played.ticks()


def test_the_last_ten_seconds_can_be_seen_and_made_again(played, tmp_path):
    walk(played, 30)
    share(played)
    (folder,) = played.session.sharer.made
    recording = read_recording(folder)
    track = played.session.playthrough.track
    shown = [track.history[n].frame for n in range(10, 31)]
    assert np.array_equal(recording.episode.frames, np.stack(shown))
    assert find_first_difference(recording, played.place) is None
    clip = cv2.imreadanimation(str(folder.with_suffix(".webp")))[1]
    assert len(clip.frames) == 21
    assert {path.suffix for path in folder.parent.iterdir()} >= {"", ".webp", ".mp4"}
    assert played.seen.status.copied == f"worldsim replay '{folder}'"
    assert folder.name in played.note


def test_before_the_first_move_there_is_nothing_to_share(played):
    share(played)
    assert "walk first" in played.note
    assert not played.session.sharer.made


def test_a_folder_that_takes_nothing_is_told(make_fake_world, tmp_path):
    (tmp_path / "file").write_text("")
    place = PlayableEnv(WorldModelEnv(make_fake_world()), "FARDMLab-v0", {})
    played = Played(LoadedWorld(place), Script([2, 2]), fps=2, sharer=Sharer(tmp_path / "file"))
    walk(played, 2)
    share(played)
    until(lambda: played.ticks().note)
    assert "could not be written" in played.note


@pytest.mark.parametrize("most", [40_000, 6_000])
def test_a_clip_is_as_small_as_it_must_be(most, monkeypatch):
    """A minute of GIF took 15.6 MB."""
    monkeypatch.setattr(share_module, "SIDE", 32)
    frames = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3)).astype(np.uint8)
    assert len(encode_clip(list(frames), 10.0, most)) <= most
