"""Published data sets: what is in the files arrives, aligned, whatever the list or the folder looks
like; and hostile files are one sentence each.
"""

import json
import os

import numpy as np
import pytest
import torch

from tests.support.published_clips import (
    pictures,
    published_tree,
    write_dmlab,
    write_latents,
    write_list,
    write_minecraft,
    write_videos,
)
from worldsim.actions import load_actions
from worldsim.data import npz
from worldsim.data.command import main
from worldsim.data.npz import write_arrays
from worldsim.data.published.clip_files import ClipFile, find_clips
from worldsim.data.published.formats import LAYOUTS, episode_classes, find_layout
from worldsim.data.published.teco import read_clip
from worldsim.data.store import EpisodeStore
from worldsim.data.video import read_video, video_length, write_video
from worldsim.types import Episode, EpisodeMeta

DMLAB, MINECRAFT, UCF, BAIR = (LAYOUTS[n] for n in ("dmlab", "minecraft", "ucf101", "bair"))


@pytest.fixture
def moving_store(tmp_path):
    """The folder of one episode that is long enough for one published clip."""
    meta = EpisodeMeta(source="Maze-v0", action_set="dmlab", fps=7.5, seed=3)
    episode = Episode(
        frames=pictures(302, 64, 0),
        actions=np.arange(301, dtype=np.int64) % 3,
        rewards=np.zeros(301, np.float32),
        meta=meta,
    )
    EpisodeStore(tmp_path / "moving").append(episode)
    return tmp_path / "moving"


# ---- videos ----


def test_a_video_is_read_frame_by_frame(tmp_path):
    """A reader that seeks to keyframes gives other frames than it is asked for."""
    frames = np.stack([np.full((32, 48, 3), 20 * t, np.uint8) for t in range(12)])
    frames[..., 2] = 0
    write_video(tmp_path / "a.mp4", frames, 20)
    assert video_length(tmp_path / "a.mp4") == 12
    whole = read_video(tmp_path / "a.mp4")
    assert whole.shape == frames.shape
    assert np.abs(whole.astype(int) - frames).mean() < 4  # red and blue in their places
    some = read_video(tmp_path / "a.mp4", [3, 7, 7, 11])
    np.testing.assert_array_equal(some, whole[[3, 7, 7, 11]])
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is not an mp4"),
        (b"<html>not found</html>", "is not an mp4"),
        (b"version https://git-lfs.github.com/spec/v1", "is not an mp4"),
        (b"#EXTM3U\nfile:///etc/passwd", "is not an mp4"),
        (b"\0\0\0 ftypisom" + bytes(500), "is damaged"),
    ],
)
def test_what_is_no_video_is_one_sentence(tmp_path, data, sentence):
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(ValueError, match=rf"a\.mp4 {sentence}") as caught:
        read_video(tmp_path / "a.mp4")
    assert "\n" not in str(caught.value)


def test_a_video_cut_short_is_one_sentence(tmp_path, monkeypatch):
    write_videos(tmp_path, ["a.mp4"])
    whole = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="damaged"):
        read_video(tmp_path / "b.mp4")
    with pytest.raises(ValueError, match=r"announces 14 frames and ends after 14"):
        read_video(tmp_path / "a.mp4", [2, 14])
    with pytest.raises(ValueError, match="there is no file"):
        read_video(tmp_path / "none.mp4")
    monkeypatch.setattr("worldsim.data.video.MAX_BYTES", 1 << 14)
    with pytest.raises(ValueError, match="cut it into shorter clips"):
        read_video(tmp_path / "a.mp4")


def test_a_video_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    """OpenCV loses frames on a full disk and says nothing."""
    monkeypatch.setattr("worldsim.data.video.read_video", lambda path: np.zeros((3, 8, 8, 3)))
    with pytest.raises(OSError, match="only 3 of 14 frames"):
        write_video(tmp_path / "a.mp4", pictures(14, 16, 0), 20)
    assert not list(tmp_path.iterdir())


# ---- episodes ----


