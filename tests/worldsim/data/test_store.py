"""The episode store: what goes in comes out, whole or not at all, and hostile files are refused."""

import dataclasses
import io
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from tests.support.episodes import assert_same, make_episode
from worldsim.data import npz
from worldsim.data.store import EpisodeStore, read_episode
from worldsim.types import Episode, EpisodeMeta


@pytest.mark.parametrize("deep", [True, False])
@pytest.mark.parametrize("posed", [True, False])
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_what_goes_in_comes_out(tmp_path, posed, steps, deep):
    episode = make_episode(steps, posed=posed, deep=deep)
    store = EpisodeStore(tmp_path / "new" / "train")
    assert len(store) == 0
    path = store.append(episode)
    assert path.name == "0000000003.npz"
    assert_same(store[0], episode)
    assert [len(e) for e in EpisodeStore(tmp_path / "new" / "train")] == [steps]
    assert store.meta(0) == episode.meta
    assert store.length(0) == steps + 1
    assert store.seeds() == {3}
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("small", [True, False])
def test_numpy_can_read_the_file(tmp_path, small):
    episode = make_episode()
    store = EpisodeStore(tmp_path)
    path = store.append(episode, small=small)
    assert_same(store[0], episode)
    with np.load(path) as arrays:
        assert (arrays["frames"] == episode.frames).all()
        assert json.loads(arrays["meta"].tobytes())["seed"] == 3


def test_a_small_file_is_smaller(tmp_path):
    """What comes again after more than the 32 KiB that deflating remembers is found again."""
    frames = np.tile(make_episode(11, size=32).frames, (5, 1, 1, 1))
    episode = dataclasses.replace(make_episode(59, posed=False), frames=frames)
    store = EpisodeStore(tmp_path)
    packed, small = (store.append(episode, small=small) for small in (False, True))
    assert small.stat().st_size < 0.5 * packed.stat().st_size


def test_an_episode_never_replaces_another(tmp_path):
    store = EpisodeStore(tmp_path)
    names = [store.append(make_episode(steps)).name for steps in (1, 2, 3)]
    assert names == ["0000000003.npz", "0000000003-1.npz", "0000000003-2.npz"]
    assert sorted(len(episode) for episode in store) == [1, 2, 3]
    assert store.append(make_episode(seed=None)).name == "episode.npz"
    assert store.append(make_episode(), "mine").name == "mine.npz"
    assert store.seeds() == {3}
    assert "mine" in store
    assert "yours" not in store


