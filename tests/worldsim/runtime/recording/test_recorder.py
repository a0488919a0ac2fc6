"""Recordings: lossless, exact, whole or recovered; what cannot be kept is said."""

import errno
import json
import os
import resource
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envs.world_model import WorldModelEnv
from tests.support.players import ROOT, SECONDS, recorded_bytes, until
from worldsim.data.store import EpisodeStore
from worldsim.runtime.cli.replay import find_first_difference
from worldsim.runtime.core.control import RandomWalk, Script
from worldsim.runtime.core.moves import Moves
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.recording import journal as journals
from worldsim.runtime.recording import recorder as recorders
from worldsim.runtime.recording import recording as recordings
from worldsim.runtime.recording.journal import Journal, is_journal, read_journal
from worldsim.runtime.recording.recorder import Recorder
from worldsim.runtime.recording.recording import META, list_recordings, read_recording, recover
from worldsim.runtime.recording.saves import Saves
from worldsim.runtime.session.loading import LoadedWorld
from worldsim.runtime.session.session import Session
from worldsim.runtime.session.state import State


def make_place(world):
    return PlayableEnv(WorldModelEnv(world), "FARDMLab-v0", {"world": world.card.name})


def play(world, folder, actions, on=True, recorder=None, **options):
    """A session that recorded a script, still open, and its recorder."""
    recorder = recorder or Recorder(folder, on=on)
    options = {"fps": 0, "seed": 3, "runs_on": False, "saves": Saves(folder / "saves")} | options
    session = Session(LoadedWorld(make_place(world)), Script(actions), recorder=recorder, **options)
    ticks(session, 1 + len(actions))
    return session


def ticks(session, count):
    for _ in range(count):
        session.tick()


def settle(session):
    deadline = time.monotonic() + SECONDS
    while session.state is State.REWINDING:
        session.tick()
        assert time.monotonic() < deadline


def go_on(session, actions):
    session.controller = Script(actions)
    ticks(session, len(actions))


def read_all(folder):
    return [read_recording(path) for path in list_recordings(folder)]


def lengths(folder):
    return sorted(len(recording.episode) for recording in read_all(folder))


def written(folder):
    """How many steps are in the journal that is open; none while it has not even a beginning."""
    journals = [path for path in folder.glob("*.journal") if is_journal(path)]
    return sum(max(0, len(list(read_journal(path))) - 1) for path in journals)


@pytest.fixture
def world(make_fake_world):
    return make_fake_world()


# ---- what is kept ----


def test_a_recording_is_lossless_and_can_be_made_again(world, make_fake_world, tmp_path):
    actions = [2, 0, 2, 1, 2, 3]
    session = play(world, tmp_path, [])
    shown = [session.frame]
    for action in actions:
        go_on(session, [action])
        shown.append(session.frame)
    session.close()
    (recording,) = read_all(tmp_path)
    assert np.array_equal(recording.episode.frames, shown)
    assert recording.episode.actions.tolist() == actions
    assert recording.episode.poses.shape == (7, 3)
    assert np.array_equal(recording.point.start.context_frames[-1], shown[0])
    assert find_first_difference(recording, make_place(make_fake_world())) is None


def test_a_recording_does_not_need_the_worlds_spawns(world, make_fake_world, tmp_path):
    """The context travels with it: a world may be shipped with other spawns later."""
    play(world, tmp_path, [2, 0, 2]).close()
    (recording,) = read_all(tmp_path)
    moved = make_fake_world(spawns=1)
    moved.spawns[0].frames[:] = 0
    assert find_first_difference(recording, make_place(moved)) is None


def test_the_meta_says_how_it_was_made(world, tmp_path):
    session = play(world, tmp_path, [2, 2])
    session.command_queue.put("more_steps")
    session.command_queue.put("less_noise")
    go_on(session, [0])
    session.close()
    (folder,) = list_recordings(tmp_path)
    meta = json.loads((folder / META).read_text())
    assert meta["seed"] == 3
    assert (meta["world"], meta["world_hash"]) == ("fake", world.hash)
    assert meta["steps"] == [1, 1, 2]
    assert meta["context_noise"] == [40, 40, 30]
    assert len(meta["sha256"]) == meta["frames"] == 4
    assert meta["ended"] == "closed"
    assert meta["dropped"] == 0
    assert {"python", "numpy", "torch", "worldsim"} <= set(meta["made_by"])
    assert meta["actions"] == ["left", "right", "forward", "stand"]


