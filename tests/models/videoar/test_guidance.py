"""Guidance by frame and scale, as the paper has it for both of its tasks."""

import pytest
import torch

from models.videoar.config import GuidanceConfig
from models.videoar.guidance import apply_guidance, guidance_at

FRAMES = torch.arange(5)


def test_of_ucf101():
    """A frame's first scale rises from 1 to 5 over the frames, then up to 10 within the frame."""
    cfg = GuidanceConfig(first=1, last=5, finest=10, length=5)
    assert guidance_at(cfg, FRAMES, 0, 6).tolist() == [1, 2, 3, 4, 5]
    assert guidance_at(cfg, FRAMES, 5, 6).tolist() == [10] * 5
    middle = guidance_at(cfg, torch.tensor([0]), 1, 6)
    assert float(middle) == pytest.approx(1 + 9 / 5)
    assert guidance_at(cfg, torch.tensor([99]), 0, 6).tolist() == [5]


def test_of_text_to_video():
    """From 5 to 3 along time and scales together."""
    cfg = GuidanceConfig(first=5, last=3, length=5)
    found = [float(guidance_at(cfg, FRAMES, k, 6)[t]) for t in range(5) for k in range(6)]
    assert found[0] == 5
    assert found[-1] == 3
    assert found == pytest.approx([5 - 2 * i / 29 for i in range(30)])


def test_one_is_none():
    assert not GuidanceConfig().used
    both = torch.randn(3, 2, 4, 2)
    torch.testing.assert_close(apply_guidance(both, torch.ones(3)), both[:, 0])
    torch.testing.assert_close(apply_guidance(both, torch.zeros(3)), both[:, 1])


def test_a_video_has_a_frame():
    with pytest.raises(ValueError, match="length must be >= 1"):
        GuidanceConfig(length=0)