def test_the_same_episode_is_the_same_file(tmp_path):
    paths = [EpisodeStore(tmp_path / name).append(make_episode()) for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("name", ["../out", "/tmp/out", ".hidden", "a/b", "a\\b", "..", "a\0b"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="would leave or hide"):
        EpisodeStore(tmp_path / "s").append(make_episode(), name)
    assert not list(tmp_path.rglob("*.npz"))


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left.*0000000003\.npz"):
        EpisodeStore(tmp_path).append(make_episode())
    assert list(tmp_path.iterdir()) == []


def test_without_hard_links_it_still_works(tmp_path, monkeypatch):
    """FAT, exFAT and some network folders have none."""

    def unsupported(*args):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", unsupported)
    store = EpisodeStore(tmp_path)
    assert [store.append(make_episode(n)).name for n in (1, 2)] == [
        "0000000003.npz",
        "0000000003-1.npz",
    ]
    assert len(list(tmp_path.iterdir())) == 2


WRITER = """
import sys
sys.path.insert(0, {tests!r})
from test_store import make_episode
from worldsim.data.store import EpisodeStore
store = EpisodeStore({folder!r})
for seed in range(20):
    store.append(make_episode(seed=seed))
"""


def test_two_writers_lose_nothing(tmp_path):
    """Both write the same twenty seeds at once: forty whole episodes."""
    code = WRITER.format(tests=os.path.dirname(__file__), folder=str(tmp_path))
    writers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    store = EpisodeStore(tmp_path)
    assert len(store) == 40
    assert store.seeds() == set(range(20))
    assert all(len(episode) == 5 for episode in store)


def test_others_episodes_are_seen_after_refresh(tmp_path):
    reader, writer = EpisodeStore(tmp_path), EpisodeStore(tmp_path)
    writer.append(make_episode())
    assert len(reader) == 0
    reader.refresh()
    assert len(reader) == 1


def test_a_folder_of_splits_is_not_a_store(tmp_path):
    """Opening it as one would train on the held-out episodes, or on none."""
    EpisodeStore(tmp_path / "train").append(make_episode())
    with pytest.raises(ValueError, match=r"holds splits \(train\): open one of them"):
        EpisodeStore(tmp_path)
    path = EpisodeStore(tmp_path / "train").paths()[0]
    with pytest.raises(ValueError, match="is a file"):
        EpisodeStore(path)
    with pytest.raises(IndexError):
        EpisodeStore(tmp_path / "none")[0]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("frames", np.zeros((6, 8, 8), np.uint8), "frames must be uint8"),
        ("frames", np.zeros((6, 8, 8, 3), np.float32), "frames must be uint8"),
        ("frames", np.zeros((5, 8, 8, 3), np.uint8), "actions must be int64 of shape 4"),
        ("frames", np.zeros((0, 8, 8, 3), np.uint8), "actions must be int64"),
        ("actions", np.zeros(5, np.int32), "actions must be int64"),
        ("rewards", np.zeros(4, np.float32), "rewards must be float32 of shape 5"),
        ("poses", np.zeros((5, 3), np.float32), "poses must be float32 of shape 6x3"),
        ("depths", np.zeros((5, 4, 4), np.float16), "depths must be float16 of shape 6xanyxany"),
        ("depths", np.zeros((6, 4, 4), np.float32), "depths must be float16"),
        ("heights", np.zeros((6, 1), np.float32), "heights must be float32 of shape 6"),
        ("frames", [1, 2], "frames must be uint8"),
    ],
)
def test_arrays_that_do_not_fit_are_no_episode(name, value, sentence):
    parts = vars(make_episode()) | {name: value}
    with pytest.raises(ValueError, match=sentence):
        Episode(**parts)


def test_meta_must_be_json(tmp_path):
    episode = make_episode()
    episode.meta.extra["array"] = np.zeros(2)
    with pytest.raises(ValueError, match="JSON"):
        EpisodeStore(tmp_path).append(episode)


# Hostile files ------------------------------------------------------------------------------------


def npy(array, header=None):
    """An array as numpy writes it, with another header if one is given."""
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asanyarray(array), allow_pickle=True)
    if header is None:
        return out.getvalue()
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + out.getvalue()[128:]


def good_members():
    episode = make_episode(posed=False)
    meta = json.dumps(vars(episode.meta)).encode()
    return {
        "frames.npy": npy(episode.frames),
        "actions.npy": npy(episode.actions),
        "rewards.npy": npy(episode.rewards),
        "meta.npy": npy(np.frombuffer(meta, np.uint8)),
    }


