"""Shards take the place of episode files: the same episodes, the same training batches, whole or
not at all; and damage is one sentence.
"""

import dataclasses
import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.episodes import assert_same, make_episode
from worldsim.actions import load_actions
from worldsim.data import pack as packing
from worldsim.data.clips import ClipSampler
from worldsim.data.collect import Plan, list_missing_seeds
from worldsim.data.command import main
from worldsim.data.latents import load_or_encode_latents
from worldsim.data.pack import check, divide, pack, unpack
from worldsim.data.shards import INDEX, Section, read_index
from worldsim.data.store import EpisodeStore

SIZE = 5_000  # bytes: two or three of the episodes below


def collect(folder, seeds=range(7)):
    store = EpisodeStore(folder)
    for seed in seeds:
        store.append(make_episode(steps=3 + seed % 3, seed=seed, deep=seed % 2 == 0))
    return store


@pytest.fixture
def files(tmp_path):
    """A folder of episode files."""
    return collect(tmp_path / "files" / "train")


@pytest.fixture
def packed(files, tmp_path):
    """The same, packed."""
    list(pack(files.folder, tmp_path / "packed" / "train", SIZE, print))
    return EpisodeStore(tmp_path / "packed" / "train")


def shards_of(folder):
    return sorted(path.name for path in Path(folder).glob("shard-*.tar"))


