"""Recordings looked through: scrubbed, beside other takes, browsed, exported."""

import dataclasses
import json
import re
import sys
import time
from pathlib import Path

import cv2
import gymnasium
import numpy as np
import pytest

import worldsim  # noqa: F401  registers the ids
from envs.world_model import WorldModelEnv
from tests.support.players import SECONDS, Seen
from worldsim.actions import load_actions
from worldsim.data.video import read_video
from worldsim.runtime.cli import replay
from worldsim.runtime.core.bindings import Bindings, read_bindings
from worldsim.runtime.core.control import Latch, RandomWalk
from worldsim.runtime.core.intents import REPLAY_INTENTS, build_key_hints
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.panels import comparison
from worldsim.runtime.panels.comparison import ComparisonPanel
from worldsim.runtime.recording.export import export
from worldsim.runtime.recording.recorder import Recorder
from worldsim.runtime.recording.recording import read_recording
from worldsim.runtime.recording.recording_env import Projector, RecordingEnv
from worldsim.runtime.session.command_queue import Keys
from worldsim.runtime.session.loading import LoadedWorld
from worldsim.runtime.session.session import Session
from worldsim.runtime.session.state import State


def record(env, environment, kwargs, folder, frames=24):
    """A recording of random moves; its folder."""
    recorder = Recorder(folder, on=True)
    place = PlayableEnv(env, environment, kwargs)
    Session(LoadedWorld(place), RandomWalk(1), seed=4, fps=0, endless=True, recorder=recorder).run(
        frames
    )
    return recorder.made[0]


class Showing:
    """A recording in a session, keys to press, and what is shown."""

    def __init__(self, folder, world=None):
        recording = read_recording(folder)
        self.frames = recording.episode.frames
        recording_env, self.shown = RecordingEnv(recording, folder), Seen()
        bindings = Bindings(intents=REPLAY_INTENTS)
        opening = LoadedWorld(recording_env, bindings, title=recording.name)
        self.session = Session(opening, Projector(recording_env), seed=0, fps=0, sinks=[self.shown])
        self.session.comparisons = ComparisonPanel(recording, world)
        self.keys = Keys(opening, Latch(), self.session.command_queue)
        self.session.tick()
        self.key("p")

    def key(self, *names):
        for name in names:
            self.keys.down(name, 0.0)
            self.keys.up(name)
            for _ in range(100):
                if not self.session.tick() and self.session.state is not State.REWINDING:
                    break
        self.session.tick()
        return self

    def beside(self):
        """Recording, take and difference, once the take has come so far."""
        deadline = time.monotonic() + SECONDS
        while len(panes := self.shown.status.panes) != 3 or panes[1].dimmed:
            self.session.publish()
            assert time.monotonic() < deadline
        return self.shown.status.panes

    @property
    def number(self):
        return self.session.number


@pytest.fixture
def fake(make_fake_world, tmp_path):
    return record(WorldModelEnv(make_fake_world()), "FARDMLab-v0", {}, tmp_path / "recordings")


def test_scrubbing_goes_where_it_is_asked(fake):
    showing = Showing(fake)
    showing.key("home", "p") if showing.number else None
    at = showing.number
    assert showing.key("ctrl+right").number == at + 10
    assert showing.key("left", "left").number == at + 8
    assert showing.key("right").number == at + 9
    assert np.array_equal(showing.shown.frame, showing.frames[at + 9])
    assert showing.key("ctrl+left").number == max(at - 1, 0)
    assert showing.key("end").number == 24
    assert np.array_equal(showing.shown.frame, showing.frames[-1])
    assert showing.key("right").number == 24
    assert showing.key("home").session.playthrough.track.number >= 0


def test_the_other_recordings_of_the_folder_are_browsed(fake, make_fake_world):
    other = record(
        WorldModelEnv(make_fake_world(name="other")), "FARDMLab-v0", {}, fake.parent, frames=7
    )
    showing = Showing(fake).key("b")
    labels = [pane.label for pane in showing.shown.status.panes]
    assert len(labels) == 2
    showing.key(str(1 + next(n for n, label in enumerate(labels) if other.name in label)))
    assert showing.session.playthrough.place.recording.name == other.name
    assert showing.shown.status.title == other.name
    assert showing.key("end").number == 7


