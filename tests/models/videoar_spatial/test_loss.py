"""Training with a memory in space is play: the same inputs, the same logits; what is not known has
no influence; views are learnt from.
"""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

import models.videoar.dynamics as videoar
from models.codec.label_channels import pack_labels
from models.nn.rng import Rng
from models.training.videoar_run import to_device
from models.videoar.attention_mask import frame_mask
from models.videoar.guidance import apply_guidance, guidance_at
from models.videoar.loss import LossConfig, draw
from models.videoar.network import NULL, initialise
from models.videoar_spatial.loss import (
    ViewClip,
    encode_frames,
    frame_logits,
    prepare_view,
    view_loss,
)
from tests.support.second_device import NAME, SecondDevice
from tests.support.videoar_spatial_worlds import VIEW_SCALES, small_dynamics
from tests.support.videoar_worlds import GUIDED

ROWS, BEFORE = 2, 7
CLEAN = LossConfig(drop_condition=0.0)


def clip_of(dynamics, before=BEFORE, seed=5) -> ViewClip:
    drawn = Rng(torch.Generator().manual_seed(seed))
    channels, grid = dynamics.codec.cfg.channels, dynamics.codec.cfg.grid
    told = dynamics.scales.network.embed_view.in_features
    return ViewClip(
        features=drawn.normal(ROWS, before + 1, channels, *grid),
        known=torch.ones(ROWS, before, dtype=torch.bool),
        view=drawn.normal(ROWS, told, *grid),
        conditions=torch.tensor([2, 0]),
    )


def clean_draws(dynamics, before=BEFORE):
    drawn = draw(CLEAN, dynamics.codec.cfg, before + 1, range(ROWS))
    return drawn._replace(rates=torch.zeros_like(drawn.rates))


def force(monkeypatch, labels):
    """Have the sampler take these labels, scale after scale; gives the list of logits it saw."""
    told, seen = iter(labels), []

    def forced(logits, numbers, temperature):
        seen.append(logits)
        return next(told)

    monkeypatch.setattr(videoar, "sample_labels", forced)
    return seen


def remembered(dynamics, context):
    """A carry after true frames, sums `[B,F,d,h,w]`, of which the ring holds the newest."""
    quantizer, carry = dynamics.codec.quantizer, dynamics.scales.initial(ROWS)
    for t in range(context.shape[1]):
        labels = quantizer.build_pyramid(context[:, t]).targets
        latents = torch.cat(
            (quantizer.decode_labels(labels), pack_labels(labels, quantizer.cfg)), dim=1
        )
        carry = dynamics.scales.observe(carry, latents, torch.full((ROWS,), NULL))
    return carry