def test_shards_are_read_as_files_are(files, packed):
    assert len(shards_of(packed.folder)) > 2
    assert packed.names() == files.names()
    assert packed.sizes() == files.sizes()
    assert packed.seeds() == files.seeds()
    assert ("0000000003" in packed, "0000000099" in packed) == (True, False)
    for index, episode in enumerate(files):
        assert_same(packed[index], episode)
        assert packed.meta(index) == episode.meta
        assert packed.length(index) == files.length(index) == len(episode.frames)
        assert packed.read_bytes(index) == files.read_bytes(index)
        for ours, theirs in zip(packed.outcome(index), files.outcome(index), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(IndexError):
        packed[7]


class MeanCodec:
    """The mean of a frame's cells of 4 x 4, as latents."""

    latent_shape, frame_size = (3, 2, 2), 8

    def encode(self, frames):
        return torch.nn.functional.avg_pool2d(frames.permute(0, 3, 1, 2).float(), 4)


def test_a_training_draws_the_same_batches(files, packed, tmp_path):
    """And a cache of latents fits both: packing the data encodes nothing again."""
    actions, told = load_actions("dmlab"), []
    caches = [
        load_or_encode_latents(store, MeanCodec(), "mean", tmp_path / name, told.append)
        for store, name in ((files, "one"), (packed, "other"))
    ]
    draws = [
        ClipSampler(cache, actions, batch=4, shortest=2, longest=5, rests=0.2) for cache in caches
    ]
    for _ in range(10):
        for part, there in zip(*(vars(sampler.draw()).values() for sampler in draws), strict=True):
            assert torch.equal(part, there)
    made = (tmp_path / "one" / "meta.json").stat()
    load_or_encode_latents(packed, MeanCodec(), "mean", tmp_path / "one")
    assert (tmp_path / "one" / "meta.json").stat() == made


def test_any_tar_reads_them(files, packed, tmp_path):
    """Python's and the system's; a key is an episode's name, as libraries for WebDataset ask."""
    found = []
    for name in shards_of(packed.folder):
        with tarfile.open(packed.folder / name) as tar:
            found += [(info.name, tar.extractfile(info).read()) for info in tar]
        subprocess.run(["tar", "-xf", packed.folder / name, "-C", tmp_path], check=True)
    assert sorted(found) == [(name, files.read_bytes(i)) for i, name in enumerate(files.names())]
    for name, data in found:
        assert (tmp_path / name).read_bytes() == data
        assert name.count(".") == 1


def test_packing_again_adds_shards_and_keeps_the_old(files, packed, capsys):
    before = {name: (packed.folder / name).stat() for name in shards_of(packed.folder)}
    assert list(pack(files.folder, packed.folder, SIZE)) == []
    collect(files.folder, range(7, 10))
    files.refresh()
    assert len(list(pack(files.folder, packed.folder, SIZE))) >= 1
    packed.refresh()
    assert packed.names() == files.names()
    assert all((packed.folder / name).stat() == told for name, told in before.items())
    assert len(shards_of(packed.folder)) > len(before)


def test_the_same_episodes_give_the_same_shards(files, packed, tmp_path):
    list(pack(files.folder, tmp_path / "again", SIZE))
    for name in (*shards_of(packed.folder), INDEX):
        assert (tmp_path / "again" / name).read_bytes() == (packed.folder / name).read_bytes()


KILLED = """
import os, signal, sys
from worldsim.data import pack
from pathlib import Path
whole = pack.{function}
calls = 0
def die(*args, **given):
    global calls
    calls += 1
    if calls == 2:
        {before}
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*args, **given)
pack.{function} = die
list(pack.pack(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
"""
MOMENTS = {
    "a shard half written": ("write_tar", "args[0].write_bytes(b'half')", 1),
    "a shard before its index": ("write_index", "pass", 2),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_packing_goes_on(files, packed, tmp_path, moment, monkeypatch):
    """Finished shards are kept, also one that the index does not name yet."""
    function, before, whole = MOMENTS[moment]
    target = tmp_path / "killed"
    script = KILLED.format(function=function, before=before)
    command = [sys.executable, "-c", script, str(files.folder), str(target), str(SIZE)]
    assert subprocess.run(command, check=False).returncode == -9
    there = shards_of(target)
    assert len(there) == whole
    assert len(EpisodeStore(target)) < 7
    times = {name: (target / name).stat() for name in there}
    monkeypatch.setattr(packing, "STALE", -1)  # half a shard is removed at once
    new = [shard.name for shard in pack(files.folder, target, SIZE)]
    assert set(new) == set(shards_of(packed.folder)) - set(there)
    assert all((target / name).stat() == told for name, told in times.items())
    assert sorted(path.name for path in target.iterdir()) == [INDEX, *shards_of(packed.folder)]
    assert (target / INDEX).read_bytes() == (packed.folder / INDEX).read_bytes()


def test_all_splits_are_packed_and_unpacked(tmp_path, capsys):
    collect(tmp_path / "maze" / "train", range(5))
    collect(tmp_path / "maze" / "heldout", range(100, 102))
    source, target, back = (str(tmp_path / name) for name in ("maze", "packed", "back"))
    assert main(["pack", source, target, "--size", "4kB"]) == 0
    assert "shards, 7 episodes" in capsys.readouterr().out
    assert main(["check", target]) == 0
    assert "whole: " in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"holds splits \(heldout, train\): open one of them"):
        EpisodeStore(target)
    assert main(["unpack", target, back]) == 0
    assert "7 files written" in capsys.readouterr().out
    files = sorted(path.relative_to(source) for path in Path(source).rglob("*.npz"))
    assert (
        sorted(path.relative_to(back) for path in Path(back).rglob("*") if path.is_file()) == files
    )
    for path in files:
        assert (Path(back) / path).read_bytes() == (Path(source) / path).read_bytes()
    assert main(["unpack", target, back]) == 0
    assert "0 files written" in capsys.readouterr().out


def test_shards_are_packed_anew_in_another_size(files, packed, tmp_path):
    list(pack(packed.folder, tmp_path / "large", 10**6))
    assert shards_of(tmp_path / "large") == ["shard-000000.tar"]
    large = EpisodeStore(tmp_path / "large")
    assert [large.read_bytes(i) for i in range(7)] == [files.read_bytes(i) for i in range(7)]


def test_splits_with_a_seed_in_common_are_refused(tmp_path):
    """Packed at once, or one after the other: a held-out episode would be learnt from."""
    collect(tmp_path / "maze" / "train", range(5))
    collect(tmp_path / "maze" / "heldout", range(4, 6))
    told = "splits must have no seed in common, got 4 in heldout and in train"
    with pytest.raises(ValueError, match=told):
        list(pack(tmp_path / "maze", tmp_path / "packed", SIZE))
    list(pack(tmp_path / "maze/train", tmp_path / "packed/train", SIZE))
    with pytest.raises(ValueError, match=told):
        list(pack(tmp_path / "maze/heldout", tmp_path / "packed/heldout", SIZE))
    assert list(pack(tmp_path / "maze/heldout", tmp_path / "packed/another-set", SIZE))


def test_nothing_is_appended_or_replaced(files, packed, tmp_path):
    with pytest.raises(ValueError, match="to be appended to, it is packed: give another folder"):
        packed.append(make_episode(seed=50))
    with pytest.raises(ValueError, match="must hold episode files, it is packed: unpack it"):
        packed.paths()
    files.folder.joinpath("0000000002.npz").unlink()
    files.append(make_episode(steps=9, seed=2))
    with pytest.raises(ValueError, match=r"0000000002\.npz has \d+ bytes in .* nothing is repl"):
        list(pack(files.folder, packed.folder, SIZE))
    shutil.copy(files.path(0), packed.folder)
    with pytest.raises(ValueError, match="must hold shards or episode files, got both"):
        EpisodeStore(packed.folder)
    (packed.folder / INDEX).unlink()
    with pytest.raises(ValueError, match="must hold shards only, got episode files"):
        list(pack(files.folder, packed.folder, SIZE))


def test_what_cannot_be_packed_is_told(files, tmp_path):
    with pytest.raises(ValueError, match="there is no folder"):
        list(pack(tmp_path / "nowhere", tmp_path / "packed", SIZE))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="must hold episodes, or splits that hold them"):
        list(pack(tmp_path / "empty", tmp_path / "packed", SIZE))
    with pytest.raises(ValueError, match="the target must be another folder"):
        list(pack(files.folder, files.folder, SIZE))
    with pytest.raises(ValueError, match="must hold shards or splits of shards, got none"):
        list(check(files.folder))
    files.append(make_episode(), name="x" * 97)
    with pytest.raises(ValueError, match="at most 100 bytes"):
        list(pack(files.folder, tmp_path / "packed", SIZE))
    for size in ("0MB", "5", "5XB", "-1MB", "1.5GB"):
        with pytest.raises(SystemExit):
            main(["pack", str(files.folder), str(tmp_path / "packed"), "--size", size])


