"""VideoAR run frame by frame: as in one masked pass, alone as in a batch, forked, saved, flat."""

import math

import pytest
import torch

import models.videoar.dynamics as videoar
from models.codec.label_channels import unpack_labels
from models.codec.multiscale_quantizer import ABSENT
from models.videoar.attention_mask import frame_mask
from models.videoar.guidance import apply_guidance, guidance_at
from models.videoar.loss import LossConfig, clip_logits, draw, label_loss, prepare_clip
from models.videoar.network import NULL
from tests.support.videoar_worlds import GUIDED, small_dynamics
from worldsim.world.batch_invariant import make_batch_invariant

ROWS, FRAMES = 2, 7
CASES = [
    ("bits", "whole", "swiglu", False, 1),
    ("codebook", "whole", "cross-gelu", True, 1),
    ("bits", "scales", "swiglu", True, 1),
    ("codebook", "scales", "swiglu", False, 2),
    ("codebook", "whole", "swiglu", True, 2),
]
CLEAN = LossConfig(drop_condition=0.0)


def clean_clip(dynamics, frames=FRAMES, rows=ROWS):
    """A clip without flips: inputs, labels, latents `[B,T,C,h,w]`, actions `[B,T]`."""
    generator = torch.Generator().manual_seed(5)
    features = torch.randn(rows, frames, 8, 4, 4, generator=generator)
    drawn = draw(CLEAN, dynamics.quantizer.cfg, frames, range(rows))
    drawn = drawn._replace(rates=torch.zeros_like(drawn.rates))
    clip = prepare_clip(dynamics.quantizer, features, drawn, dynamics.cfg.context)
    actions = torch.randint(0, 4, (rows, frames), generator=generator)
    actions[:, 0] = NULL
    return clip, latents_of(dynamics, clip.targets), actions


def latents_of(dynamics, labels):
    flat = [part.flatten(0, 1) for part in labels]
    total = dynamics.quantizer.decode_labels(flat)
    packed = videoar.pack_labels(flat, dynamics.quantizer.cfg)
    return torch.cat((total, packed), dim=1).unflatten(0, labels[0].shape[:2])


def uncached_logits(dynamics, clip, actions):
    seen = frame_mask(actions.shape[1], dynamics.cfg.window)
    logits = clip_logits(dynamics.network, clip.inputs, actions, seen)
    if dynamics.branches == 1:
        return logits
    null = clip_logits(dynamics.network, clip.inputs, torch.full_like(actions, NULL), seen)
    frames, guided = torch.arange(actions.shape[1]), []
    for scale, both in enumerate(zip(logits, null, strict=True)):
        strength = guidance_at(GUIDED, frames, scale, 3).repeat(len(actions))
        rows = torch.stack([part.flatten(0, 1) for part in both], dim=1)
        guided.append(apply_guidance(rows, strength).unflatten(0, actions.shape))
    return guided


def force(monkeypatch, labels):
    """Have the sampler take these labels, scale after scale; gives the list of logits it saw."""
    told, seen = iter(labels), []

    def forced(logits, numbers, temperature):
        seen.append(logits)
        return next(told)

    monkeypatch.setattr(videoar, "sample_labels", forced)
    return seen


@pytest.mark.parametrize(("kind", "context", "block", "guided", "patch"), CASES)
def test_frame_by_frame_is_one_masked_pass(kind, context, block, guided, patch, monkeypatch):
    """Logits of every frame and scale under the same labels, the ring full; and what is remembered
    of a generated frame is what is remembered of the same frame observed.
    """
    dynamics = small_dynamics(kind, guided, context=context, block=block, patch=patch)
    clip, latents, actions = clean_clip(dynamics)
    expected = uncached_logits(dynamics, clip, actions)
    noise = torch.zeros(ROWS, *dynamics.latent_shape)
    carry = dynamics.initial(ROWS)
    for t in range(FRAMES):
        labels = [part[:, t] for part in clip.targets]
        seen = force(monkeypatch, labels)
        copy = carry.map(lambda tensor, _: tensor.clone())
        made, found = dynamics.imagine(copy, actions[:, t], noise, 3)
        for scale, logits in enumerate(seen):
            torch.testing.assert_close(logits, expected[scale][:, t], rtol=1e-4, atol=1e-4)
        assert torch.equal(found, latents[:, t])
        carry = dynamics.observe(carry, latents[:, t], actions[:, t])
        for name, tensor in carry.tensors().items():
            torch.testing.assert_close(made.tensors()[name], tensor, rtol=1e-4, atol=1e-4)
    assert (carry.ids >= FRAMES - 3).all()