@pytest.mark.parametrize("spare", [0, 1, -1])
def test_minecraft_actions_led_to_their_frames(tmp_path, spare):
    """301 frames and 300 actions, or as many: the first is a dummy, the others lead to frames."""
    folder = write_minecraft(tmp_path / "split", clips=1, frames=14, actions=14 + spare)
    (clip,) = find_clips(folder, MINECRAFT)
    with np.load(clip.actions) as arrays:
        stored = arrays["actions"]
    episode = clip.read_episode(MINECRAFT)
    names = ("", "forward", "left", "right")
    table = load_actions("minecraft")
    wanted = [table.id(names[number]) for number in stored[1:14]]
    assert episode.actions.tolist() == wanted
    assert episode.frames.shape == (14 + min(spare, 0), 128, 128, 3)
    assert episode.meta.fps == 20
    led = episode_classes(MINECRAFT, episode)
    np.testing.assert_array_equal(led[: len(stored)], stored)


def test_the_voxel_engines_episodes_are_minecraft_clips(tmp_path, monkeypatch):
    """Our ids are the published classes; their 0 marks a first frame, and ours stands still."""
    monkeypatch.setattr("worldsim.data.published.teco.LENGTH", 14)
    table = load_actions("voxel")
    moves = np.random.default_rng(0).integers(1, 4, 27)
    rests = np.where(np.arange(27) == 20, table.id("stand"), moves)
    store = EpisodeStore(tmp_path / "store")
    for seed, actions in enumerate((moves, rests)):
        meta = EpisodeMeta(source="Voxel-v0", action_set="voxel", fps=20.0, seed=seed)
        frames, rewards = pictures(28, 128, 0), np.zeros(27, np.float32)
        store.append(Episode(frames=frames, actions=actions, rewards=rewards, meta=meta))
    arguments = ["export", str(store.folder), str(tmp_path / "out"), "--layout", "minecraft"]
    with pytest.raises(ValueError, match="Minecraft data has no stand"):
        main(arguments)
    assert main([*arguments, "--stand", "drop"]) == 0
    clips = sorted((tmp_path / "out" / "0").glob("*.npz"))
    stored = [np.load(path)["actions"].tolist() for path in clips]
    assert stored == [[0, *moves[:13]], [0, *moves[14:27]], [0, *moves[:13]]]
    back, ours = read_clip(clips[0].with_suffix(".mp4"), MINECRAFT), load_actions("minecraft")
    names = [ours.names[action] for action in back.actions]
    assert names == [table.names[action] for action in moves[:13]]


def test_minecraft_comes_back_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr("worldsim.data.published.teco.LENGTH", 14)
    write_minecraft(tmp_path / "in")
    store, out = str(tmp_path / "store"), str(tmp_path / "out")
    layout = ["--layout", "minecraft"]
    assert main(["import", str(tmp_path / "in"), store, *layout]) == 0
    assert main(["export", store, out, *layout]) == 0
    for number in range(2):
        where = f"0/{number:06d}"
        want, got = (np.load(tmp_path / side / f"{where}.npz")["actions"] for side in ("in", "out"))
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, want)
        want = read_video(tmp_path / "in" / f"{where}.mp4").astype(int)
        assert np.abs(read_video(tmp_path / "out" / f"{where}.mp4") - want).mean() < 4


def test_a_dummy_within_a_clip_is_no_action(tmp_path):
    write_minecraft(tmp_path, clips=1)
    ids = np.ones(14, np.int32)
    ids[5] = 0
    write_arrays(tmp_path / "0", "000000", {"actions": ids}, replace=True)
    with pytest.raises(ValueError, match="class 0 of frame 5 stands for no action"):
        find_clips(tmp_path, MINECRAFT)[0].read_episode(MINECRAFT)