# ---- damage ----


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(data)


def change_index(folder, change):
    told = json.loads((folder / INDEX).read_text())
    change(told)
    (folder / INDEX).write_text(json.dumps(told))


def test_a_damaged_shard_is_named(packed):
    """By reading the episode, and by its checksum; the others are read as before."""
    first = packed.folder / "shard-000000.tar"
    flip(first, 512 + 400)  # in the frames of the first episode
    with pytest.raises(ValueError, match=r"shard-000000\.tar/0000000000\.npz is damaged"):
        packed[0]
    assert len(packed[1].frames) == 5
    told = r"shard-000000\.tar is damaged: its SHA-256 must be \w{12}, got \w{12}: copy it again"
    with pytest.raises(ValueError, match=told):
        list(check(packed.folder))
    with pytest.raises(ValueError, match=told):
        list(unpack(packed.folder, packed.folder.with_name("back")))
    assert not packed.folder.with_name("back").exists()


def test_a_missing_or_cut_shard_is_named(files, packed):
    second = packed.folder / "shard-000001.tar"
    whole = second.read_bytes()
    second.write_bytes(whole[:-600])
    told = r"shard-000001\.tar must have \d+ bytes as index\.json says, got \d+: copy it again"
    for action in (lambda: EpisodeStore(packed.folder), lambda: list(check(packed.folder))):
        with pytest.raises(ValueError, match=told):
            action()
    second.unlink()
    told = r"shard-000001\.tar is missing, with \d episodes that index\.json names: copy it again"
    with pytest.raises(ValueError, match=told):
        EpisodeStore(packed.folder)
    with pytest.raises(ValueError, match=told):
        list(pack(files.folder, packed.folder, SIZE))
    last = packed.names()[2:5]
    with pytest.raises(ValueError, match=r"shard-000001\.tar is missing: copy it again"):
        [packed[packed.names().index(name)] for name in last]  # a store that was open
    (packed.folder / INDEX).unlink()  # what the sentence says
    list(pack(files.folder, packed.folder, SIZE))
    assert [EpisodeStore(packed.folder).read_bytes(i) for i in range(7)] == [
        files.read_bytes(i) for i in range(7)
    ]


