"""Every reader turns every failure of parsing into one short sentence with the file's name. A fuzz
of a fixed budget mutates a good file of each kind; what is read then is right or refused.
"""

import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from models.zoo.golden import read_golden
from worldsim.data.latents import open_latents
from worldsim.data.picture import read_picture
from worldsim.data.published.clip_files import find_clips
from worldsim.data.published.formats import LAYOUTS
from worldsim.data.published.latents import open_published_latents
from worldsim.data.store import EpisodeStore, read_episode
from worldsim.reading import MOST_LETTERS, parse_json, read_json
from worldsim.runtime.core.moves import Point, Start, pack, unpack
from worldsim.runtime.recording.journal import Journal
from worldsim.runtime.recording.recording import finish
from worldsim.types import Episode, EpisodeMeta
from worldsim.world.card import read_card
from worldsim.world.checkpoint import load_training, load_weights, save_training
from worldsim.world.foreign_checkpoint import read_checkpoint
from worldsim.yaml12 import load_yaml

EXAMPLES = 60  # a reader
ROOT = Path(__file__).resolve().parents[2]
CARD = json.loads((ROOT / "assets/worlds/dmlab/card.json").read_text())
FRAME = np.zeros((8, 8, 3), np.uint8)


def episode_file(folder):
    meta = EpisodeMeta(source="Maze-v0", action_set="dmlab", fps=7.5, seed=3)
    frames, steps = np.stack([FRAME] * 3), np.zeros(2, np.int64)
    episode = Episode(frames=frames, actions=steps, rewards=np.zeros(2, np.float32), meta=meta)
    return EpisodeStore(folder).append(episode)


def start_file(folder):
    path = folder / "start.zip"
    point = Point(start=Start(seed=1), lead_in=np.zeros((0, 3), np.int32), frame=FRAME)
    path.write_bytes(pack(point, {"fps": 7.5}))
    return path


def journal_file(folder):
    path = folder / "a.journal"
    journal = Journal(path)
    header = {"environment": "Maze-v0", "kwargs": {}, "world": None, "world_hash": None}
    header |= {"action_set": "dmlab", "fps": 7.5, "terminated": False}
    point = Point(start=Start(seed=1), lead_in=np.zeros((0, 3), np.int32), frame=FRAME)
    journal.append(pack(point, header))
    journal.append(struct.pack("<iiif?3f", 0, 1, -1, 0.0, False, 0, 0, 0) + b"no zlib")
    journal.close()
    return path


def tensors_file(folder, meta=None):
    save_file({"a": torch.ones(3)}, folder / "a.safetensors", metadata=meta)
    return folder / "a.safetensors"


def golden_file(folder):
    return tensors_file(folder, {"config": "{}"})


def torch_file(folder):
    torch.save({"a": torch.ones(3), "b": [1, "x"]}, folder / "a.pth")
    return folder / "a.pth"


def training_file(folder):
    save_training(folder / "c.pt", {"a": torch.ones(3)})
    return folder / "c.pt"


def text_file(name, text):
    def make(folder):
        (folder / name).write_text(text)
        return folder / name

    return make


def picture_file(folder):
    import cv2

    path = folder / "a.png"
    path.write_bytes(cv2.imencode(".png", FRAME)[1].tobytes())
    return path


CLIPS = json.dumps([{"video_path": "a.npz", "action_path": "b.npz"}])
YAML = "name: a\nsettings: {width: 3, list: [1, 2.5]}\n"
READERS = {
    "episode": (episode_file, read_episode),
    "start": (start_file, lambda path: unpack(path.read_bytes(), str(path))),
    "journal": (journal_file, lambda path: finish(path, {})),
    "weights": (tensors_file, load_weights),
    "golden": (golden_file, read_golden),
    "checkpoint": (torch_file, lambda path: read_checkpoint(path, plain=True)),
    "training": (training_file, load_training),
    "card": (text_file("card.json", json.dumps(CARD)), read_card),
    "list": (text_file("l.json", CLIPS), lambda path: find_clips(path, LAYOUTS["minecraft"])),
    "text list": (
        text_file("l.txt", "A/a.avi 1\nB/b.avi 2\n"),
        lambda path: find_clips(path, LAYOUTS["ucf101"]),
    ),
    "yaml": (text_file("a.yaml", YAML), load_yaml),
    "picture": (picture_file, read_picture),
}
ODD_JSON = (
    b"[" * 100_000,
    b'{"a": 1e400}',
    b'{"a": ' + b"9" * 400 + b"}",
    b'{"name": "\\u0000"}',
    b'{"name": "\\ud800"}',
    b'[{"video_path": "' + b"a" * 5000 + b'"}]',
    b'[{"video_path": "\\ud800"}]',
    b'{"a": NaN}',
    b"\xe9t\xe9",
    b"null",
    b"3",
)


def refused_or_read(path, read):
    """What was read; a refusal must be one short sentence that names the file."""
    try:
        return read(path)
    except (ValueError, OSError) as error:
        told = str(error)
        assert len(told) <= MOST_LETTERS, told
        assert told.isprintable(), told
        assert path.name in told or path.parent.name in told, told
        return None