def test_damaged_clips_are_told_and_the_others_imported(tmp_path, capsys):
    folder = write_dmlab(tmp_path / "split", clips=4)
    bad = folder / "1" / "1.npz"
    bad.write_bytes(bad.read_bytes()[:400])
    np.savez(folder / "1" / "3.npz", video=np.array([{"pickled": 1}], dtype=object), actions=[1])
    assert main(["import", str(folder), str(tmp_path / "store")]) == 1
    shown = capsys.readouterr()
    assert "2 written, 2 in all, 2 left out" in shown.out
    assert shown.err.count("left out: ") == 2
    assert shown.err.count("\n") == 2
    write_dmlab(tmp_path / "again", clips=4)
    assert main(["import", str(tmp_path / "again"), str(tmp_path / "store")]) == 0
    assert len(EpisodeStore(tmp_path / "store")) == 4


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    write_arrays(
        tmp_path / "0",
        "0",
        {"video": np.zeros((90, 64, 64, 3), np.uint8), "actions": np.zeros(90, np.int64)},
    )
    monkeypatch.setattr(npz, "MAX_BYTES", 1 << 20)
    with pytest.raises(ValueError, match="more than 1 MiB"):
        find_clips(tmp_path, DMLAB)[0].read_episode(DMLAB)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"actions": np.zeros(9, np.int32)}, "as many actions as frames"),
        ({"actions": np.full(14, 4, np.int32)}, "must be in .0, 3."),
        ({"actions": np.zeros(14, np.float32)}, r"actions must be <i8 or <i4"),
        ({"clicks": np.zeros(14, np.int32)}, "must hold video, actions"),
    ],
)
def test_actions_that_do_not_fit_are_one_sentence(tmp_path, arrays, sentence):
    write_minecraft(tmp_path, clips=1)
    write_arrays(tmp_path / "0", "000000", arrays, replace=True)
    with pytest.raises(ValueError, match=sentence) as caught:
        find_clips(tmp_path, MINECRAFT)[0].read_episode(MINECRAFT)
    assert "000000.npz" in str(caught.value)


def test_missing_actions_are_one_sentence(tmp_path):
    write_minecraft(tmp_path, clips=1)
    (tmp_path / "0" / "000000.npz").unlink()
    with pytest.raises(ValueError, match=r"there is no file .*000000\.npz"):
        find_clips(tmp_path, MINECRAFT)[0].read_episode(MINECRAFT)


# ---- lists and folders ----


def test_labels_are_ucf101s(tmp_path):
    """Its classes are in order whatever their case: Hammering comes before HammerThrow."""
    names = [f"{name}/v_{name}_g01_c01.mp4" for name in ("HammerThrow", "Hammering", "YoYo")]
    write_videos(tmp_path / "videos", names)
    labels = {clip.frames.parent.name: clip.label for clip in find_clips(tmp_path / "videos", UCF)}
    assert labels == {"Hammering": 0, "HammerThrow": 1, "YoYo": 2}
    train = tmp_path / "trainlist01.txt"
    train.write_text("".join(f"{name} {n}\n" for name, n in zip(names, (36, 35, 101), strict=True)))
    clips = find_clips(train, UCF, tmp_path / "videos")
    assert [clip.label for clip in clips] == [35, 34, 100]
    assert set(clips[2].read_led(UCF, 14)) == {100}
    (tmp_path / "testlist01.txt").write_text(names[0] + "\n\n")
    (test,) = find_clips(tmp_path / "testlist01.txt", UCF, tmp_path / "videos")
    assert (test.label, test.frames) == (1, tmp_path / "videos" / names[0])
    assert test.read_episode(UCF).meta.extra == {"label": 1}


def test_lists_lead_to_their_files(tmp_path):
    """As downloaded: paths start some folders above the list."""
    for layout in ("dmlab", "minecraft", "ucf101", "bair"):
        for source in published_tree(tmp_path / layout, layout).values():
            clips = find_clips(source, find_layout(layout))
            assert len(clips) == 2
            led = clips[1].read_led(find_layout(layout), 14)
            assert (led[1:-1] >= 0).all() == (layout != "bair")
            assert clips[1].length() == 14


ONE = {"video_path": "0/0.npz"}