WRONG = {
    "another place": (
        lambda told: told["shards"][0]["episodes"][1].__setitem__(1, 1024),
        r"shard-000000\.tar does not hold 0000000001\.npz at byte 1024, as index\.json says",
    ),
    "another name": (
        lambda told: told["shards"][0]["episodes"][1].__setitem__(0, "0000000099.npz"),
        r"shard-000000\.tar does not hold 0000000099\.npz at byte",
    ),
    "a name twice": (
        lambda told: told["shards"].append({**told["shards"][0]}),
        "index.json names an episode twice: delete index.json and pack again",
    ),
    "a path out": (
        lambda told: told["shards"][0]["episodes"][1].__setitem__(0, "../x.npz"),
        r"index\.json is not an index of shards \(the name of an episode's file must end in",
    ),
    "another shard": (
        lambda told: told["shards"][0].__setitem__("name", "../shard-000000.tar"),
        r"index\.json is not an index of shards \(a shard's name must be like",
    ),
    "past the end": (
        lambda told: told["shards"][0]["episodes"][1].__setitem__(2, 10**9),
        r"an episode's bytes must be a whole number in \[1, ",
    ),
    "another format": (
        lambda told: told.__setitem__("format", "webdataset"),
        r"index\.json is not an index of shards \(its format must be 'worldsim shards 1'\)",
    ),
    "no shards": (lambda told: told.pop("shards"), r"is not an index of shards \(KeyError"),
}


@pytest.mark.parametrize("how", WRONG)
def test_a_wrong_index_is_told_and_made_again(files, packed, how):
    change, sentence = WRONG[how]
    change_index(packed.folder, change)

    def read_all():
        store = EpisodeStore(packed.folder)
        return [store[i] for i in range(len(store))]

    with pytest.raises(ValueError, match=sentence) as told:
        read_all()
    assert "\n" not in str(told.value)
    assert len(str(told.value)) <= 300
    (packed.folder / INDEX).unlink()  # what the sentence says
    assert list(pack(files.folder, packed.folder, SIZE)) == []
    assert len(read_all()) == 7


def test_a_foreign_tar_is_not_taken_for_a_shard(files, tmp_path):
    target = tmp_path / "packed"
    target.mkdir()
    with tarfile.open(target / "shard-000000.tar", "w") as tar:
        info = tarfile.TarInfo("0000000000.npz")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"hello"))
    with pytest.raises(ValueError, match=r"shard-000000\.tar must be a tar of episodes \(.*delete"):
        list(pack(files.folder, target, SIZE))


def test_parts_of_a_file_are_read_as_files(tmp_path):
    """Against the bytes themselves, whatever is sought and read."""
    (tmp_path / "whole").write_bytes(bytes(range(200)))
    data, rng = bytes(range(50, 150)), np.random.default_rng(0)
    with open(tmp_path / "whole", "rb") as file:
        section, twin = io.BufferedReader(Section(file, 50, 100), 16), io.BytesIO(data)
        for _ in range(200):
            place, count = int(rng.integers(0, 120)), int(rng.integers(0, 40))
            assert section.seek(place) == twin.seek(place)
            assert section.read(count) == twin.read(count)
        assert section.seek(-7, io.SEEK_END) == twin.seek(-7, io.SEEK_END)
        assert section.read() == twin.read()


def test_shards_are_divided_by_size():
    assert list(divide([0, 1, 2, 3], [4, 4, 9, 1], 8)) == [[0, 1], [2], [3]]
    assert list(divide([1, 3], [4, 4, 9, 1], 8)) == [[1, 3]]
    assert list(divide([], [], 8)) == []


def test_digests_are_those_of_sha256sum(packed):
    for shard in read_index(packed.folder):
        command = ["sha256sum", packed.folder / shard.name]
        done = subprocess.run(command, capture_output=True, check=True, text=True)
        assert done.stdout.split()[0] == shard.sha256


def test_a_collection_into_shards_is_refused_before_it_plays(packed):
    told = {"env": "Maze-v0", "options": {}, "steps": 5, "split": "train"}
    plan = Plan(**told, folder=packed.folder, seeds=tuple(range(7)))
    assert list_missing_seeds(plan) == ()
    plan = dataclasses.replace(plan, seeds=tuple(range(8)))
    with pytest.raises(ValueError, match="to be appended to, it is packed"):
        list_missing_seeds(plan)
