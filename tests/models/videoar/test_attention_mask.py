"""Masks of frames: window and Random Frame Mask."""

import torch

from models.videoar.attention_mask import clip_mask, frame_mask
from models.videoar.loss import LossConfig, draw
from tests.support.videoar_worlds import small_network, small_quantizer


def test_a_window_of_past_frames():
    seen = frame_mask(5, 2)[0]
    assert seen.nonzero().tolist() == [[1, 0], [2, 0], [2, 1], [3, 1], [3, 2], [4, 2], [4, 3]]


def test_no_masked_frames_is_the_window():
    quantizer = small_quantizer().cfg
    drawn = draw(LossConfig(mask_frames=0.0), quantizer, 6, [0, 1])
    assert torch.equal(frame_mask(6, 3, drawn.kept), frame_mask(6, 3).expand(2, -1, -1))


def test_a_share_of_past_frames_is_masked_and_never_the_own():
    quantizer = small_quantizer().cfg
    network = small_network(quantizer, context="scales")
    drawn = draw(LossConfig(mask_frames=0.3), quantizer, 8, range(400))
    seen = frame_mask(8, 8, drawn.kept)
    share = float(seen.sum()) / (400 * 28)
    assert abs(share - 0.7) < 3 * (0.21 / (400 * 28)) ** 0.5
    # Anew for every query frame.
    assert not torch.equal(seen[:, 7, :4], seen[:, 6, :4])
    mask = clip_mask(network.cfg, quantizer, seen[:3])
    own = mask[:, 0].unflatten(1, (8, 21)).unflatten(3, (8, 21)).diagonal(dim1=1, dim2=3)
    assert own[:, -1].all()  # the last scale sees all of its frame


def test_rows_are_drawn_from_their_own_seeds():
    """So that a batch may be split over processes."""
    quantizer, cfg = small_quantizer().cfg, LossConfig(mask_frames=0.5)
    both, second = draw(cfg, quantizer, 4, [7, 8]), draw(cfg, quantizer, 4, [8])
    assert torch.equal(both.kept[1:], second.kept)
    assert torch.equal(both.rates[1:], second.rates)
    assert torch.equal(both.flips[2][1:], second.flips[2])
