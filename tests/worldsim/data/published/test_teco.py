"""The published DMLab layout: the action and the picture's motion belong together, in and out.

An alignment that is off by one trains a network that answers every key a frame late. So the test
looks at the pictures: a turn to the left moves them to the right.
"""

import itertools
from pathlib import Path

import numpy as np
import pytest

from envs.maze.engine import MazeEnv
from envs.maze.scene import FIELD_OF_VIEW
from worldsim.data.collect import Plan, play_episode
from worldsim.data.command import main
from worldsim.data.npz import write_arrays
from worldsim.data.published.teco import cut_clips, export_clips, import_clips, read_clip
from worldsim.data.store import EpisodeStore
from worldsim.types import Episode

CLIP = Path(__file__).resolve().parents[3] / "golden" / "dmlab_clip.npz"
LEFT, RIGHT, STAND = 0, 1, 3
OURS = {"field_of_view": FIELD_OF_VIEW, "turn": 22.5}
# measured on the clip: the view over which a turn is one shift, and 21 lefts are a full circle
PUBLISHED = {"field_of_view": 88, "turn": 16.5}


def play(seed, steps=300):
    plan = Plan(env="Maze-v0", options={}, steps=steps, folder=Path(), split="train", seeds=())
    return play_episode(MazeEnv(), seed, plan)


@pytest.fixture(scope="module")
def moving():
    """An episode without rests and one with rests."""
    episodes = [play(seed) for seed in range(1, 4)]
    without = next(e for e in episodes if STAND not in e.actions)
    resting = next(e for e in episodes if STAND in e.actions)
    return without, resting


def by_angle(frames, field_of_view):
    """The middle rows over equal angles, two a degree: a turn is a shift, `[T+1, h, n, 3]`."""
    half = field_of_view / 2
    width = frames.shape[2]
    angles = np.radians(np.arange(1 - half, half - 1, 0.5))
    columns = width / 2 * np.tan(angles) / np.tan(np.radians(half)) + (width - 1) / 2
    left = columns.astype(int)
    part = (columns - left)[:, None]
    rows = frames[:, 24:40].astype(np.float32)
    return rows[:, :, left] * (1 - part) + rows[:, :, left + 1] * part


def turns_seen(frames, field_of_view, reach=50):
    """Degrees each picture moved to the right: the shift with the least difference, `[T]`."""
    rows = by_angle(frames, field_of_view)
    width = rows.shape[2]

    def difference(before, after, shift):
        low, high = max(shift, 0), width + min(shift, 0)
        return np.abs(after[:, low:high] - before[:, low - shift : high - shift]).mean()

    shifts = range(-reach, reach + 1)
    return np.array(
        [min(shifts, key=lambda s: difference(a, b, s)) / 2 for a, b in itertools.pairwise(rows)]
    )


def explained(moves, actions):
    """The share of the pictures' motion that the action explains: one minus the rest's variance."""
    kinds = np.unique(actions)
    rest = sum(((moves[actions == k] - moves[actions == k].mean()) ** 2).sum() for k in kinds)
    return 1 - rest / ((moves - moves.mean()) ** 2).sum()


def assert_aligned(episode, field_of_view, turn):
    """A turn explains its own picture's motion far better than the picture before's or after's."""
    moves, actions = turns_seen(episode.frames, field_of_view), episode.actions
    aligned = explained(moves, actions)
    early, late = explained(moves[1:], actions[:-1]), explained(moves[:-1], actions[1:])
    assert aligned > max(early, late) + 0.2, (aligned, early, late)
    assert abs(np.median(moves[actions == LEFT]) - turn) < 1
    assert abs(np.median(moves[actions == RIGHT]) + turn) < 1


def test_a_published_clip_is_aligned_after_import():
    assert_aligned(read_clip(CLIP), **PUBLISHED)


def test_our_engine_is_aligned(moving):
    for episode in moving:
        assert_aligned(episode, **OURS)


@pytest.mark.parametrize("off", [-1, 1])
def test_the_alignment_test_sees_one_step(off):
    """A test that passes for the wrong alignment too would be worth nothing."""
    right = read_clip(CLIP)
    actions = np.roll(right.actions, off)
    wrong = Episode(frames=right.frames, actions=actions, rewards=right.rewards, meta=right.meta)
    with pytest.raises(AssertionError, match="float"):
        assert_aligned(wrong, **PUBLISHED)


