"""Labels come back out of a latent exactly."""

import pytest
import torch

from models.codec.label_channels import (
    label_channels,
    latent_shape,
    pack_labels,
    split_slots,
    unpack_labels,
)
from models.codec.multiscale_quantizer import ABSENT, QuantizerConfig

SCALES = ((1, 1), (2, 2), (4, 4))


@pytest.fixture(params=["bits", "codebook"])
def cfg(request):
    return QuantizerConfig(kind=request.param, channels=6, scales=SCALES, codebook=32)


def some_labels(cfg, count=3):
    return [torch.randint(0, cfg.choices, (count, n, cfg.labels)) for n in cfg.tokens]


def test_labels_come_back(cfg):
    labels = some_labels(cfg)
    packed = pack_labels(labels, cfg)
    assert packed.shape == (3, latent_shape(cfg)[0] - 6, 4, 4)
    for one, other in zip(labels, unpack_labels(packed, cfg), strict=True):
        assert torch.equal(one, other)


def test_scales_that_are_left_out_are_absent(cfg):
    labels = some_labels(cfg)
    found = unpack_labels(pack_labels(labels[:2], cfg), cfg)
    assert all(torch.equal(a, b) for a, b in zip(labels[:2], found[:2], strict=True))
    assert (found[2] == ABSENT).all()


@pytest.mark.parametrize(
    ("kind", "channels", "bits", "planes"), [("codebook", 48, 765, 12), ("bits", 24, 2040, 32)]
)
def test_channels_hold_the_bits_of_a_frame(kind, channels, bits, planes):
    scales = ((1, 1), (2, 2), (4, 4), (8, 8))
    cfg = QuantizerConfig(kind=kind, channels=channels, scales=scales, codebook=512)
    assert (cfg.frame_bits, label_channels(cfg)) == (bits, planes)


def test_slots_lie_where_the_bits_are_stored(cfg):
    packed = pack_labels(some_labels(cfg), cfg)
    marked = torch.where(packed != 0, torch.arange(packed[0].numel()).view_as(packed[0]), -1)
    flat = torch.cat([part.flatten(1) for part in split_slots(marked, cfg)], dim=1)
    assert torch.equal(flat[0], torch.arange(cfg.frame_bits))


def test_the_papers_token_counts():
    natural = QuantizerConfig(
        kind="bits", channels=48, scales=tuple((n, n) for n in (1, 2, 3, 4, 6, 8))
    )
    assert (sum(natural.tokens), natural.frame_bits) == (130, 6240)