@pytest.mark.parametrize(
    ("name", "text", "clips"),
    [
        ("bom.json", "\ufeff" + json.dumps([ONE]), 1),
        ("lines.json", json.dumps(ONE) + "\n" + json.dumps(ONE) + "\n", 2),
        ("lines.jsonl", json.dumps(ONE) + "\r\n\r\n" + json.dumps(ONE), 2),
        ("line.json", json.dumps(ONE), 1),
        ("strings.json", json.dumps(["0/0.npz"]), 1),
        ("windows.json", json.dumps([{"video_path": "0\\0.npz"}]), 1),
        ("loud.JSON", json.dumps([ONE]), 1),
    ],
)
def test_lists_as_people_have_them(tmp_path, name, text, clips):
    """With a byte order mark, as JSON lines, of plain strings, from Windows, with a loud suffix."""
    write_dmlab(tmp_path, clips=1)
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = find_clips(tmp_path / name, DMLAB)
    assert [clip.read_frames().shape for clip in found] == [(14, 64, 64, 3)] * clips


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "<i4", ">i4", "u4", "u8", ">i8", "?"])
def test_actions_of_any_whole_type_are_the_same_actions(tmp_path, dtype):
    actions = np.random.default_rng(0).integers(0, 2, 14)
    arrays = {"video": pictures(14, 64, 0)}
    for name, kind in (("usual", "i8"), ("other", dtype)):
        (tmp_path / name / "0").mkdir(parents=True)
        np.savez(tmp_path / name / "0" / "0.npz", **arrays, actions=actions.astype(kind))
        assert main(["import", str(tmp_path / name), str(tmp_path / f"{name}-episodes")]) == 0
    usual, other = (EpisodeStore(tmp_path / f"{name}-episodes")[0] for name in ("usual", "other"))
    assert np.array_equal(usual.actions, other.actions)
    assert usual.meta == other.meta


def test_actions_that_are_no_whole_numbers_are_one_sentence(tmp_path):
    (tmp_path / "0").mkdir()
    np.savez(tmp_path / "0" / "0.npz", video=pictures(14, 64, 0), actions=np.zeros(14, "f4"))
    with pytest.raises(ValueError, match="actions must be"):
        find_clips(tmp_path, DMLAB)[0].read_episode(DMLAB)


def test_another_frame_rate_is_kept_and_told_once(tmp_path, capsys):
    """Clips of 60 frames a second were taken for 20 without a word."""
    for clips in (1, 3):
        source = write_minecraft(tmp_path / str(clips), clips=clips)
        for number in range(clips):
            write_video(source / "0" / f"{number:06d}.mp4", pictures(14, 128, number), 60)
        out = tmp_path / f"episodes-{clips}"
        assert main(["import", str(source), str(out), "--layout", "minecraft"]) == 0
        said = capsys.readouterr().err
        assert said.count("has 60 frames a second, minecraft has 20") == 1
        assert ("(and 2 more)" in said) == (clips == 3)
        assert {episode.meta.fps for episode in EpisodeStore(out)} == {60.0}


@pytest.mark.parametrize("extra", [{"action_after": "x"}, {"action_after": -9}, {"first_class": 9}])
def test_odd_classes_of_a_meta_are_one_sentence(extra):
    meta = EpisodeMeta(source="x", action_set="dmlab", fps=7.5, extra=extra)
    episode = Episode(
        frames=np.zeros((3, 64, 64, 3), np.uint8),
        actions=np.zeros(2, np.int64),
        rewards=np.zeros(2, np.float32),
        meta=meta,
    )
    layout = MINECRAFT if "first_class" in extra else DMLAB
    with pytest.raises(ValueError, match="of the meta must be a whole number"):
        episode_classes(layout, episode)


def test_an_export_twice_is_an_export_once(moving_store, tmp_path):
    """One that was killed is simply run again."""
    args = ["export", str(moving_store), str(tmp_path / "out")]
    contents = []
    for _ in range(2):
        assert main(args) == 0
        files = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
        contents.append([(path, path.read_bytes()) for path in files])
    assert contents[0] == contents[1]
    assert contents[0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is not a JSON list"),
        ("[" * 100_000, "is not a JSON list"),
        ('{"a": 1}', "JSON array of objects"),
        ("[1]", "JSON array of objects"),
        ("[]", "holds no clips of dmlab"),
        ('[{"action_path": "a.npz"}]', "entry 0 has neither a video_path nor a latent_path"),
        ('[{"video_path": "../../etc/passwd"}]', "entry 0 leads to .* outside of"),
        ('[{"video_path": "/etc/passwd"}]', "entry 0 leads to .* outside of"),
        ('[{"video_path": ["a"]}]', "entry 0 must have a path"),
        ('[{"video_path": "a.npz", "label": "x"}]', "label of entry 0 is 'x'"),
    ],
)
def test_a_hostile_list_is_one_sentence(tmp_path, text, sentence):
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        find_clips(tmp_path / "list.json", DMLAB)