@pytest.mark.parametrize(("kind", "context", "block", "guided", "patch"), CASES)
def test_bits_of_a_frame_are_those_of_the_loss(kind, context, block, guided, patch):
    """Frame by frame as in one masked pass, without guidance; nothing is changed by asking."""
    dynamics = small_dynamics(kind, guided, context=context, block=block, patch=patch)
    clip, latents, actions = clean_clip(dynamics)
    seen = frame_mask(FRAMES, dynamics.cfg.window)
    logits = clip_logits(dynamics.network, clip.inputs, actions, seen)
    losses = [label_loss(*pair) for pair in zip(logits, clip.targets, strict=True)]
    expected = torch.stack([part.sum(dim=(2, 3)) for part in losses], dim=2) / math.log(2)
    carry = dynamics.initial(ROWS)
    for t in range(FRAMES):
        before = carry.map(lambda tensor, _: tensor.clone())
        told = dynamics.measure_bits(carry, latents[:, t], actions[:, t])
        assert_equal(carry, before)
        torch.testing.assert_close(told.bits, expected[:, t], rtol=1e-4, atol=1e-3)
        right = logits[-1][:, t].argmax(dim=-1) == clip.targets[-1][:, t]
        assert told.likeliest[:, -1].tolist() == pytest.approx(
            right.float().mean(dim=(1, 2)).tolist()
        )
        carry = dynamics.observe(carry, latents[:, t], actions[:, t])


def test_what_training_shows_is_what_play_shows(monkeypatch):
    """Bit for bit under the same labels, whatever the mode of resizing."""
    dynamics = small_dynamics("codebook", context="scales")
    clip, _, actions = clean_clip(dynamics)
    shown, run = [], dynamics._run

    def noted(frame, inputs, first):
        shown.append((first, inputs))
        return run(frame, inputs, first)

    carry = dynamics.initial(ROWS)
    monkeypatch.setattr(dynamics, "_run", noted)
    for t in range(3):
        force(monkeypatch, [part[:, t] for part in clip.targets])
        shown.clear()
        noise = torch.zeros(ROWS, *dynamics.latent_shape)
        carry, _ = dynamics.imagine(carry, actions[:, t], noise, 3)
        for first, inputs in shown:
            assert torch.equal(inputs[0], clip.inputs[first][:, t])


@pytest.mark.parametrize("context", ["scales", "whole"])
def test_fewer_steps_leave_the_finer_scales_out(context):
    """And they are remembered as a frame observed without them."""
    dynamics = small_dynamics(context=context)
    carry, (actions, noise) = begun(dynamics), step_of(dynamics, 0)
    copy = carry.map(lambda tensor, _: tensor.clone())
    made, latents = dynamics.imagine(carry, actions, noise, 2)
    labels = unpack_labels(latents[:, 8:], dynamics.quantizer.cfg)
    assert (labels[2] == ABSENT).all()
    assert not (labels[1] == ABSENT).any()
    seen = dynamics.observe(copy, latents, actions)
    for name, tensor in seen.tensors().items():
        torch.testing.assert_close(made.tensors()[name], tensor, rtol=1e-4, atol=1e-4)


def test_more_steps_than_scales_are_all_scales():
    dynamics = small_dynamics()
    actions, noise = step_of(dynamics, 0)
    made = [dynamics.imagine(begun(dynamics), actions, noise, steps)[1] for steps in (3, 8)]
    assert torch.equal(*made)


def begun(dynamics, frames=4, rows=ROWS):
    _, latents, actions = clean_clip(dynamics, frames, rows)
    carry = dynamics.initial(rows)
    for t in range(frames):
        carry = dynamics.observe(carry, latents[:, t], actions[:, t])
    return carry


