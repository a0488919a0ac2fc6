"""Own frames in memory: written by the rule of play, shown where memory shows nothing."""

import functools
import math

import pytest
import torch

from models.memory.depth_network import DepthConfig, DepthNetwork
from models.memory.renderer import MemoryView, render
from models.training.spatial_chain import OwnFrames, complete_views, remember_pictures
from models.training.spatial_config import SpatialLossConfig
from models.training.spatial_loss import SpatialLoss
from models.training.spatial_samples import SampleConfig, SampleDrawer, Samples
from tests.support.room_walks import walk_room
from tests.support.spatial_worlds import SIZE, small_models, small_settings
from worldsim.actions import load_actions

VIEW, FAR = 90.0, 30.0


@pytest.fixture(scope="module")
def models():
    return small_models(small_settings())


@pytest.fixture(scope="module")
def samples() -> Samples:
    """Views that show little."""
    cfg = SampleConfig(lengths=(6, 20), candidates=12, coarse=3, strips=1.0, ahead=2)
    memory = small_settings().memory
    drawer = SampleDrawer([walk_room(30, SIZE, 0)], load_actions("dmlab"), memory, cfg, FAR, 0)
    return drawer.draw(8)


def extend(models, samples: Samples, share: float, seed: int = 0) -> Samples:
    generator = torch.Generator().manual_seed(seed)
    memory = small_settings(field_of_view=VIEW).memory
    parts = models.codec, models.decoder, models.depth
    own = OwnFrames(*parts, memory, share, generator)
    loss = SpatialLoss(SpatialLossConfig(), models.codec, own, generator)
    return own.extend(samples, functools.partial(loss.make_predict, models.network))


def test_later_views_show_more_and_first_ones_what_they_showed(models, samples):
    extended = extend(models, samples, 1.0)
    for old, new in zip(samples.view, extended.view, strict=True):
        assert torch.equal(old[::2], new[::2])
    before, after = samples.view, extended.view
    assert (after.mask | ~before.mask).all()
    assert after.mask[1::2].sum() > before.mask[1::2].sum() + 32  # pixels
    known = before.known.unsqueeze(1).expand_as(before.rgb)
    assert torch.equal(before.rgb[known], after.rgb[known])


def test_a_chain_of_own_frames_grows_and_its_first_is_context(models):
    """The last view shows what the first frame shows in it, and more; the first frame stands in the
    newest context frame's place, where only later ones see it.
    """
    cfg = SampleConfig(lengths=(6, 20), candidates=12, coarse=3, strips=1.0, ahead=6, group=4)
    memory = small_settings().memory
    drawer = SampleDrawer([walk_room(30, SIZE, 0)], load_actions("dmlab"), memory, cfg, FAR, 0)
    samples = drawer.draw(8)
    extended = extend(models, samples, 1.0)
    assert torch.equal(extended.view.rgb[::4], samples.view.rgb[::4])
    of_two = extend(models, samples.pick(torch.tensor([0, 3, 4, 7]), torch.tensor([0, 1])), 1.0)
    shallow, deep = of_two.view.mask[1::2], extended.view.mask[3::4]
    assert (deep | ~shallow).all()
    assert deep.sum() > shallow.sum() + 32  # pixels
    known = extended.fine_known.view(2, 4, -1)
    assert known[:, :, 0].tolist() == [[False, True, True, True]] * 2
    assert torch.equal(known[:, :, 1:], samples.fine_known.view(2, 4, -1)[:, :, 1:])
    assert torch.equal(extended.fine_poses[:, 0], samples.poses[::4])
    assert not torch.equal(extended.fine[:, 0], samples.fine[:, 0])
    assert torch.equal(extended.fine[:, 1:], samples.fine[:, 1:])


def test_targets_of_a_group_are_in_the_order_of_their_walk(models):
    cfg = SampleConfig(lengths=(6,), candidates=8, coarse=3, ahead=9, group=4)
    memory = small_settings().memory
    drawer = SampleDrawer([walk_room(60, SIZE, 0)], load_actions("dmlab"), memory, cfg, FAR, 0)
    for _ in range(8):
        numbers = [target for _, target, _ in drawer._draw_group()]
        assert numbers == sorted(numbers)


def test_without_a_share_nothing_changes(models, samples):
    assert extend(models, samples, 0.0) is samples


def test_a_part_of_the_samples_keeps_their_groups(samples):
    part = samples.pick(torch.tensor([2, 6]), torch.tensor([1, 3]))
    assert torch.equal(part.frames, samples.frames[[2, 6]])
    assert torch.equal(part.view.rgb, samples.view.rgb[[2, 6]])
    assert torch.equal(part.fine, samples.fine[[1, 3]])
    assert torch.equal(part.coarse_known, samples.coarse_known[[1, 3]])


def test_what_is_remembered_is_shown_again_where_it_is_first_hand():
    """Seen from where it was made, an own frame shows its first-hand half, and that alone."""
    everywhere_as_far = DepthNetwork(DepthConfig(frame_size=SIZE, width=32, layers=1))
    for part in everywhere_as_far.requires_grad_(False).out.parameters():
        part.zero_()
    pictures = torch.rand(1, 3, SIZE, SIZE) * 2 - 1
    left = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    left[:, :, : SIZE // 2] = True
    n = SIZE // 2
    depth = torch.full((1, n, n), math.exp(-1))
    nothing = torch.zeros(1, 3, SIZE, SIZE)
    view = MemoryView(nothing, ~left, depth, left, torch.zeros_like(left))
    pose = torch.zeros(1, 4)
    bank = remember_pictures(everywhere_as_far, pictures, view, pose, VIEW)
    shown = render(bank, pose, VIEW, FAR)
    assert shown.mask[:, 4:-4, 4 : SIZE // 2 - 4].float().mean() > 0.8
    assert not shown.mask[:, :, SIZE // 2 + 3 :].any()
    empty = MemoryView(nothing, left & ~left, 0 * depth, left | ~left, left & ~left)
    completed = complete_views(empty, bank, pose, VIEW, FAR)
    assert torch.equal(completed.rgb, shown.rgb)
    assert torch.equal(completed.mask, shown.mask)
