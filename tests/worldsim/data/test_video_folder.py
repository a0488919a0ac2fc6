"""A folder of videos becomes a data folder: frames, actions and splits are right, nothing twice."""

import numpy as np
import pytest

from tests.support.commands import refused
from worldsim.cli import main as cli
from worldsim.data.store import EpisodeStore
from worldsim.data.video import frame_numbers, iterate_frames, read_video, write_video
from worldsim.data.video_folder import SPLITS, VideoPlan, find_videos, share_out_files

RATE = 20


def shades(frames: int, wide: int = 48, tall: int = 32) -> np.ndarray:
    """Pictures `[T,tall,wide,3]` whose grey level tells their number; the left third is red."""
    levels = 20 + 4 * np.arange(frames)
    pictures = np.repeat(levels, tall * wide * 3).reshape(frames, tall, wide, 3).astype(np.uint8)
    pictures[:, :, : wide // 3] = (250, 0, 0)
    return pictures


@pytest.fixture
def walks(tmp_path):
    """Three videos of 40 frames, of which one has a table of actions; and what is none."""
    for name in ("a", "deep/b", "c"):
        (tmp_path / "walks" / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(tmp_path / "walks" / f"{name}.mp4", shades(40), RATE)
    (tmp_path / "walks" / "a.csv").write_text("frame,action\n0,forward\n20,left\n")
    (tmp_path / "walks" / "notes.txt").touch()
    return tmp_path / "walks"


def read_all(target) -> dict:
    """Episodes by split and name."""
    stores = {split: EpisodeStore(target / split) for split in SPLITS}
    return {
        (split, path.stem): episode
        for split, store in stores.items()
        for path, episode in zip(store.paths(), store, strict=True)
    }


def test_frames_one_after_another_are_those_read_at_once(tmp_path):
    write_video(tmp_path / "a.mp4", shades(40), RATE)
    for every in (1, 2.5, 4):
        numbers = frame_numbers(np.arange(int(39 / every) + 1), every)
        slow = read_video(tmp_path / "a.mp4", numbers[numbers < 40])
        np.testing.assert_array_equal(
            np.stack(list(iterate_frames(tmp_path / "a.mp4", every))), slow
        )


def test_videos_become_episodes(walks, tmp_path, capsys):
    options = ["--fps", "5", "--size", "16", "--action-set", "dmlab", "--length", "6"]
    assert cli(["data", "video", str(walks), str(tmp_path / "data"), *options]) == 0
    assert "0 videos left out" in capsys.readouterr().out
    found = read_all(tmp_path / "data")
    assert len(found) == 6
    for video in ("a", "c", "deep-b"):
        (split,) = {split for split, name in found if name.startswith(video)}
        first, second = (found[split, f"{video}-{n:04d}"] for n in (0, 1))
        assert first.frames.shape == (7, 16, 16, 3)
        assert second.frames.shape == (4, 16, 16, 3)
        np.testing.assert_array_equal(first.frames[-1], second.frames[0])  # no action is lost
        grey = np.concatenate((first.frames[:, 8, 12, 1], second.frames[1:, 8, 12, 1])).astype(int)
        assert np.abs(grey - (20 + 16 * np.arange(10))).max() < 6
        assert first.frames[0, 8, 0].astype(int) @ (1, -1, 0) > 100  # red is red; the middle is cut
        actions = np.concatenate((first.actions, second.actions)).tolist()
        assert actions == ([2] * 5 + [0] * 4 if video == "a" else [-1] * 9)
        assert first.meta.extra["actions"] == ("recorded" if video == "a" else "unknown")
        assert (first.meta.fps, first.meta.action_set, first.meta.seed) == (5, "dmlab", None)


def test_twice_is_once_and_files_keep_their_split(walks, tmp_path):
    args = ["data", "video", str(walks), str(tmp_path / "data"), "--action-set", "dmlab"]
    assert cli(args) == 0
    before = {key: episode.meta for key, episode in read_all(tmp_path / "data").items()}
    assert {split for split, _ in before} == {"train", "heldout"}
    assert {meta.action_set for meta in before.values()} == {"dmlab"}
    for number in range(3):
        write_video(walks / f"more{number}.mp4", shades(20), RATE)
    assert cli([*args, "--tuning", "0.2"]) == 0
    after = {key: episode.meta for key, episode in read_all(tmp_path / "data").items()}
    assert before.items() <= after.items()
    assert len(after) == 6
    assert len([split for split, _ in after if split == "tuning"]) == 1


def test_a_world_without_actions_is_watched(walks, tmp_path):
    (walks / "a.csv").unlink()
    assert cli(["data", "video", str(walks), str(tmp_path / "data")]) == 0
    for episode in read_all(tmp_path / "data").values():
        assert episode.meta.action_set == "watch"
        assert episode.meta.extra["actions"] == "recorded"  # there is nothing to infer
        assert episode.actions.tolist() == [0] * 39


def test_folders_named_as_splits_say_the_split(tmp_path):
    for split in SPLITS:
        (tmp_path / "walks" / split).mkdir(parents=True)
        write_video(tmp_path / "walks" / split / "a.mp4", shades(4), RATE)
    assert cli(["data", "video", str(tmp_path / "walks"), str(tmp_path / "data")]) == 0
    assert sorted(read_all(tmp_path / "data")) == sorted((s, f"{s}-a-0000") for s in SPLITS)


def test_files_are_shared_out_by_their_number():
    names = [f"walk{number}" for number in range(40)]
    shares = {"heldout": 0.1, "tuning": 0.05}
    found = share_out_files(names, {}, shares)
    assert sorted(found) == sorted(names)
    count = {split: list(found.values()).count(split) for split in SPLITS}
    assert count == {"train": 34, "heldout": 4, "tuning": 2}
    assert share_out_files(names[::-1], {}, shares) == found
    assert share_out_files(["one"], {}, shares) == {"one": "train"}
    assert set(share_out_files(names, found, {"heldout": 0.5, "tuning": 0.0}).items()) >= {
        item for item in found.items() if item[1] != "train"
    }


def test_what_cannot_be_used_is_told_and_the_others_go_on(walks, tmp_path, capsys):
    (walks / "broken.mp4").write_bytes(b"<html>")
    (walks / "c.csv").write_text("frame,action\n0,jump\n")
    write_video(walks / "short.mp4", shades(1), RATE)
    args = ["data", "video", str(walks), str(tmp_path / "data"), "--action-set", "dmlab"]
    assert cli(args) == 1
    said = capsys.readouterr()
    assert "3 videos left out" in said.out
    assert said.err.count("left out: ") == 3
    assert {name for _, name in read_all(tmp_path / "data")} == {"a-0000", "deep-b-0000"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--fps", "60"], "fps must be at most 20"),
        (["--action-set", "dmlap"], "no action set 'dmlap'"),
        (["--heldout", "0.6", "--tuning", "0.4"], "together must be below 1"),
    ],
)
def test_wrong_wishes_are_one_sentence(walks, tmp_path, capsys, options, sentence):
    args = ["data", "video", str(walks), str(tmp_path / "data"), *options]
    if options[0] == "--fps":
        assert cli(args) == 1
        assert sentence in capsys.readouterr().err
    else:
        assert sentence in refused(capsys, *args)
    assert not read_all(tmp_path / "data")


def test_folders_that_do_not_do_are_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="there is no folder"):
        find_videos(tmp_path / "none")
    with pytest.raises(ValueError, match="holds no videos"):
        find_videos(tmp_path)
    for name in ("a.mp4", "a.webm"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match="names of their own"):
        find_videos(tmp_path)
    with pytest.raises(ValueError, match=r"across must be in \[0, 1\], got 2"):
        VideoPlan(across=2)