def step_of(dynamics, seed, rows=ROWS):
    generator = torch.Generator().manual_seed(seed)
    actions = torch.randint(0, 4, (rows,), generator=generator)
    return actions, torch.randn(rows, *dynamics.latent_shape, generator=generator)


def row_of(carry, row):
    return carry.map(lambda part, dim: part.index_select(dim, torch.tensor([row])))


def assert_equal(one, other):
    for name, tensor in one.tensors().items():
        assert torch.equal(tensor, other.tensors()[name]), name


@pytest.mark.parametrize(("kind", "context", "block", "guided", "patch"), CASES)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_dream_in_a_batch_is_the_dream_alone(kind, context, block, guided, patch, threads):
    """Bit for bit, dreams at different frames, one with an empty memory."""
    before, rows = torch.get_num_threads(), 3
    torch.set_num_threads(threads)
    try:
        dynamics = small_dynamics(kind, guided, context=context, block=block, patch=patch)
        make_batch_invariant(dynamics)
        carry = begun(dynamics, rows=rows)
        carry.ids[1] = -1
        carry.frame = carry.frame + torch.tensor([0, 0, 17])
        alone = [row_of(carry, row) for row in range(rows)]
        for t in range(4):
            actions, noise = step_of(dynamics, t, rows)
            carry, _ = dynamics.imagine(carry, actions, noise, 3)
            for row in range(rows):
                part = slice(row, row + 1)
                alone[row], _ = dynamics.imagine(alone[row], actions[part], noise[part], 3)
                assert_equal(row_of(carry, row), alone[row])
    finally:
        torch.set_num_threads(before)


def test_true_frames_in_a_batch_are_the_same_alone():
    dynamics = small_dynamics()
    make_batch_invariant(dynamics)
    _, latents, actions = clean_clip(dynamics, 4)
    together = begun(dynamics)
    for row in range(ROWS):
        one = dynamics.initial(1)
        for t in range(4):
            one = dynamics.observe(one, latents[row, None, t], actions[row, None, t])
        assert_equal(row_of(together, row), one)


def test_a_fork_does_not_reach_into_its_original():
    dynamics = small_dynamics("codebook")
    carry = begun(dynamics)
    kept = carry.map(lambda tensor, _: tensor.clone())
    fork = carry.map(lambda tensor, _: tensor.clone())
    actions, noise = step_of(dynamics, 0)
    fork, made = dynamics.imagine(fork, actions, noise, 3)
    assert_equal(carry, kept)
    read = dynamics.carry_from(dict(carry.tensors()))
    assert torch.equal(dynamics.imagine(read, actions, noise, 3)[1], made)


def test_memory_is_flat():
    dynamics = small_dynamics()
    carry = begun(dynamics)
    shapes = {name: tensor.shape for name, tensor in carry.tensors().items()}
    for t in range(8):
        carry, _ = dynamics.imagine(carry, *step_of(dynamics, t), 1)
    assert {name: tensor.shape for name, tensor in carry.tensors().items()} == shapes
    assert sorted(carry.ids[0].tolist()) == [9, 10, 11]


def test_an_action_changes_its_own_frame():
    dynamics = small_dynamics()
    actions, noise = step_of(dynamics, 0)
    made = [
        dynamics.imagine(begun(dynamics), chosen, noise, 3)[1]
        for chosen in (actions, (actions + 1) % 4)
    ]
    assert not torch.equal(*made)


def test_a_late_frame_is_as_an_early_one(monkeypatch):
    """Attention knows how long ago a frame was, not its number: frame 99,999 keeps its phase."""
    dynamics, found = small_dynamics(), []
    _, latents, actions = clean_clip(dynamics, 4)
    clip, _, _ = clean_clip(dynamics, 1)
    for begins in (9, 99_999):  # multiples of the window, so that places stay
        carry = dynamics.initial(ROWS)
        carry.frame += begins
        for t in range(4):
            carry = dynamics.observe(carry, latents[:, t], actions[:, t])
        seen = force(monkeypatch, [part[:, 0] for part in clip.targets])
        dynamics.imagine(carry, *step_of(dynamics, 0), 3)
        found.append(seen)
    for early, late in zip(*found, strict=True):
        torch.testing.assert_close(early, late, rtol=1e-4, atol=1e-4)
