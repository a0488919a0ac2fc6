"""Samples that training steps are timed on."""

import torch

from models.training.spatial_samples import SampleConfig, SampleDrawer
from models.training.step_bench import repeat
from tests.support.room_walks import walk_room
from tests.support.spatial_worlds import SIZE, small_settings
from worldsim.actions import load_actions


def test_repeated_samples_keep_the_context_of_their_groups():
    cfg = SampleConfig(lengths=(6,), candidates=8, coarse=3)
    memory = small_settings().memory
    drawer = SampleDrawer([walk_room(12, SIZE, 0)], load_actions("dmlab"), memory, cfg, 30.0, 0)
    drawn = drawer.draw(4)
    more = repeat(drawn, 10)
    assert len(more.frames) == 10
    for name in ("fine", "coarse_poses", "coarse_known"):
        part, first = getattr(more, name), getattr(drawn, name)
        assert torch.equal(part, first[[0, 1, 0, 1, 0]])
    assert torch.equal(more.poses, drawn.poses[[0, 1, 2, 3, 0, 1, 2, 3, 0, 1]])
    assert torch.equal(more.view.rgb[4:8], drawn.view.rgb)
    assert torch.equal(repeat(drawn, 2).fine, drawn.fine[:1])