def test_a_clip_comes_back_from_the_store_as_it_was(tmp_path):
    """The last action led to a frame that is not in the file, and must not be lost."""
    (tmp_path / "in" / "0").mkdir(parents=True)
    (tmp_path / "in" / "0" / "7.npz").write_bytes(CLIP.read_bytes())
    store = EpisodeStore(tmp_path / "store")
    assert [path.name for path in import_clips(tmp_path / "in", store)] == ["dmlab-0-7.npz"]
    assert list(import_clips(tmp_path / "in", store)) == []
    assert len(store[0]) == 299
    assert store.seeds() == set()
    assert export_clips(store, tmp_path / "out") == 1
    with np.load(CLIP) as want, np.load(tmp_path / "out" / "0" / "0.npz") as got:
        assert set(got) == set(want) == {"video", "actions"}
        for name in want:
            assert got[name].dtype == want[name].dtype
            assert (got[name] == want[name]).all()


def test_an_exported_episode_is_a_published_clip(moving, tmp_path):
    episode, _ = moving
    store = EpisodeStore(tmp_path / "store")
    store.append(episode)
    assert main(["export", str(tmp_path / "store"), str(tmp_path / "out")]) == 0
    back = read_clip(tmp_path / "out" / "0" / "0.npz")
    assert (back.frames == episode.frames[:300]).all()
    assert (back.actions == episode.actions[:299]).all()
    assert back.meta.extra["action_after"] == episode.actions[299]
    assert main(["import", str(tmp_path / "out"), str(tmp_path / "back")]) == 0
    assert (EpisodeStore(tmp_path / "back")[0].frames == back.frames).all()


def test_a_rest_is_refused_or_dropped(moving, tmp_path):
    """There is no class for it: written as any other, it would teach a wrong motion."""
    store = EpisodeStore(tmp_path / "store")
    for episode in moving:
        store.append(episode)
    with pytest.raises(ValueError, match="has no stand: drop such clips"):
        export_clips(store, tmp_path / "refused")
    assert export_clips(store, tmp_path / "out", stand="drop") == 1
    with pytest.raises(ValueError, match=r"\.npz: .* has no stand"):
        main(["export", str(tmp_path / "store"), str(tmp_path / "out")])


def test_long_episodes_are_cut_and_short_ones_left_out():
    clip = read_clip(CLIP)
    twice = Episode(
        frames=np.concatenate([clip.frames, clip.frames, clip.frames[:2]]),
        actions=np.concatenate([clip.actions, [1], clip.actions, [2], [0]]),
        rewards=np.zeros(601, np.float32),
        meta=clip.meta,
    )
    pieces = list(cut_clips(twice))
    assert [len(piece["actions"]) for piece in pieces] == [300, 300]
    assert (pieces[1]["video"] == clip.frames).all()
    short = Episode(
        frames=clip.frames[:9],
        actions=clip.actions[:8],
        rewards=clip.rewards[:8],
        meta=clip.meta,
    )
    assert list(cut_clips(short)) == []


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        (
            {"video": np.zeros((4, 8, 8, 3), np.uint8), "actions": np.full(4, 3)},
            "in .0, 2.",
        ),
        (
            {"video": np.zeros((4, 8, 8, 3), np.uint8), "actions": np.full(4, -1)},
            "in .0, 2.",
        ),
        ({"video": np.zeros((4, 8, 8, 3), np.uint8), "actions": np.zeros(3, int)}, "as many"),
        ({"video": np.zeros((1, 8, 8, 3), np.uint8), "actions": np.zeros(1, int)}, "at least 2"),
        ({"video": np.zeros((4, 8, 8), np.uint8), "actions": np.zeros(4, int)}, "frames must"),
        ({"video": np.zeros((4, 8, 8, 3), np.uint8)}, "must hold video, actions"),
        ({"video": np.zeros((4, 8, 8, 3)), "actions": np.zeros(4, int)}, r"video must be \|u1"),
    ],
)
def test_what_is_no_clip_is_one_sentence(tmp_path, arrays, sentence):
    path = write_arrays(tmp_path, "clip", arrays)
    with pytest.raises(ValueError, match=sentence):
        read_clip(path)


def test_folders_and_sizes_that_do_not_fit_are_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="holds no clips"):
        list(import_clips(tmp_path, EpisodeStore(tmp_path / "s")))
    clip = read_clip(CLIP)
    large = Episode(
        frames=np.repeat(clip.frames[:2], 2, axis=1),
        actions=clip.actions[:1],
        rewards=clip.rewards[:1],
        meta=clip.meta,
    )
    with pytest.raises(ValueError, match="64x64 frames, this episode has dmlab actions"):
        list(cut_clips(large))
