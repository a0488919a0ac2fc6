"""The loss: what is shown, what is asked for, and that it teaches."""

import math

import torch

from models.codec.multiscale_quantizer import resize
from models.videoar.error_correction import CorrectionConfig
from models.videoar.loss import LossConfig, draw, prepare_clip, scale_weights, videoar_loss
from models.videoar.network import VideoARNetwork, initialise
from tests.support.videoar_worlds import small_network, small_quantizer

HARD = LossConfig(correction=CorrectionConfig(least=0.2, most=0.3), mask_frames=0.2)
EASY = LossConfig(
    correction=CorrectionConfig(least=0, most=0, growth=0), drop_condition=0.0, mask_frames=0.0
)


def some_features(rows=2, frames=4):
    return torch.randn(rows, frames, 8, 4, 4, generator=torch.Generator().manual_seed(0))


def test_targets_repair_and_the_next_frame_begins_from_the_errors():
    quantizer, features = small_quantizer(), some_features()
    drawn = draw(HARD, quantizer.cfg, 4, [0, 1])
    clip = prepare_clip(quantizer, features, drawn, "whole")
    clean = prepare_clip(quantizer, features, drawn._replace(rates=drawn.rates * 0), "whole")
    # The first scale's targets are those of the true frame, whatever became of the one before.
    assert torch.equal(clip.targets[0], clean.targets[0])
    assert not torch.equal(clip.targets[2], clean.targets[2])
    # The finest target is what the flipped scales before it leave.
    shown = quantizer.build_pyramid(
        features.flatten(0, 1), drawn.rates.flatten(0, 1), [f.flatten(0, 1) for f in drawn.flips]
    )
    left = resize(features.flatten(0, 1) - shown.sums[1], (4, 4), "area")
    expected = quantizer.choose_labels(left, 2)
    assert torch.equal(clip.targets[2].flatten(0, 1), expected)
    # And a frame is shown the flipped frame before it, brought to its first scale.
    whole = shown.sums[-1].unflatten(0, (2, 4))
    before = resize(whole[:, 1], (1, 1), "bilinear")
    assert torch.equal(clip.inputs[0][:, 2], before)
    assert torch.equal(clip.inputs[3], whole)
    assert (clip.inputs[0][:, 0] == 0).all()


def test_coarse_tokens_weigh_more():
    weights = scale_weights(small_quantizer().cfg)
    assert math.isclose(sum(weights), 1)
    # 1, 4 and 16 tokens, each weighing 4, 2 and 1.
    assert [round(w * 28, 6) for w in weights] == [4, 8, 16]


def test_a_guess_costs_one_bit_a_bit():
    quantizer = small_quantizer()
    network = small_network(quantizer.cfg)
    torch.nn.init.zeros_(network.out.weight)
    torch.nn.init.zeros_(network.out.bias)
    drawn = draw(HARD, quantizer.cfg, 4, [0, 1])
    loss, told = videoar_loss(
        network, quantizer, some_features(), torch.zeros(2, 4, dtype=torch.long), drawn
    )
    assert math.isclose(float(loss), math.log(2), rel_tol=1e-5)
    assert math.isclose(told["bits"], quantizer.cfg.frame_bits, rel_tol=1e-5)


def test_it_learns_a_world_of_two_frames():
    """Where the action alone says which frame comes, the bits of a frame fall."""
    quantizer = small_quantizer("codebook")
    torch.manual_seed(0)
    network = VideoARNetwork(small_network(quantizer.cfg).cfg, quantizer.cfg)
    initialise(network)
    frames = torch.randn(2, 8, 4, 4)
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-3)
    bits = []
    for step in range(30):
        actions = torch.randint(0, 2, (4, 3), generator=torch.Generator().manual_seed(step))
        drawn = draw(EASY, quantizer.cfg, 3, [4 * step + row for row in range(4)])
        loss, told = videoar_loss(network, quantizer, frames[actions], actions, drawn)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        bits.append(told["bits"])
    assert bits[-1] < 0.5 * bits[0]


def test_every_weight_learns():
    quantizer = small_quantizer()
    for block in ("swiglu", "cross-gelu"):
        network = small_network(quantizer.cfg, block=block).requires_grad_(True)
        drawn = draw(HARD, quantizer.cfg, 4, [0, 1])
        actions = torch.tensor([[-1, 0, 1, 2], [-1, 3, 2, 1]])
        loss, _ = videoar_loss(network, quantizer, some_features(), actions, drawn)
        loss.backward()
        for name, weight in network.named_parameters():
            assert weight.grad is not None, name
            assert weight.grad.abs().sum() > 0, name