def test_folders_without_clips_are_one_sentence(tmp_path):
    (tmp_path / "list.csv").write_text("")
    for source, sentence in (
        (tmp_path, "holds no clips of minecraft"),
        (tmp_path / "none", "there is no .*none: give a split"),
        (tmp_path / "list.csv", "neither a folder nor"),
    ):
        with pytest.raises(ValueError, match=sentence):
            find_clips(source, MINECRAFT)
    write_videos(tmp_path / "flat", ["a.mp4"])
    with pytest.raises(ValueError, match="outside class folders"):
        find_clips(tmp_path / "flat", UCF)


class Touch:
    """Pickled, it would make a file when it is unpickled carelessly."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize(
    ("thing", "sentence"),
    [
        (Touch("touched"), "without running code"),
        ({"latent": torch.zeros(1)}, "got dict"),
        (torch.zeros(3, 4), "must hold latents"),
        (torch.zeros(3, 4, 2, 2, dtype=torch.int64), "must hold latents"),
        (torch.full((3, 4, 2, 2), torch.nan), "not finite"),
        (None, "not a tensor that can be read"),
    ],
)
def test_hostile_latents_are_one_sentence(tmp_path, monkeypatch, thing, sentence):
    monkeypatch.chdir(tmp_path)
    torch.save(thing, "0.pt")
    if thing is None:
        (tmp_path / "0.pt").write_bytes((tmp_path / "0.pt").read_bytes()[:60])
    with pytest.raises(ValueError, match=sentence):
        ClipFile(name="0", latents=tmp_path / "0.pt").read_latents()
    assert not (tmp_path / "touched").exists()


# ---- the command ----


def test_latents_are_packed_by_the_command(tmp_path, capsys, diffusers):
    """Published latents need no autoencoder's weights; they are scaled once, and mapped."""
    rows = []
    for number in range(2):
        write_latents(tmp_path / f"{number}.pt", (5, 32, 8, 8), number)
        write_arrays(tmp_path, f"{number}", {"actions": np.arange(5) % 3})
        rows.append({"latent_path": f"{number}.pt", "action_path": f"{number}.npz"})
    source = write_list(tmp_path / "list.json", rows)
    assert main(["latents", str(source), str(tmp_path / "out")]) == 0
    assert "2 of 2 clips, 10 frames" in capsys.readouterr().out
    raw = np.fromfile(tmp_path / "out" / "latents.raw", np.float16).reshape(10, 32, 8, 8)
    want = 0.2889 * torch.load(tmp_path / "1.pt", weights_only=True)
    np.testing.assert_allclose(raw[5:], want, atol=2e-3)
    line = json.loads((tmp_path / "out" / "clips.jsonl").read_text().splitlines()[1])
    assert line["led"] == [-1, 0, 1, 2, 0, 1]
    write_latents(tmp_path / "0.pt", (5, 4, 8, 8), 0)
    other = str(write_list(tmp_path / "b.json", rows[:1]))
    with pytest.raises(ValueError, match="none of the 1 clips could be encoded"):
        main(["latents", other, str(tmp_path / "b")])
    assert "left out: " in capsys.readouterr().out


def test_frames_need_an_autoencoder(tmp_path):
    folder = str(write_dmlab(tmp_path / "split"))
    with pytest.raises(ValueError, match="give the autoencoder's --weights"):
        main(["latents", folder, str(tmp_path / "out")])
    with pytest.raises(ValueError, match="no autoencoder 'dcae-9x'"):
        main(["latents", folder, str(tmp_path / "out"), "--autoencoder", "dcae-9x"])