def test_a_recording_is_training_data_as_it_is(world, tmp_path):
    play(world, tmp_path, [2, 0, 1]).close()
    (folder,) = list_recordings(tmp_path)
    (episode,) = EpisodeStore(folder)
    assert len(episode) == 3
    assert episode.meta.action_set == "dmlab"
    assert episode.meta.fps == 7.5


def test_a_recording_has_a_preview_to_look_at(world, tmp_path):
    play(world, tmp_path, [2, 0] * 150).close()
    (folder,) = list_recordings(tmp_path)
    read, preview = cv2.imreadanimation(str(folder / "preview.webp"))
    assert read
    assert len(preview.frames) == 151  # every other one of 301
    assert preview.frames[0].shape[:2] == (16, 16)
    assert preview.durations[0] == round(2 * 1000 / 7.5)


def test_recording_from_the_middle_can_be_made_again(world, make_fake_world, tmp_path):
    """The moves before it are kept, so that its first frame can be reached."""
    session = play(world, tmp_path, [2, 0, 2, 2], on=False)
    session.command_queue.put("record")
    go_on(session, [1, 2, 2])
    session.command_queue.put("record")
    go_on(session, [1])
    session.close()
    (recording,) = read_all(tmp_path)
    assert len(recording.episode) == 3
    assert recording.point.lead_in[:, 0].tolist() == [2, 0, 2, 2]
    assert find_first_difference(recording, make_place(make_fake_world())) is None


def test_leaving_the_line_begins_another_part(world, make_fake_world, tmp_path):
    """Each recording is one straight line, whatever the player did."""
    session = play(world, tmp_path, [2, 0, 2, 2, 1])
    session.save()
    session.rewind(3)
    settle(session)
    go_on(session, [1, 1])
    session.new_start()
    go_on(session, [2, 2, 2])
    session.load()
    settle(session)
    go_on(session, [0])
    session.close()
    found = read_all(tmp_path)
    assert sorted((len(r.point.lead_in), len(r.episode)) for r in found) == [
        (0, 3), (0, 5), (2, 2), (5, 1),
    ]  # fmt: skip
    for recording in found:
        assert find_first_difference(recording, make_place(make_fake_world())) is None


def test_a_line_without_a_step_leaves_nothing(world, tmp_path):
    session = play(world, tmp_path, [])
    session.new_start()
    session.close()
    assert not list(tmp_path.iterdir())


def test_a_part_that_becomes_whole_just_now_keeps_its_name(world, tmp_path, monkeypatch):
    """Its folder appears, then its journal goes: no other part may take the name in between."""
    made = []

    def late(path):
        if not made:
            (path.with_suffix("") / META).mkdir(parents=True)
        made.append(Journal(path))
        return made[-1]

    monkeypatch.setattr(recorders, "Journal", late)
    session = play(world, tmp_path, [2, 0])
    session.close()
    assert len(made) == 2
    (folder,) = (path for path in tmp_path.iterdir() if (path / META).is_file())
    assert len(read_recording(folder).episode) == 2
    assert not list(tmp_path.glob("*.journal"))


def test_a_long_recording_is_split_into_parts(world, make_fake_world, tmp_path):
    session = play(world, tmp_path, [2, 0] * 5, recorder=Recorder(tmp_path, on=True, part=4))
    session.close()
    assert lengths(tmp_path) == [2, 4, 4]
    parts = sorted(read_all(tmp_path), key=lambda part: len(part.point.lead_in))
    assert np.array_equal(parts[0].episode.frames[-1], parts[1].episode.frames[0])
    for part in parts:
        assert find_first_difference(part, make_place(make_fake_world())) is None


def test_two_recorders_at_once_never_collide(world, make_fake_world, tmp_path):
    sessions = [play(make_fake_world(), tmp_path, [2] * n) for n in (1, 2, 3)]
    for session in sessions:
        session.close()
    assert lengths(tmp_path) == [1, 2, 3]


