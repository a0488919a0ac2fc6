"""The judge of visibility: it sees what a room has shown, and nothing through a wall."""

import numpy as np

from models.memory.visibility import VisibilityJudge

SIZE, SMALL = 32, 16
OPTICS = (90.0, 20.0)


def wall(distance):
    """The depth of a wall straight ahead, and a frame of it whose colour tells the column."""
    frame = np.zeros((SIZE, SIZE, 3), np.uint8)
    frame[..., 0], frame[..., 1] = np.arange(SIZE) * 7, 90
    return frame, np.full((SMALL, SMALL), distance, np.float16)


def judge_of(*distances):
    frames, depths = zip(*map(wall, distances), strict=True)
    poses = np.zeros((len(distances), 1, 4))
    return VisibilityJudge(np.stack(frames)[:, None], np.stack(depths)[:, None], poses, OPTICS)


def look(judge, depth, row=0, **pose):
    names = ("x", "y", "heading", "height")
    where = np.array([[pose.get(name, 0.0) for name in names]])
    return judge.view(where, np.full((1, SMALL, SMALL), depth), [row])


def test_what_was_seen_is_seen_again():
    view = look(judge_of(4.0), 4.0)
    assert view.seen.all()
    np.testing.assert_array_equal(view.warped[0], wall(4.0)[0])


def test_from_nearer_it_is_the_middle_that_is_seen():
    view = look(judge_of(4.0), 2.0, x=2.0)
    assert view.seen.all()
    columns = view.warped[0, SIZE // 2, :, 0] / 7
    assert columns.min() >= SIZE / 4 - 1
    assert columns.max() <= 3 * SIZE / 4


def test_behind_is_nothing_known():
    view = look(judge_of(4.0), 4.0, heading=np.pi)
    assert not view.seen.any()
    assert not view.warped.any()


def test_a_wall_that_nobody_saw_hides_what_is_known():
    """Memory would show what lies behind it, since it knows of no wall."""
    assert look(judge_of(8.0), 8.0).seen.all()
    assert not look(judge_of(8.0), 3.0).seen.any()


def test_the_sky_is_seen_from_everywhere():
    view = look(judge_of(20.0), 20.0, x=3.0, y=1.0)
    assert view.seen.mean() > 0.8


def test_every_episode_has_its_own_memory():
    judge = judge_of(8.0, 3.0)
    assert look(judge, 8.0, row=0).seen.all()
    assert not look(judge, 8.0, row=1).seen.any()
    assert look(judge, 3.0, row=1).seen.all()