def test_its_keys_are_named_unasked():
    """Of a recording only the way back was named, and not what compares it."""
    actions = dataclasses.replace(load_actions("dmlab"), keys={}, idle=None)
    hints = {hint.label: hint.meaning for hint in build_key_hints(actions, REPLAY_INTENTS)}
    assert (hints["Left"], hints["Right"]) == ("back", "forward")
    assert (hints["Tab"], hints["B"], hints["F1"]) == ("compare", "others", "all keys")
    assert "save" not in hints.values()


def test_a_lonely_recording_says_so(fake):
    assert "no other recording" in Showing(fake).key("b").shown.status.note


def test_a_dream_beside_its_truth_and_dreamt_again(tiny_world, engine, tmp_path, monkeypatch):
    """A start that an engine made is found again in it; the same world dreams the same again."""
    from worldsim.runtime.panels import ground_truth_source

    # The smallest world dreams 16 pixels, and the maze draws 64: every fourth one is the same.
    kwargs = {"world": str(tiny_world)}
    env = gymnasium.make("FARDMLab-v0", **kwargs)
    folder = record(env, "FARDMLab-v0", kwargs, tmp_path, frames=5)
    showing = Showing(folder).key("end", "tab")
    assert "has no ground truth" in showing.shown.status.note
    showing.key("tab")
    recorded, again, apart = showing.beside()
    assert again.label == "dreamt again"
    assert np.array_equal(again.frame, recorded.frame)
    assert not apart.frame.any()
    assert showing.shown.status.curve == pytest.approx([58.92], abs=0.01)
    assert showing.key("tab").shown.status.panes == ()
    assert ground_truth_source.find_truth(showing.session.playthrough.track.start, None) is None


def test_a_late_take_is_made_in_slices(tiny_world, tmp_path, monkeypatch):
    """Asked for at the end of a recording, it tells how far it is, and holds up nothing."""
    kwargs = {"world": str(tiny_world)}
    env = gymnasium.make("FARDMLab-v0", **kwargs)
    folder = record(env, "FARDMLab-v0", kwargs, tmp_path, frames=12)
    monkeypatch.setattr(comparison, "SLICE", 1e-9)  # one frame a slice
    showing = Showing(folder).key("end", "tab", "tab")
    behind = []
    while not behind or behind[-1] != "dreamt again":
        behind.append(showing.shown.status.panes[1].label)
        showing.session.publish()
        assert len(behind) < 99
    counts = [int(label.split()[2]) for label in behind[:-1]]
    assert counts == sorted(counts, reverse=True)
    assert len(counts) >= 6
    recorded, again, _ = showing.beside()
    assert np.array_equal(again.frame, recorded.frame)


def test_a_take_that_fails_is_gone_and_the_film_goes_on(tiny_world, tmp_path, monkeypatch):
    """It is asked for a frame while the window is told what to show: no place for an error."""
    kwargs = {"world": str(tiny_world)}
    env = gymnasium.make("FARDMLab-v0", **kwargs)
    folder = record(env, "FARDMLab-v0", kwargs, tmp_path, frames=5)
    showing = Showing(folder).key("home", "tab", "tab")
    assert showing.shown.status.panes

    def broken(self, number):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(comparison.DreamRerun, "frame", broken)
    showing.key("end")
    assert showing.number == 5
    assert showing.shown.status.panes == ()
    assert "out of memory" in showing.shown.status.trouble


def test_an_engines_recording_is_dreamt_in_another_world(engine, bundled_world, tmp_path):
    folder = record(gymnasium.make("Maze-v0"), "Maze-v0", {}, tmp_path, frames=7)
    showing = Showing(folder, world="dmlab").key("end", "tab")
    recorded, dreamt, _ = showing.beside()
    assert np.array_equal(recorded.frame, showing.frames[-1])
    assert dreamt.frame.shape == (64, 64, 3)
    assert not np.array_equal(dreamt.frame, recorded.frame)
    showing.key("ctrl+left")
    recorded, given, _ = showing.shown.status.panes
    assert np.array_equal(recorded.frame, given.frame)  # the context is shown as it is


def test_a_recording_of_an_engine_alone_has_nothing_beside_it(fake, engine, tmp_path):
    folder = record(gymnasium.make("Maze-v0"), "Maze-v0", {}, tmp_path / "engine", frames=3)
    assert "--world dreams it again" in Showing(folder).key("tab").shown.status.note


