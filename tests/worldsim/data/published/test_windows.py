"""Training batches of published clips: the right frames with the right actions, however a batch is
shared and however often a run is stopped.
"""

import numpy as np
import pytest

from tests.support.published_clips import write_dmlab, write_videos
from worldsim.data.crop import square
from worldsim.data.published.clip_files import find_clips
from worldsim.data.published.formats import LAYOUTS
from worldsim.data.published.latents import encode_published, published_meta
from worldsim.data.published.windows import FrameSource, LatentSource, Stretches, positions

DMLAB, UCF = LAYOUTS["dmlab"], LAYOUTS["ucf101"]


@pytest.fixture
def dmlab_clips(tmp_path):
    return find_clips(write_dmlab(tmp_path / "split", clips=3), DMLAB)


def encode(clip):
    return clip.read_frames()[:, :2, :2, :].transpose(0, 3, 1, 2) / 256


def latents(clips, folder, encode=encode):
    meta = published_meta(clips, DMLAB, "codec", (3, 2, 2))
    return encode_published(clips, DMLAB, encode, meta, folder, say=lambda line: None)


def test_latents_stopped_go_on(dmlab_clips, tmp_path):
    """Encoding takes hours: what is done is not done again, and nothing is there twice."""
    encoded = []

    def stops(clip):
        if len(encoded) == 2:
            raise KeyboardInterrupt
        encoded.append(clip.name)
        return encode(clip)

    with pytest.raises(KeyboardInterrupt):
        latents(dmlab_clips, tmp_path / "latents", stops)
    with open(tmp_path / "latents.partial" / "latents.raw", "ab") as raw:
        raw.write(b"half a clip")
    assert not (tmp_path / "latents").exists()
    encoded.pop()
    made = latents(dmlab_clips, tmp_path / "latents", lambda c: encoded.append(c.name) or encode(c))
    assert len(made) == 3
    assert encoded[1:] == [dmlab_clips[2].name]
    for number, clip in enumerate(dmlab_clips):
        there = made.read(number, np.arange(14))
        np.testing.assert_allclose(there, encode(clip), atol=1e-3)
        np.testing.assert_array_equal(made.led[number], clip.read_led(DMLAB, 14))
    latents(dmlab_clips, tmp_path / "latents", None)  # is there, and not made again
    with pytest.raises(ValueError, match="of other clips or another autoencoder"):
        latents(dmlab_clips[:2], tmp_path / "latents")


def test_damaged_clips_are_left_out_of_latents(dmlab_clips, tmp_path):
    dmlab_clips[1].frames.write_bytes(b"")
    made = latents(dmlab_clips, tmp_path / "latents")
    assert len(made) == 2
    np.testing.assert_allclose(made.read(1, np.arange(14)), encode(dmlab_clips[2]), atol=1e-3)
    (tmp_path / "latents" / "clips.jsonl").write_text("{")
    with pytest.raises(ValueError, match="delete it"):
        latents(dmlab_clips, tmp_path / "latents")


@pytest.mark.parametrize("delay", [0, 1])
def test_actions_stay_with_their_frames(dmlab_clips, tmp_path, delay):
    """Off by one, a network would answer every key a frame late; with `delay` that is wanted."""
    pictures, cached = (
        Stretches(source, frames=6, batch=4, seed=3)
        for source in (
            FrameSource(dmlab_clips, DMLAB, size=64, delay=delay),
            LatentSource(latents(dmlab_clips, tmp_path / "latents"), delay),
        )
    )
    for row, coded in zip(pictures.draw(0), cached.draw(0), strict=True):
        clip, at = located(row, dmlab_clips)
        with np.load(clip.frames) as arrays:
            taken = arrays["actions"]
        wanted = taken[at : at + 6] if delay else np.append(-1, taken)[at : at + 6]
        np.testing.assert_array_equal(row.conditions, wanted)
        np.testing.assert_array_equal(coded.conditions, wanted)
        np.testing.assert_allclose(coded.pictures, encode(clip)[at : at + 6], atol=1e-3)


def located(row, clips):
    for clip in clips:
        frames = clip.read_frames()
        for at in range(len(frames) - len(row.pictures) + 1):
            if (frames[at : at + len(row.pictures)] == row.pictures).all():
                return clip, at
    raise AssertionError("no such stretch")


def test_a_batch_is_the_same_however_it_is_shared(dmlab_clips):
    source = FrameSource(dmlab_clips, DMLAB, size=64)
    how = {"frames": 8, "shortest": 3, "batch": 4, "seed": 1}
    whole = Stretches(source, **how)
    parts = [Stretches(source, rows=range(2 * r, 2 * r + 2), **how) for r in range(2)]
    lengths = set()
    for step in (0, 1, 2, 9):
        rows = [row for part in parts for row in part.draw(step)]
        lengths.add(len(rows[0].conditions))
        for ours, theirs in zip(rows, whole.draw(step), strict=True):
            np.testing.assert_array_equal(ours.pictures, theirs.pictures)
            np.testing.assert_array_equal(ours.conditions, theirs.conditions)
    assert len(lengths) > 1
    assert {whole.length(step) for step in range(100)} == set(range(3, 8))  # 8 is excluded


def test_an_epoch_shows_every_clip_once(dmlab_clips):
    source = FrameSource(dmlab_clips, DMLAB, size=64)
    rows = [row for step in range(3) for row in Stretches(source, frames=2, batch=1).draw(step)]
    assert len({located(row, dmlab_clips)[0].name for row in rows}) == 3


def test_stretches_begin_where_fars_do():
    rng = np.random.default_rng(0)
    drawn = [positions(20, 5, 3, rng) for _ in range(200)]
    assert {int(p[0]) for p in drawn} == set(range(8))
    assert all((np.diff(p) == 3).all() for p in drawn)
    assert positions(12, 5, 3, rng).tolist() == [0, 1, 2, 3, 4]  # too short for every third


def test_short_videos_end_in_black(tmp_path):
    """As FAR reads them."""
    write_videos(tmp_path / "videos" / "Archery", ["a.mp4"], frames=5)
    source = FrameSource(find_clips(tmp_path / "videos", UCF), UCF, size=32)
    (row,) = Stretches(source, frames=8, pad=True, batch=1).draw(0)
    assert row.pictures.shape == (8, 32, 32, 3)
    assert not row.pictures[5:].any()
    assert row.pictures[:5].any(axis=(1, 2, 3)).all()
    with pytest.raises(ValueError, match="has 5 frames, a stretch has 8"):
        Stretches(source, frames=8, batch=1).row(0, 0)


def test_videos_are_mirrored_and_cut_at_random(tmp_path):
    write_videos(tmp_path / "videos" / "Archery", ["a.mp4"], frames=1)
    clips = find_clips(tmp_path / "videos", UCF)
    whole = square(clips[0].read_frames(), 32)
    rows = [
        Stretches(FrameSource(clips, UCF, size=32, flip=True), frames=1, batch=1, seed=s).row(0, 0)
        for s in range(24)
    ]
    assert len({row.pictures.tobytes() for row in rows}) > 8
    flat = Stretches(FrameSource(clips, UCF, size=48), frames=1, batch=1).row(0, 0).pictures
    assert any((flat[0] == clips[0].read_frames()[0][:, at : at + 48]).all() for at in range(17))
    assert whole.shape == (1, 32, 32, 3)
