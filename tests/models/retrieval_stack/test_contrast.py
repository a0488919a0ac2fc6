"""Contrast: what a dream loses is measured beside what it has truly seen, and given back."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.retrieval_stack.contrast import LEAST, MOST, STRENGTH, age, with_contrast
from tests.support.far_dreams import FORWARD, dreamt, walked
from tests.support.far_networks import small

SHAPE = {"retrieval": 2, "contrast": 0.6, "ripens": 10.0}


@pytest.fixture
def dream():
    """A dream of some frames after some true ones."""
    dynamics, carry, _ = walked(SHAPE)
    dreamt(dynamics, carry, [FORWARD] * 6)
    return dynamics.cfg, carry


def by_hand(cfg, carry, made, share):
    """The same as `with_contrast`, number by number."""
    true = [i for i in range(256) if carry.bank.ids[0, i] >= 0 and carry.bank.true[0, i]]
    own = [i for i in range(256) if carry.bank.ids[0, i] >= 0 and not carry.bank.true[0, i]]
    frames, result = carry.bank.latents[0].float().numpy(), made.numpy().copy()
    for channel in range(max(cfg.sampler.retrieval, cfg.sampler.kept)):
        had, has = (
            np.sqrt(np.mean([frames[i, channel].var() for i in some])) + LEAST
            for some in (true, own)
        )
        gain = min(max((had / has) ** STRENGTH, 1 / MOST), MOST) - 1
        mean = made[channel].mean().item()
        for y, x in np.ndindex(made.shape[1:]):
            result[channel, y, x] += (made[channel, y, x].item() - mean) * gain * share
    return torch.from_numpy(result)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_contrast_agrees_with_its_slow_twin(dream, share):
    cfg, carry = dream
    made = torch.randn(carry.newest.shape[1:])
    found = with_contrast(cfg, carry, 0, made, share)
    assert torch.allclose(found, by_hand(cfg, carry, made, share), atol=1e-5)
    assert not torch.allclose(found, made, atol=1e-2)
    assert torch.equal(found[2:], made[2:])


def test_a_frames_mean_stays_as_it_was(dream):
    cfg, carry = dream
    made = torch.randn(carry.newest.shape[1:])
    found = with_contrast(cfg, carry, 0, made, 1.0)
    assert torch.allclose(found.mean(dim=(1, 2)), made.mean(dim=(1, 2)), atol=1e-5)


def test_a_dream_that_remembers_no_truth_is_left_alone(dream):
    cfg, carry = dream
    carry.bank.true.fill_(False)
    made = torch.randn(carry.newest.shape[1:])
    assert age(cfg, carry, 0) == 0
    assert torch.equal(with_contrast(cfg, carry, 0, made, 1.0), made)


@pytest.mark.parametrize(("steepness", "sooner"), [(2.0, 0.2), (4.0, 1 / 17)])
def test_a_dream_ages_by_its_frames_since_the_truth(steepness, sooner):
    dynamics, carry, _ = walked(SHAPE | {"steepness": steepness})
    newest = int(carry.bank.ids[0].max())
    for frames, old in ((0, 0), (5, sooner), (10, 0.5), (1000, 1)):
        aged = replace(carry, frame=torch.tensor([newest + frames]))
        assert age(dynamics.cfg, aged, 0) == pytest.approx(old, abs=1e-3)


def test_old_dreams_are_livelier_with_it():
    spreads = []
    for shape in ({"retrieval": 2}, SHAPE | {"contrast": 1.0}):
        torch.manual_seed(3)
        dynamics, carry, _ = walked(shape)
        spreads.append(torch.cat(dreamt(dynamics, carry, [FORWARD] * 40)[20:])[:, :2].std())
    assert spreads[1] > 1.1 * spreads[0]


def test_an_old_dream_shows_true_cells_in_its_kept_channels_too():
    """A young one shows what was predicted there."""
    far = []
    for ripens in (1e-3, 1e6):
        dynamics, carry, _ = walked(SHAPE | {"kept": 2, "contrast": 1e-6, "ripens": ripens})
        true = carry.bank.latents[0, carry.bank.true[0]].float().movedim(1, -1).flatten(0, 2)
        frame = dreamt(dynamics, carry, [FORWARD])[0]
        far.append(torch.cdist(frame[0].flatten(1).T[:, :2], true[:, :2]).amin(dim=1).max())
    assert far[0] < 1e-2 < far[1]


@pytest.mark.parametrize("name", ["contrast", "inpaint", "inpaint_old", "trust"])
def test_a_share_that_is_none_is_refused(name):
    with pytest.raises(ValueError, match=rf"{name} must be in \[0, 1\], got 1.5"):
        small(**{name: 1.5})


@pytest.mark.parametrize("name", ["ripens", "steepness"])
def test_no_way_to_ripen_is_refused(name):
    with pytest.raises(ValueError, match=rf"{name} must be > 0.*, got 0"):
        small(**{name: 0})