# ---- exports ----


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animations_have_every_frame(fake, tmp_path, suffix):
    recording, path = read_recording(fake), tmp_path / f"a{suffix}"
    export(recording, path, zoom=2)
    read, animation = cv2.imreadanimation(str(path))
    assert read
    frames = np.stack([frame[..., 2::-1] for frame in animation.frames])
    assert frames.shape == (25, 32, 32, 3)
    enlarged = recording.episode.frames.repeat(2, axis=1).repeat(2, axis=2)
    if suffix == ".webp":
        assert np.array_equal(frames, enlarged)
    else:  # 256 colours
        assert np.abs(frames.astype(int) - enlarged).mean() < 30
    assert list(tmp_path.glob(".export*")) == []


def test_a_contact_sheet(fake, tmp_path):
    recording = read_recording(fake)
    export(recording, tmp_path / "a.png", zoom=6)
    sheet = cv2.imread(str(tmp_path / "a.png"))[..., ::-1]
    first = sheet[4 : 4 + 32, 4 : 4 + 32]
    assert np.array_equal(first[::2, ::2], recording.episode.frames[0])


def test_a_page_needs_nothing_else(fake, tmp_path):
    """Every frame is in it, bit for bit, and nothing is fetched from anywhere."""
    import base64

    recording = read_recording(fake)
    export(recording, tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)|https?://""", page.replace("image.src=", ""))
    data = json.loads(re.search(r"const data=(.*);\n", page)[1])
    assert len(data["actions"]) == len(data["frames"]) == 25
    for picture, frame in zip(data["frames"], recording.episode.frames, strict=True):
        found = cv2.imdecode(np.frombuffer(base64.b64decode(picture), np.uint8), 1)
        assert np.array_equal(found[..., ::-1], frame)


@pytest.mark.parametrize("zoom", [4, 3])
def test_a_film_for_everyone(fake, tmp_path, zoom):
    """H.264 that browsers play: every frame, in its order, at the recording's pace."""
    import av

    recording, path = read_recording(fake), tmp_path / "a.mp4"
    export(recording, path, zoom=zoom)
    with av.open(str(path)) as recording_env:
        (stream,) = recording_env.streams
        assert (stream.codec.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert float(stream.average_rate) == recording.fps
    frames = read_video(path)
    assert frames.shape == (25, 16 * zoom, 16 * zoom, 3)
    true = recording.episode.frames.repeat(zoom, axis=1).repeat(zoom, axis=2).astype(int)
    apart = [[np.abs(one - other).mean() for other in true] for one in frames[::6]]
    assert np.argmin(apart, axis=1).tolist() == [0, 6, 12, 18, 24]


def test_without_the_extra_a_film_is_one_sentence(fake, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ValueError, match=r"pip install 'worldsim\[video\]'"):
        export(read_recording(fake), tmp_path / "a.mp4")
    assert list(tmp_path.glob("*.mp4")) == []


def test_what_cannot_be_written_is_one_sentence(fake):
    """Not even root writes there."""
    for name in ("a.mp4", "a.gif", "a.html"):
        with pytest.raises(OSError, match="/proc"):
            export(read_recording(fake), Path("/proc") / name)


def test_an_unknown_kind_is_one_sentence(fake, tmp_path):
    with pytest.raises(ValueError, match=r"must end in one of \.gif"):
        export(read_recording(fake), tmp_path / "a.doc")


def test_the_command_exports_and_lists(fake, tmp_path, capsys):
    path = tmp_path / "out" / "a.gif"
    assert replay.main([str(fake), "--export", str(path)]) == 0
    assert path.is_file()
    assert replay.main([str(fake.parent), "--headless"]) == 0
    assert f"{fake.name}: 25 frames" in capsys.readouterr().out


def test_own_keys_serve_films_too(tmp_path):
    """One file names keys of playing and of films; each takes what it knows."""
    path = tmp_path / "keys.yaml"
    path.write_text(
        "intents: {pause: [k], comparison: [y], ground: [z]}\nactions: {forward: [i]}\n"
    )
    found = {intent.name: intent.keys for intent in read_bindings(path, REPLAY_INTENTS).intents}
    assert found["pause"][0] == "k"
    assert found["comparison"][0] == "y"
    assert found["browse"] == next(i.keys for i in REPLAY_INTENTS if i.name == "browse")
    assert "ground" not in found
    assert "comparison" not in {intent.name for intent in read_bindings(path).intents}
    path.write_text("intents: {browse: [u]}\n")
    with pytest.raises(ValueError, match="'u' means both 'same_start' and 'browse'"):
        read_bindings(path, REPLAY_INTENTS)