def pack(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_the_hostile_tests_start_from_a_good_file(tmp_path):
    assert len(read_episode(pack(tmp_path / "a.npz", good_members()))) == 5


HEADER = "{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}"


@pytest.mark.parametrize(
    ("member", "data"),
    [
        ("frames.npy", npy(np.zeros(4, np.uint8), HEADER.format("|u1", False, "(10**9, 8, 8, 3)"))),
        (
            "frames.npy",
            npy(np.zeros(4, np.uint8), HEADER.format("|u1", False, "(99999, 999, 9, 3)")),
        ),
        ("frames.npy", npy(np.zeros(4, np.uint8), HEADER.format("|u1", False, "(-1, 8, 8, 3)"))),
        (
            "frames.npy",
            npy(np.zeros(4, np.uint8), HEADER.format("|u1", False, "(0, 10**30, 8, 3)")),
        ),
        ("frames.npy", npy(np.zeros(4, np.uint8), HEADER.format("|u1", True, "(1, 1, 1, 3)"))),
        ("frames.npy", npy(np.zeros(4, np.uint8), "(" * 100)),
        ("frames.npy", npy(np.zeros(4, np.uint8), "import os")),
        ("frames.npy", npy(np.zeros((6, 8, 8, 3), np.uint8)) + b"more"),
        ("frames.npy", npy(np.zeros((6, 8, 8, 3), np.float32))),
        ("frames.npy", npy(np.zeros((6, 8, 8), np.uint8))),
        ("frames.npy", npy(np.array([{"pickled": 1}], dtype=object))),
        ("actions.npy", npy(np.zeros(9, np.int64))),
        ("frames.npy", b""),
        ("frames.npy", b"\x93NUMPY\x09\x00"),
        ("meta.npy", npy(np.frombuffer(b"{", np.uint8))),
        ("meta.npy", npy(np.frombuffer(b"[1]", np.uint8))),
        ("meta.npy", npy(np.frombuffer(b'{"hello": 1}', np.uint8))),
        ("meta.npy", npy(np.frombuffer(b"[" * 100_000, np.uint8))),
        ("../../outside.npy", npy(np.zeros(1, np.uint8))),
        ("more.npy", npy(np.zeros(1, np.uint8))),
    ],
)
def test_a_lying_file_is_one_sentence(tmp_path, member, data):
    path = pack(tmp_path / "a.npz", good_members() | {member: data})
    with pytest.raises(ValueError, match=r"a\.npz") as caught:
        read_episode(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    """A few kilobytes on disk, more than is allowed in memory."""
    monkeypatch.setattr(npz, "MAX_BYTES", 4 << 20)
    path = pack(tmp_path / "a.npz", good_members() | {"frames.npy": bytes(5 << 20)})
    assert path.stat().st_size < 10_000
    with pytest.raises(ValueError, match="more than 4 MiB"):
        read_episode(path)


def test_damage_is_one_sentence(tmp_path):
    """Missing, empty, cut short, another kind of file, a flipped bit."""
    good = pack(tmp_path / "good.npz", good_members()).read_bytes()
    flipped = bytearray(good)
    flipped[400] ^= 1
    for data in (b"", good[:-30], good[: len(good) // 2], b"<html>", b"\x80\x04K\x01.", flipped):
        path = tmp_path / "a.npz"
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"a\.npz is damaged"):
            read_episode(path)
    with pytest.raises(ValueError, match="no file"):
        read_episode(tmp_path / "missing.npz")
    with pytest.raises(ValueError, match="damaged"):
        read_episode(tmp_path)


def test_a_member_twice_is_refused(tmp_path):
    path = pack(tmp_path / "a.npz", good_members())
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("frames.npy", npy(np.zeros((6, 8, 8, 3), np.uint8)))
    with pytest.raises(ValueError, match="it must hold"):
        read_episode(path)


@pytest.mark.parametrize("actions", [[-7, 1], [2**62, 1], [1, 99]])
def test_actions_that_the_set_has_not_are_refused_where_they_are_read(tmp_path, actions):
    """They are indices later on: of action names, of classes, of an embedding."""
    meta = EpisodeMeta(source="Maze-v0", action_set="dmlab", fps=7.5, seed=3)
    path = EpisodeStore(tmp_path).append(
        Episode(
            frames=np.zeros((3, 8, 8, 3), np.uint8),
            actions=np.array(actions, np.int64),
            rewards=np.zeros(2, np.float32),
            meta=meta,
        )
    )
    with pytest.raises(ValueError, match=r"actions must be in \[-1, 3\]"):
        read_episode(path)
