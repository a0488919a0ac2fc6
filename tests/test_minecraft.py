"""The published Minecraft layout: an action and the frame it led to stay together, in and out."""

import numpy as np
import pytest

from worldsim.data.minecraft import main, read_clip, read_video, to_clips, write_video
from worldsim.data.npz import write_arrays
from worldsim.data.store import EpisodeStore
from worldsim.types import Episode, EpisodeMeta

BRIGHT = {0: 20, 1: 90, 2: 160, 3: 230}


def episode(actions, size=128, action_set="voxel"):
    """Every frame's brightness tells the action that led to it, so that mp4 cannot hide it."""
    levels = [BRIGHT[0], *(BRIGHT[int(action)] for action in actions)]
    frames = np.stack([np.full((size, size, 3), level, np.uint8) for level in levels])
    return Episode(
        frames=frames,
        actions=np.array(actions, np.int64),
        rewards=np.zeros(len(actions), np.float32),
        meta=EpisodeMeta(source="test", action_set=action_set, fps=20),
    )


def drawn(steps, seed=0):
    return np.random.default_rng(seed).integers(1, 4, steps)


def led_to(frames):
    """The action that each frame's brightness tells."""
    means = frames.reshape(len(frames), -1).mean(1)
    return [min(BRIGHT, key=lambda action: abs(BRIGHT[action] - mean)) for mean in means]


def test_out_and_in_again_every_frame_has_its_action(tmp_path):
    """Shifted by one, a network would learn to answer every key a frame late."""
    store = EpisodeStore(tmp_path / "store")
    store.append(episode(drawn(650)))
    assert main(["export", str(store.folder), str(tmp_path / "out")]) == 0
    files = sorted(path.name for path in (tmp_path / "out" / "0").iterdir())
    assert files == ["000000.mp4", "000000.npz", "000001.mp4", "000001.npz"]
    for stem in ("000000", "000001"):
        with np.load(tmp_path / "out" / "0" / f"{stem}.npz") as npz:
            assert set(npz) == {"actions"}
            assert npz["actions"].dtype == np.int32
            assert npz["actions"].shape == (300,)
            assert npz["actions"][0] == 0
            seen = led_to(read_video(tmp_path / "out" / "0" / f"{stem}.mp4"))
            assert seen[1:] == npz["actions"][1:].tolist()
    back = EpisodeStore(tmp_path / "back")
    arguments = ["import", str(tmp_path / "out"), str(back.folder)]
    assert main(arguments) == main(arguments) == 0  # the second finds them there
    back.refresh()
    assert len(back) == 2
    for clip in back:
        assert clip.frames.shape == (300, 128, 128, 3)
        assert led_to(clip.frames)[1:] == clip.actions.tolist()
        assert clip.meta.action_set == "voxel"
        assert clip.meta.fps == 20


def test_a_video_may_have_one_frame_more(tmp_path):
    """Some published clips have 301 frames; what the last one's action was is not known."""
    made = episode(drawn(9))
    write_video(tmp_path / "a.mp4", made.frames)
    actions = np.concatenate([[0], made.actions[:-1]]).astype(np.int32)
    write_arrays(tmp_path, "a", {"actions": actions})
    clip = read_clip(tmp_path / "a.mp4")
    assert clip.actions.tolist() == made.actions[:-1].tolist()
    assert led_to(clip.frames)[1:] == clip.actions.tolist()


def test_a_rest_is_refused_or_dropped(tmp_path, capsys):
    """The published 0 marks a first frame: written as one, standing would teach a wrong start."""
    actions = drawn(650)
    actions[400] = 0
    store = EpisodeStore(tmp_path / "store")
    store.append(episode(actions))
    with pytest.raises(SystemExit):
        main(["export", str(store.folder), str(tmp_path / "refused")])
    assert "has no stand: drop such clips" in capsys.readouterr().err
    assert main(["export", str(store.folder), str(tmp_path / "out"), "--stand", "drop"]) == 0
    assert len(list((tmp_path / "out" / "0").glob("*.mp4"))) == 1


def test_other_sizes_and_action_sets_are_one_sentence():
    for other in (episode(drawn(3), size=64), episode(drawn(3), action_set="dmlab")):
        with pytest.raises(ValueError, match="voxel actions and 128x128 frames, this episode"):
            list(to_clips(other))


@pytest.mark.parametrize(
    ("frames", "actions", "sentence"),
    [
        (4, [0, 1, 2], None),
        (4, [0, 1], "as many frames"),
        (4, [0, 1, 2, 3, 1], "as many frames"),
        (3, [0, 1, 0], "outside 1 to 3"),
        (3, [0, 1, 4], "outside 1 to 3"),
        (1, [0], "at least 2"),
    ],
)
def test_what_is_no_clip_is_one_sentence(tmp_path, frames, actions, sentence):
    write_video(tmp_path / "a.mp4", np.zeros((frames, 32, 32, 3), np.uint8))
    write_arrays(tmp_path, "a", {"actions": np.array(actions, np.int32)})
    if sentence is None:
        assert len(read_clip(tmp_path / "a.mp4")) == len(actions) - 1
        return
    with pytest.raises(ValueError, match=sentence):
        read_clip(tmp_path / "a.mp4")


def test_files_that_are_missing_or_no_video_are_one_sentence(tmp_path, capfd):
    write_arrays(tmp_path, "a", {"actions": np.array([0, 1], np.int32)})
    with pytest.raises(ValueError, match="there is no file"):
        read_clip(tmp_path / "a.mp4")
    (tmp_path / "a.mp4").write_bytes(b"no video at all")
    with pytest.raises(ValueError, match="is no video"):
        read_clip(tmp_path / "a.mp4")
    with pytest.raises(SystemExit):
        main(["import", str(tmp_path), str(tmp_path / "store")])
    assert "holds no clips" in capfd.readouterr().err


def test_a_video_that_cannot_be_written_whole_leaves_nothing(tmp_path):
    """OpenCV drops frames of another size without a word, as it does on a full disk."""
    import cv2

    class Lossy:
        def __init__(self, *arguments):
            self.video, self.left = writer(*arguments), 2

        def write(self, frame):
            if self.left:
                self.left -= 1
                self.video.write(frame)

        def release(self):
            self.video.release()

    writer, cv2.VideoWriter = cv2.VideoWriter, Lossy
    try:
        with pytest.raises(OSError, match="only 2 of 5 frames"):
            write_video(tmp_path / "a.mp4", np.zeros((5, 32, 32, 3), np.uint8))
    finally:
        cv2.VideoWriter = writer
    assert list(tmp_path.iterdir()) == []