ASKS = ("new_start", "same_start", "rewind", "save", "load", "record", "one_step")
ASKS += ("more_steps", "more_noise", "less_noise")


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from((*ASKS, *range(4), *range(4))), max_size=30))
def test_whatever_is_played_every_recording_is_exact(make_fake_world, tmp_path_factory, script):
    folder = tmp_path_factory.mktemp("play")
    session = play(make_fake_world(), folder, [])
    for item in script:
        if item == "rewind":
            session.rewind(2)
        elif isinstance(item, str):
            session.command_queue.put(item)
            session.tick()
        else:
            go_on(session, [item])
        settle(session)
    end = session.playthrough.track.point()
    session.close()
    place = make_place(make_fake_world())
    for recording in read_all(folder):
        assert find_first_difference(recording, place) is None
    frame = place.reset(end.start).frame
    for move in Moves(end.lead_in):
        frame = place.step(move).frame
    assert np.array_equal(frame, end.frame)


# ---- the journal ----


@given(st.lists(st.binary(max_size=60), max_size=6), st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_torn_journal_gives_its_whole_records(tmp_path_factory, records, data):
    path = tmp_path_factory.mktemp("journal") / "a.journal"
    journal = Journal(path)
    ends = [path.stat().st_size]
    for record in records:
        journal.append(record)
        ends.append(path.stat().st_size)
    journal.close()
    cut = data.draw(st.integers(ends[0], ends[-1]))
    os.truncate(path, cut)
    whole = sum(end <= cut for end in ends) - 1
    assert list(read_journal(path)) == records[:whole]


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_ends_a_journal_there(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("journal") / "a.journal"
    journal = Journal(path)
    records = [bytes([n]) * 20 for n in range(5)]
    for record in records:
        journal.append(record)
    journal.close()
    whole = bytearray(path.read_bytes())
    start = len(journals.MAGIC)
    bit = data.draw(st.integers(8 * start, 8 * len(whole) - 1))
    whole[bit // 8] ^= 1 << bit % 8
    path.write_bytes(whole)
    assert list(read_journal(path)) == records[: (bit // 8 - start) // 28]


def test_every_step_is_on_the_disk_before_anything_is_closed(world, tmp_path):
    """kill -9 asks nobody: the journal must hold what was played."""
    session = play(world, tmp_path, [2, 0, 2, 1])
    until(lambda: written(tmp_path) == 4)
    session.recorder._queue.put(None)  # its thread ends, and closes nothing
    session.recorder._thread.join()
    assert written(tmp_path) == 4
    assert recover(tmp_path).made == []  # it is locked: its writer is alive


def test_a_left_over_journal_is_recovered_at_the_next_start(world, make_fake_world, tmp_path):
    session = play(world, tmp_path, [2, 0, 2, 1])
    until(lambda: written(tmp_path) == 4)
    (journal,) = tmp_path.glob("*.journal")
    torn = tmp_path / "torn.journal"
    torn.write_bytes(journal.read_bytes()[:-7])
    recorder = Recorder(tmp_path)
    recorder.recover()
    recorder.close()
    assert recorder.recovered == [tmp_path / "torn"]
    assert not torn.exists()
    recording = read_recording(tmp_path / "torn")
    assert len(recording.episode) == 3
    assert find_first_difference(recording, make_place(make_fake_world())) is None
    session.close()
    assert lengths(tmp_path) == [3, 4]


def test_half_made_folders_of_killed_programs_are_cleared(world, tmp_path):
    """Their journals make them again; what is not ours, or is being made, stays."""
    session = play(world, tmp_path, [2, 0])
    until(lambda: written(tmp_path) == 2)
    (journal,) = tmp_path.glob("*.journal")
    left, alien, strange = (
        tmp_path / f".{name}"
        for name in ("fake-20260101-120000-1-abcd", "fake-20260101-120000-2-abcd", "fake-abcd")
    )
    being_made = tmp_path / f".{journal.stem}-abcd"
    for folder in (left, alien, strange, being_made):
        folder.mkdir()
        (folder / "start.zip").write_bytes(b"half")
        (folder / ".writing-x.tmp").write_bytes(b"half")
    (alien / "letter.txt").write_text("dear diary")
    recover(tmp_path)
    assert not left.exists()
    assert (alien / "letter.txt").exists()
    assert strange.exists()
    assert being_made.exists()
    session.close()
    assert lengths(tmp_path) == [2]


def test_what_is_no_journal_stays_where_it_is(tmp_path):
    (tmp_path / "notes.journal").write_text("dear diary")
    assert recover(tmp_path).made == []
    assert (tmp_path / "notes.journal").read_text() == "dear diary"


def framed(record):
    return struct.pack("<II", len(record), zlib.crc32(record)) + record


def test_a_damaged_journal_is_set_aside_and_the_next_are_finished(world, tmp_path):
    """It was tried again at every start, and the ones after it never were."""
    session = play(world, tmp_path, [2, 0, 2, 1])
    until(lambda: written(tmp_path) == 4)
    (journal,) = tmp_path.glob("*.journal")
    whole, step = journal.read_bytes(), list(read_journal(journal))[-1]
    session.close()
    for name, record in {"a": b"short", "b": step[:40], "c": step[:24] + b"no zlib"}.items():
        (tmp_path / f"{name}.journal").write_bytes(whole + framed(record))
    (tmp_path / "d.journal").write_bytes(journals.MAGIC + framed(b"no start"))
    (tmp_path / "e.journal").write_bytes(journals.MAGIC + whole[len(journals.MAGIC) + 9 :])
    (tmp_path / "f.journal").write_bytes(whole)
    recorder = Recorder(tmp_path)
    recorder.recover()
    recorder.close()
    assert recorder.recovered == [tmp_path / "f"]
    assert [path.name for path in recorder.aside] == [f"{name}.journal.bad" for name in "abcde"]
    assert (tmp_path / "a.journal.bad").read_bytes() == whole + framed(b"short")
    assert not list(tmp_path.glob("*.journal"))
    assert not list(tmp_path.glob(".*"))
    assert recover(tmp_path) == ([], [])
    (tmp_path / "g.journal.bad").write_bytes(whole)
    assert len(read_recording(tmp_path / "g.journal.bad").episode) == 4


def test_a_journal_that_takes_the_program_down_is_not_tried_for_ever(world, tmp_path, monkeypatch):
    class Killed(BaseException):
        """A fault of a library, after which nothing of Python runs."""

    def die(*_):
        raise Killed

    session = play(world, tmp_path, [2, 0])
    until(lambda: written(tmp_path) == 2)
    (journal,) = tmp_path.glob("*.journal")
    (tmp_path / "x.journal").write_bytes(journal.read_bytes())
    session.close()
    monkeypatch.setattr(recordings, "finish", die)
    for _ in range(2):
        with pytest.raises(Killed):
            recover(tmp_path)
    assert recover(tmp_path) == ([], [tmp_path / "x.journal.bad"])
    monkeypatch.undo()
    assert len(read_recording(tmp_path / "x.journal.bad").episode) == 2


def test_finishing_is_whole_or_not_at_all(world, tmp_path, monkeypatch):
    """A disk that fills up while a recording is finished: the journal stays, and nothing half."""
    session = play(world, tmp_path, [2, 0])
    until(lambda: written(tmp_path) == 2)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(recordings.json, "dumps", full)
        session.close()
    assert [path.suffix for path in tmp_path.iterdir()] == [".journal"]
    assert "No space left" in session.recorder.trouble
    assert len(recover(tmp_path).made) == 1
    assert lengths(tmp_path) == [2]


# ---- what goes wrong ----


@pytest.fixture
def small_files():
    """The kernel itself lets nobody here write more than so much into a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_refuses_stops_the_recording_and_play_goes_on(world, tmp_path, small_files):
    """The last write of a filling disk is a short one: what is half written must go again."""
    session = play(world, tmp_path, [2] * 60)
    until(lambda: session.recorder.trouble)
    go_on(session, [0, 1, 2])
    assert session.made == 63
    assert "File too large" in session.recorder.trouble
    assert session.recorder.label == ""
    small_files()
    session.close()
    recover(tmp_path)
    (recording,) = read_all(tmp_path)
    assert 0 < len(recording.episode) < 60
    assert find_first_difference(recording, make_place(world)) is None


def test_a_folder_that_cannot_be_made_is_told_and_play_goes_on(world, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    session = play(world, tmp_path, [2, 2], recorder=Recorder(tmp_path / "file", on=True))
    until(lambda: session.recorder.trouble)
    go_on(session, [2])
    assert session.made == 3
    assert "Recording stopped" in session.recorder.trouble
    session.close()


def test_recording_again_after_trouble(world, tmp_path):
    blocker = tmp_path / "folder"
    blocker.write_text("in the way")
    session = play(world, tmp_path, [2], recorder=Recorder(blocker, on=True))
    until(lambda: not session.recorder.on)
    blocker.unlink()
    session.command_queue.put("record")
    go_on(session, [2, 2])
    session.close()
    assert session.recorder.trouble == ""
    assert lengths(blocker) == [2]


def test_steps_that_do_not_fit_are_counted_and_the_rest_is_exact(
    world, make_fake_world, tmp_path, monkeypatch
):
    """A slow disk must not slow play; and what is missing must not be hidden."""
    gate, append = threading.Event(), Journal.append
    monkeypatch.setattr(Journal, "append", lambda *a: (gate.wait(SECONDS), append(*a)))
    recorder = Recorder(tmp_path, on=True, capacity=6)
    session = play(world, tmp_path, [2, 0, 1] * 7, recorder=recorder)
    assert "dropped" in recorder.label
    gate.set()
    until(recorder._queue.empty)
    go_on(session, [2, 2])
    session.close()
    parts = sorted(read_all(tmp_path), key=lambda part: len(part.point.lead_in))
    assert len(parts) == 2
    metas = [json.loads((tmp_path / part.name / META).read_text()) for part in parts]
    kept = sum(len(part.episode) for part in parts)
    assert sum(meta["dropped"] for meta in metas) == 23 - kept > 0
    for part in parts:
        assert find_first_difference(part, make_place(make_fake_world())) is None


def start_play(folder, *arguments):
    command = [sys.executable, ROOT / "play.py", "--env", "Maze-v0", "--headless", "1000000"]
    return subprocess.Popen(
        [*command, "--seed", "1", "--record", folder, *arguments], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("folder", ["/proc/recordings", "/dev/null/recordings"])
def test_a_folder_that_refuses_even_root_is_told_and_play_goes_on(world, folder):
    session = play(world, Path(folder), [2, 2], saves=Saves(Path(folder)))
    until(lambda: session.recorder.trouble)
    session.command_queue.put("save")
    go_on(session, [2])
    assert session.made == 3
    assert session.recorder.trouble.startswith("Recording stopped: ")
    assert folder in session.presenter.status(session).note
    session.close()


@pytest.mark.usefixtures("engine")
def test_two_programs_at_once_in_one_folder(tmp_path):
    """Neither takes the other's journal for a left-over, nor its name."""
    programs = [start_play(tmp_path, "--fps", "100") for _ in range(2)]
    until(lambda: len([j for j in tmp_path.glob("*.journal") if j.stat().st_size > 30_000]) == 2)
    for program in programs:
        program.terminate()
        program.communicate(timeout=SECONDS)
    assert [program.returncode for program in programs] == [143, 143]
    assert not list(tmp_path.glob("*.journal"))
    assert len(read_all(tmp_path)) == 2


@pytest.mark.usefixtures("engine")
def test_kill_nine_loses_nothing_that_was_written(tmp_path):
    process = start_play(tmp_path, "--fps", "100")
    until(lambda: recorded_bytes(tmp_path) > 100_000)
    process.kill()
    process.communicate()
    (journal,) = tmp_path.glob("*.journal")
    steps = len(list(read_journal(journal))) - 1
    (folder,) = recover(tmp_path).made
    recording = read_recording(folder)
    assert len(recording.episode) == steps > 10
    import gymnasium

    import worldsim  # noqa: F401  registers the ids

    place = PlayableEnv(gymnasium.make("Maze-v0"), "Maze-v0", {})
    assert find_first_difference(recording, place) is None


@pytest.mark.usefixtures("engine")
def test_a_signal_to_end_finishes_the_recording(tmp_path):
    process = start_play(tmp_path, "--fps", "100")
    until(lambda: recorded_bytes(tmp_path) > 30_000)
    process.terminate()
    out, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 143  # 128 and SIGTERM's number
    assert "recorded: " in out
    assert not list(tmp_path.glob("*.journal"))
    assert len(read_all(tmp_path)) == 1


def test_memory_is_flat_over_many_frames(world, tmp_path):
    """Ten thousand frames must not cost more than a thousand."""
    session = Session(
        LoadedWorld(make_place(world)),
        RandomWalk(0),
        seed=0,
        fps=0,
        recorder=Recorder(tmp_path),
        rewind_bytes=1 << 19,
    )
    session.run(frames=3000)
    assert len(session.playthrough.track.history._moments) < 1200
    assert len(session.playthrough.track.history._states) < 60