@pytest.mark.parametrize("name", READERS)
def test_any_change_of_a_file_is_read_or_refused_in_a_sentence(name, tmp_path):
    make, read = READERS[name]
    path = make(tmp_path)
    good = path.read_bytes()
    place = st.integers(0, len(good))

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    @given(st.lists(st.tuples(place, st.binary(max_size=8)), min_size=1, max_size=4), place)
    def mutated(changes, length):
        data = bytearray(good)
        for at, new in changes:
            data[at : at + len(new)] = new
        path.write_bytes(data[:length] if length % 3 == 0 else data)
        refused_or_read(path, read)

    mutated()


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("data", [b"", b"\0", b"PK\5\6" + bytes(18), *ODD_JSON])
def test_odd_files_are_refused_in_a_sentence(name, data, tmp_path):
    make, read = READERS[name]
    path = make(tmp_path)
    path.write_bytes(data)
    refused_or_read(path, read)


@pytest.mark.parametrize("cut", [1, 20, 100, 300])
def test_a_checkpoint_that_is_cut_short_is_one_sentence(tmp_path, cut):
    """The commonest broken download."""
    path = torch_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(ValueError, match=r"a\.pth is not a checkpoint .*fetch it again"):
        read_checkpoint(path, plain=False)


def repack(path, kind):
    """The same members packed in another way."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def test_members_packed_by_others_are_refused(tmp_path):
    path = episode_file(tmp_path)
    repack(path, zipfile.ZIP_BZIP2)
    with pytest.raises(ValueError, match="stored, deflated or packed by LZMA"):
        read_episode(path)


def test_an_lzma_dictionary_is_limited(tmp_path):
    """The decoder would allocate it before it reads anything."""
    path = episode_file(tmp_path)
    frames = read_episode(path).frames
    repack(path, zipfile.ZIP_LZMA)
    np.testing.assert_array_equal(read_episode(path).frames, frames)
    with zipfile.ZipFile(path) as archive:
        first = min(archive.infolist(), key=lambda info: info.header_offset)
    data = bytearray(path.read_bytes())
    at = first.header_offset + 30 + len(first.filename) + 4 + 1
    assert struct.unpack_from("<I", data, at)[0] <= 64 << 20
    struct.pack_into("<I", data, at, 1 << 31)
    path.write_bytes(data)
    with pytest.raises(ValueError, match="dictionary must be at most 64 MiB, got 2048 MiB"):
        read_episode(path)


def test_members_that_are_no_arrays_and_odd_headers_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("frames", "actions", "rewards", "meta"):
            archive.writestr(name, b"1")
    with pytest.raises(ValueError, match=r"must be an \.npy"):
        read_episode(path)
    for shape in ("(True,)", "(-1,)", "(10**9,)", "{1: 2, 'a': 3}"):
        head = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("frames", "actions", "rewards", "meta"):
                packed = b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head + b"1"
                archive.writestr(f"{name}.npy", packed)
        with pytest.raises(ValueError, match=r"a\.npz is damaged"):
            read_episode(path)


def test_eight_bit_floats_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.ones(3).to(torch.float8_e4m3fn)}, path)
    for read in (load_weights, lambda p: read_checkpoint(p, plain=True)):
        with pytest.raises(ValueError, match="float8_e4m3fn, which is not computed with"):
            read(path)


def test_json_numbers_are_finite_and_of_64_bits():
    assert parse_json(b'\xef\xbb\xbf{"a": [1, 2.5, 18446744073709551615]}')["a"][2] == 2**64 - 1
    for text in ("1e400", "-1e400", "NaN", "Infinity", "9" * 21, "1" * 5000):
        with pytest.raises(ValueError, match=r"finite|64 bits"):
            parse_json(text)


def test_a_long_path_is_cut_at_its_start(tmp_path):
    folder = tmp_path.joinpath(*["a" * 100] * 4)
    folder.mkdir(parents=True)
    (folder / "x.json").write_text("{")
    with pytest.raises(ValueError, match=r"^\.\.\..*x\.json is not a thing") as caught:
        read_json(folder / "x.json", "thing", "fetch it again")
    assert str(caught.value).endswith("fetch it again")
    assert len(str(caught.value)) <= MOST_LETTERS


@pytest.mark.parametrize("open_folder", [open_latents, open_published_latents])
def test_folders_of_latents_are_refused_in_a_sentence(tmp_path, open_folder):
    for name in ("latents.raw", "steps.npz", "clips.jsonl"):
        (tmp_path / name).write_bytes(b"[[[")
    for data in ODD_JSON:
        (tmp_path / "meta.json").write_bytes(data)
        with pytest.raises(ValueError, match="latents") as caught:
            open_folder(tmp_path)
        assert len(str(caught.value)) <= MOST_LETTERS


@pytest.mark.parametrize(
    "change",
    [
        {"fps": 1e-300},
        {"fps": "7"},
        {"fps": True},
        {"title": 5},
        {"title": "a\0b"},
        {"name": None},
        {"frame_size": 10**9},
        {"steps": 0},
        {"settings": []},
        {"settings": {"dynamics": {"network": {"width": 10**9}}}},
        {"settings": {"dynamics": {"network": {"layers": 10**6}}}},
    ],
)
def test_a_card_out_of_bounds_is_refused_before_anything_is_made(tmp_path, change):
    (tmp_path / "card.json").write_text(json.dumps(CARD | change))
    with pytest.raises(ValueError, match="must be"):
        read_card(tmp_path / "card.json")