@pytest.mark.parametrize(
    ("kind", "guided", "changes"),
    [
        ("codebook", False, {}),
        ("bits", True, {}),
        ("codebook", False, {"patch": 2, "view_scales": 3}),
    ],
)
def test_play_is_two_masked_passes(kind, guided, changes, monkeypatch):
    """Logits of every scale under the same labels and views, the ring full; what scales are shown
    is the same bit for bit.
    """
    dynamics = small_dynamics(kind, guided, **changes)
    clip, network = clip_of(dynamics), dynamics.scales.network
    told = network.cfg.view_scales
    view = prepare_view(dynamics.codec.quantizer, clip, clean_draws(dynamics), told)
    seen = frame_mask(BEFORE + 1, network.cfg.window)[:, :, :-1].expand(ROWS, -1, -1)
    context = encode_frames(network, view.context, seen[:, :-1])
    asked = [clip.conditions] + guided * [torch.full_like(clip.conditions, NULL)]
    found = [
        frame_logits(network, view.inputs, conditions, context, seen[:, -1]) for conditions in asked
    ]
    expected = found[0]
    if guided:
        number = torch.full((ROWS,), BEFORE)
        strengths = [guidance_at(GUIDED, number, scale, 3) for scale in range(3)]
        pairs = zip(*found, strengths, strict=True)
        expected = [apply_guidance(torch.stack(p[:2], dim=1), p[2]) for p in pairs]
    carry = remembered(dynamics, clip.features[:, :-1])
    assert sorted(carry.ids[0].tolist()) == [BEFORE - 3, BEFORE - 2, BEFORE - 1]
    logits, shown, run = force(monkeypatch, view.targets), [], dynamics.scales._run
    monkeypatch.setattr(
        dynamics.scales, "_run", lambda *given: shown.append(given[1][0]) or run(*given)
    )
    noise = torch.zeros(ROWS, *dynamics.latent_shape)
    dynamics.scales.sample(carry, clip.conditions, noise, 3, clip.view)
    for mine, theirs in zip(view.inputs, shown, strict=True):
        assert torch.equal(mine, theirs)
    for mine, theirs in zip(logits, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def gradients(dynamics, known, scale):
    """Of one logit of a scale, by each frame before `[B,F]`, and by each scale's input."""
    clip, network = clip_of(dynamics, 4)._replace(known=known), dynamics.scales.network
    view = prepare_view(dynamics.codec.quantizer, clip, clean_draws(dynamics, 4), VIEW_SCALES)
    context, *inputs = (part.requires_grad_() for part in (view.context, *view.inputs))
    seen = frame_mask(5, network.cfg.window)[:, :, :-1] & known.unsqueeze(1)
    kv = encode_frames(network, context, seen[:, :-1])
    logits = frame_logits(network, inputs, clip.conditions, kv, seen[:, -1])
    found = torch.autograd.grad(logits[scale].sum(), (context, *inputs), allow_unused=True)
    frames = found[0].abs().sum(dim=(2, 3, 4))
    return frames, [0.0 if part is None else part.abs().sum().item() for part in found[1:]]


@pytest.mark.parametrize("scale", [0, 1, 2])
def test_unknown_frames_and_later_scales_have_no_influence(scale):
    """Exactly none; the others have some."""
    known = torch.tensor([[True, True, False, True], [True, False, True, True]])
    frames, scales = gradients(small_dynamics(), known, scale)
    assert ((frames > 0) == known).all()
    assert [value > 0 for value in scales] == [number <= scale for number in range(3)]


def test_a_frame_before_that_is_not_known_is_shown_as_nothing():
    dynamics = small_dynamics()
    clip, drawn = clip_of(dynamics, 2), clean_draws(dynamics, 2)
    without = clip._replace(known=torch.tensor([[True, False], [True, True]]))
    inputs, other = (
        prepare_view(dynamics.codec.quantizer, part, drawn, VIEW_SCALES).inputs
        for part in (clip, without)
    )
    channels = dynamics.codec.cfg.channels
    assert (other[0][0, :channels] == 0).all()
    assert torch.equal(inputs[0][1], other[0][1])
    assert torch.equal(inputs[0][:, channels:], other[0][:, channels:])


def test_flips_are_corrected():
    """Targets are the right labels of what flipped ones left, and the frame before is shown with
    its errors.
    """
    dynamics = small_dynamics()
    quantizer, clip = dynamics.codec.quantizer, clip_of(dynamics, 2)
    drawn = draw(CLEAN, quantizer.cfg, 3, range(ROWS))
    drawn = drawn._replace(rates=torch.full_like(drawn.rates, 0.5))
    view = prepare_view(quantizer, clip, drawn, VIEW_SCALES)
    flips = [part[:, -1] for part in drawn.flips]
    alone = quantizer.build_pyramid(clip.features[:, -1], drawn.rates[:, -1], flips)
    for mine, expected in zip(view.targets, alone.targets, strict=True):
        assert torch.equal(mine, expected)
    clean = prepare_view(quantizer, clip, clean_draws(dynamics, 2), VIEW_SCALES)
    assert not torch.equal(view.context, clean.context)
    assert not torch.equal(view.inputs[0], clean.inputs[0])


def test_the_loss_on_a_second_device_is_the_cpus():
    """As on a GPU: no tensor is left on the CPU."""

    def measured(device):
        dynamics = small_dynamics().to(device)
        clip = ViewClip(*(part.to(device) for part in clip_of(dynamics, 2)))
        drawn = to_device(draw(LossConfig(), dynamics.codec.cfg, 3, range(ROWS)), device)
        return view_loss(dynamics.scales.network, dynamics.codec.quantizer, clip, drawn)[1]

    with sdpa_kernel(SDPBackend.MATH):  # which any other device than the CPU gets here
        here = measured("cpu")
    with SecondDevice():
        assert measured(NAME) == pytest.approx(here, rel=1e-4)


@pytest.mark.parametrize("told", [True, False])
def test_a_network_learns_what_it_is_shown(told):
    """Frames whose labels are all one of two, as the view says: a bit for every label unless it is
    told.
    """
    dynamics = small_dynamics("bits")
    network = dynamics.scales.network.train().requires_grad_(True)
    initialise(network)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    generator, bits = torch.Generator().manual_seed(0), []
    channels, grid = dynamics.codec.cfg.channels, dynamics.codec.cfg.grid
    for step in range(40):
        sign = torch.randint(0, 2, (8, 1, 1, 1), generator=generator) * 2.0 - 1
        view = torch.zeros(8, network.embed_view.in_features, *grid)
        view[:, :1] += sign * told
        clip = ViewClip(
            features=(sign.unsqueeze(1) * torch.ones(8, 2, channels, *grid)),
            known=torch.zeros(8, 1, dtype=torch.bool),
            view=view,
            conditions=torch.zeros(8, dtype=torch.long),
        )
        drawn = draw(CLEAN, dynamics.codec.cfg, 2, range(8 * step, 8 * step + 8))
        drawn = drawn._replace(rates=torch.zeros_like(drawn.rates))
        loss, measures = view_loss(network, dynamics.codec.quantizer, clip, drawn)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        bits.append(measures["bits"])
    first = channels  # bits of the one cell of the coarsest scale
    assert (bits[-1] < first / 8) == told
    assert told or bits[-1] > first / 2
