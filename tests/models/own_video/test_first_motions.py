"""How far actions move the viewer, before any depth is known."""

import numpy as np
import pytest
import torch

from models.own_video.first_motions import find_stride, find_typical_motions
from models.own_video.learn_poses import Walks
from tests.support.painted_room import FORWARD, walk_about
from tests.support.rooms import FOV
from worldsim.actions import load_actions


def test_turns_are_found_and_strides_go_ahead():
    """A turn moves a third of the picture: no gradient finds that from nothing."""
    walks = Walks([walk_about(80, seed) for seed in range(3)])
    found = find_typical_motions(*walks.pairs, walks.actions[walks.steps], 4, FOV, seed=0)
    turns = np.degrees(load_actions("dmlab").turns)
    np.testing.assert_allclose(np.degrees(found[:, 2].numpy()), turns, atol=1.1)
    assert found[FORWARD, 0] == found[:, 0].max() > 0.1
    assert 0.1 < find_stride(found) < 1.2
    assert not found[3].any()


def test_nobody_who_walks_is_refused():
    turns = torch.tensor([[0.0, 0.0, 0.4, 0.0], [0.0, 0.0, -0.4, 0.0]])
    with pytest.raises(ValueError, match=r"must show a body that walks.*; got no action"):
        find_stride(turns)
