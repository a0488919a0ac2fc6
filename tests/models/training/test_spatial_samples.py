"""Training samples: single frames beside what a damaged memory shows of them."""

import pytest
import torch

from models.memory.odometry import compose_poses
from models.spatial.config import MemoryConfig
from models.training.spatial_samples import SampleConfig, SampleDrawer, mirror_actions
from tests.support.room_walks import walk_room
from worldsim.actions import load_actions

SIZE, BATCH = 32, 24
ACTIONS = load_actions("dmlab")
MEMORY = MemoryConfig(slots=24, sources=3, window=1, keyframes=2)
WHOLE = {
    "lengths": (6, 30),
    "candidates": 12,
    "coarse": 3,
    **dict.fromkeys(("strips", "blank", "jitter", "scaled", "lost", "false"), 0.0),
    **dict.fromkeys(("noisy", "blurred"), 0.0),
}


@pytest.fixture(scope="module")
def episodes():
    return [walk_room(40, SIZE, seed) for seed in range(2)]


def drawer_of(episodes, seed=0, **changes) -> SampleDrawer:
    cfg = SampleConfig(**WHOLE | changes)
    return SampleDrawer(episodes, ACTIONS, MEMORY, cfg, 30.0, seed)


def assert_equal(one, other):
    for name, part in one._asdict().items():
        there = getattr(other, name)
        pairs = zip(part, there, strict=True) if name == "view" else [(part, there)]
        assert all(torch.equal(a, b) for a, b in pairs), name


def test_shapes_and_types(episodes):
    samples = drawer_of(episodes).draw(BATCH)
    groups = BATCH // 2
    assert samples.frames.shape == (BATCH, SIZE, SIZE, 3)
    assert samples.frames.dtype == torch.uint8
    assert samples.view.rgb.shape == (BATCH, 3, SIZE, SIZE)
    assert samples.view.mask.shape == (BATCH, SIZE, SIZE)
    assert samples.view.inverse_depth.shape == (BATCH, SIZE // 2, SIZE // 2)
    assert samples.poses.shape == (BATCH, 4)
    assert samples.motions.shape == (BATCH, 3)
    assert samples.fine.shape == (groups, 3, SIZE, SIZE, 3)  # a window of one, two keyframes
    assert samples.fine_poses.shape == (groups, 3, 4)
    assert samples.coarse.shape == (groups, 3, SIZE, SIZE, 3)
    assert samples.coarse_known.shape == (groups, 3)
    assert samples.fine_known.any()
    assert not samples.fine_known.all()
    assert samples.poses.dtype == samples.motions.dtype == torch.float32


def test_an_undamaged_view_shows_the_frame_also_in_the_mirror(episodes):
    """Half of the samples are mirrored: the view, the frame, and the depth alike."""
    samples = drawer_of(episodes).draw(2 * BATCH)
    truth = samples.frames.permute(0, 3, 1, 2).float() / 127.5 - 1
    mask = samples.view.mask
    assert 0.3 < mask.float().mean() < 1
    error = (samples.view.rgb - truth).abs().mean(dim=1)
    assert (error * mask).sum() / mask.sum() < 0.1
    mirrored = (samples.view.rgb.flip(3) - truth).abs().mean(dim=1)
    assert (mirrored * mask).sum() / mask.sum() > 0.2


def test_poses_motions_and_actions_fit_each_other_also_in_the_mirror(episodes):
    """From the newest context frame the motion and the action's turn lead to the target."""
    samples = drawer_of(episodes).draw(2 * BATCH)
    turns = torch.tensor(ACTIONS.turns)[samples.actions[::2]]
    led = compose_poses(samples.fine_poses[:, 0], samples.motions[::2], turns)
    known = samples.fine_known[::2, 0]
    assert known.sum() > BATCH // 2
    assert torch.allclose(led[known], samples.poses[::2][known], atol=1e-4)
    assert {0, 1} <= set(samples.actions.tolist())


def test_left_is_right_in_the_mirror():
    assert mirror_actions(ACTIONS).tolist() == [1, 0, 2, 3]


def test_the_same_seed_draws_the_same(episodes):
    damaged = {"strips": 0.5, "jitter": 0.5, "false": 0.3, "lost": 0.5, "noisy": 0.5, "blank": 0.2}
    one, other = (drawer_of(episodes, **damaged) for _ in range(2))
    assert_equal(one.draw(8), other.draw(8))
    assert_equal(one.draw(8), other.draw(8))


def test_a_drawer_goes_on_from_its_state(episodes):
    damaged = {"strips": 0.5, "jitter": 0.5, "false": 0.3}
    drawer = drawer_of(episodes, **damaged)
    drawer.draw(8)
    state = drawer.state_dict()
    expected = drawer.draw(8)
    other = drawer_of(episodes, seed=7, **damaged)
    other.load_state_dict(state)
    assert_equal(other.draw(8), expected)


def test_forgotten_is_not_seen(episodes):
    blank = drawer_of(episodes, blank=1.0).draw(8).view
    assert not blank.mask.any()
    assert (blank.rgb == 0).all()
    assert (blank.inverse_depth == 0).all()
    assert blank.first_hand.all()
    strips, whole = (drawer_of(episodes, strips=share).draw(40).view for share in (1.0, 0.0))
    assert strips.seen_share.mean() < 0.8 * whole.seen_share.mean()


def test_targets_of_a_group_share_their_context(episodes):
    """The later ones see from their own poses what was remembered before the first."""
    samples = drawer_of(episodes, group=4, ahead=5).draw(8)
    assert len(samples.fine) == 2
    assert len(samples.frames) == 8
    assert len(set(samples.poses[:4, 2].tolist()) | set(samples.poses[:4, 0].tolist())) > 1


@pytest.mark.parametrize("damage", ["jitter", "scaled", "lost", "noisy", "blurred", "false"])
def test_damage_is_seen_in_the_view(episodes, damage):
    whole, damaged = (drawer_of(episodes, **{damage: x}).draw(16).view for x in (0.0, 1.0))
    assert not torch.equal(whole.rgb, damaged.rgb)
