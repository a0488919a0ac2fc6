"""Sessions on the disk: what a restart finds, whatever happened to the files."""

import numpy as np
import pytest

from tests.support.serving import dream_alone
from worldsim.reading import ReadError
from worldsim.serve.dreams import DreamBatch
from worldsim.serve.session_folder import SessionFolder
from worldsim.world.model import load_world

ID, MOVES = "a-session-of-this-test", [2, 0, 2, 1, 2]


@pytest.fixture(scope="module")
def batch(tiny_spatial_world):
    return DreamBatch(load_world(tiny_spatial_world))


@pytest.fixture
def kept(batch, tmp_path):
    """A folder with a session of five moves, and its home."""
    folder, dream = SessionFolder(tmp_path, most=3), batch.begin(1, 8)
    folder.begin(ID, 2, dream, batch.world.hash)
    for move in MOVES:
        folder.note(ID, 2, move)
    return folder, tmp_path / ID / "00000002"


def finish(batch, dream):
    while dream.ahead:
        batch.step([dream])
    return dream


def wanted(batch, moves=MOVES):
    return dream_alone(batch.world, 1, 8, moves)[-1]


def test_moves_alone_lead_to_the_same_frame(batch, kept):
    turn, dream = kept[0].load(ID, batch)
    assert (turn, dream.start, dream.seed, dream.count, dream.made) == (2, 1, 8, 5, 0)
    assert np.array_equal(finish(batch, dream).frame, wanted(batch))


def test_a_state_saves_making_moves_again(batch, kept):
    folder, home = kept
    dream = finish(batch, folder.load(ID, batch)[1])
    folder.save(ID, 2, batch.current(dream), dream.frame)
    folder.note(ID, 2, 3)
    dream = folder.load(ID, batch)[1]
    assert (dream.count, dream.made, bytes(dream.moves)) == (6, 5, bytes([*MOVES, 3]))
    assert np.array_equal(finish(batch, dream).frame, wanted(batch, [*MOVES, 3]))
    (state,) = home.glob("state-*")
    state.write_bytes(state.read_bytes()[:-100])  # damaged: the moves still lead there
    dream = folder.load(ID, batch)[1]
    assert dream.made == 0
    assert np.array_equal(finish(batch, dream).frame, wanted(batch, [*MOVES, 3]))


def test_a_state_beyond_the_moves_is_not_used(batch, kept):
    """The system may have written the state, and not yet the newest moves."""
    folder, home = kept
    dream = finish(batch, folder.load(ID, batch)[1])
    folder.save(ID, 2, batch.current(dream), dream.frame)
    (home / "moves").write_bytes(bytes(MOVES[:2]))
    dream = folder.load(ID, batch)[1]
    assert np.array_equal(finish(batch, dream).frame, wanted(batch, MOVES[:2]))


def test_what_was_taken_back_stays_taken_back(batch, kept):
    folder, home = kept
    dream = finish(batch, folder.load(ID, batch)[1])
    folder.save(ID, 2, batch.current(dream), dream.frame)
    batch.rewind(dream, 3)
    folder.cut(ID, 2, dream)
    assert not list(home.glob("state-*"))
    dream = folder.load(ID, batch)[1]
    assert np.array_equal(finish(batch, dream).frame, wanted(batch, MOVES[:3]))


def test_another_dream_takes_the_place(batch, kept):
    folder, home = kept
    folder.begin(ID, 3, batch.begin(0, 1), batch.world.hash)
    assert not home.exists()
    assert folder.load(ID, batch)[0] == 3


def test_the_oldest_make_room(batch, kept):
    folder, home = kept
    for number in range(3):
        folder.begin(f"another-session-{number}", 1, batch.begin(0, number), batch.world.hash)
    folder.begin("another-session-9", 1, batch.begin(0, 9), batch.world.hash)
    assert not home.exists()
    assert len(folder.list()) <= 4


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("line.json", "{", "line of a session"),
        ("line.json", "[]", "session that can be resumed"),
        ("line.json", '{"version": 2}', "version must be 1, got 2"),
        ("line.json", '{"version": 1, "world": "other"}', "it is of another world, other"),
        ("moves", "\xff", "action must be an integer in [0, 3]"),
        ("moves", None, "there is no file"),
    ],
)
def test_a_damaged_session_is_a_sentence(batch, kept, file, content, sentence):
    folder, home = kept
    (home / file).unlink() if content is None else (home / file).write_text(content, "latin-1")
    with pytest.raises(ReadError) as told:
        folder.load(ID, batch)
    assert sentence in str(told.value)


def test_a_name_leads_nowhere_else(batch, kept):
    with pytest.raises(ReadError, match="16 to 64 letters"):
        kept[0].load("../../somewhere-else", batch)
    with pytest.raises(ReadError, match="there is no session"):
        kept[0].load("some-session-of-another", batch)
