"""An album: true frames of what a world learnt from, for what a dream has never seen."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.build.networks import build_far, empty_album, far_settings, far_weights
from models.retrieval_stack.album import DRAWN, DULL, FAR, FOG, WALL, Album, contrast
from models.retrieval_stack.contrast import age
from models.retrieval_stack.far_memory import Remembered, _restore_frame, compose_frame
from tests.support.far_dreams import FORWARD, album_of, dreamt, views_of, walked
from tests.support.far_networks import changed, small
from worldsim.world.model import load_world

SHAPE = (16, 4, 4)


def frames_of(contrasts, size=SHAPE):
    """Latents `[N,C,h,w]` float16 whose standard deviations are about the `contrasts`."""
    noise = np.random.default_rng(0).standard_normal((len(contrasts), *size))
    return (noise * np.asarray(contrasts)[:, None, None, None]).astype(np.float16)


@pytest.fixture
def aged():
    """A dream a hundred frames on, that remembers some true and some of its own."""
    dynamics, carry, _ = walked({"retrieval": 2})
    dreamt(dynamics, carry, [FORWARD] * 6)
    return replace(carry, frame=torch.tensor([100]))


def filled(latents, count=20):
    album = Album(count, *SHAPE[:2])
    album.fill(latents, seed=1)
    return album


def test_an_album_has_lively_frames_only_and_knows_what_is_usual():
    latents = frames_of(np.linspace(0.1, 2.0, 60))
    of = contrast(torch.from_numpy(latents))
    album = filled(latents)
    assert album.usual == of.median()
    assert album.least == of.quantile(DULL)
    assert bool((contrast(album.frames) >= album.least).all())
    assert bool(album.lively(album.frames).all())
    assert torch.equal(album.lively(torch.from_numpy(latents)), of >= album.least)
    assert len(album.frames.unique(dim=0)) == 20
    same = album.frames.unsqueeze(1) == torch.from_numpy(latents)
    assert bool(same.flatten(2).all(dim=2).any(dim=1).all())


def test_of_many_frames_some_are_drawn_and_of_few_some_come_twice():
    many = filled(frames_of(np.ones(1000)))
    assert torch.equal(many.frames, filled(frames_of(np.ones(1000))).frames)
    other = Album(20, *SHAPE[:2])
    other.fill(frames_of(np.ones(1000)), seed=2)
    assert not torch.equal(many.frames, other.frames)
    assert 20 * DRAWN < 1000
    few = filled(frames_of(np.linspace(0.5, 1, 10)))
    assert len(few.frames.unique(dim=0)) == round(10 * (1 - DULL))


def test_contrast_is_of_the_coarse_channels():
    frames = torch.randn(3, 16, 4, 4)
    by_hand = [np.mean([frame[c].numpy().std() for c in range(12)]) for frame in frames]
    assert np.allclose(contrast(frames), by_hand, atol=1e-5)


BETWEEN = sum(FOG) / 2, sum(WALL) / 2, sum(FAR) / 2


@pytest.mark.parametrize(
    ("share", "old", "away", "expected"),
    [
        (1.0, 1.0, 99.0, 0),
        (FOG[0], 1.0, 99.0, 0),
        (BETWEEN[0], 1.0, 0.0, 0.5),
        (BETWEEN[0], 0.5, 0.0, 0.25),
        (BETWEEN[0], 0.0, 99.0, 0),
        (FOG[1], 1.0, 0.0, 1),
        (BETWEEN[1], 0.0, 99.0, 0.5),
        (BETWEEN[1], 0.0, BETWEEN[2], 0.25),
        (BETWEEN[1], 0.0, FAR[0], 0),
        (WALL[1], 0.0, FAR[1], 1),
        (0.0, 0.0, torch.inf, 1),
        (0.0, 0.0, 0.0, 0),
    ],
)
def test_fog_is_empty_in_old_dreams_and_a_wall_where_truth_is_far(share, old, away, expected):
    frame = torch.randn(SHAPE)
    album = album_of(torch.randn(1, *SHAPE))
    album.usual.copy_(contrast(frame.unsqueeze(0))[0])
    found = album.emptiness(frame * share, old, torch.tensor(away))
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("steps", [0, 40])
def test_a_wall_is_filled_in_as_a_whole_only_where_truth_is_far(steps):
    _, carry, _ = walked({"retrieval": 2})
    shape = carry.newest.shape[1:]
    if steps:
        carry = replace(carry, poses=carry.poses + torch.tensor([steps, 0.0, 0.0]))
    album, wall = album_of(torch.randn(4, *shape)), torch.full(shape, 0.3)
    views = views_of(wall.unsqueeze(0), torch.ones(1, 1, *shape[1:]))
    found, filled = _restore_frame(small(inpaint=1.0), carry, 0, wall, views, 0.0, album)
    assert len(filled) == (steps > 0)
    assert torch.equal(found, filled[0] if steps else wall)


@pytest.mark.parametrize("ripens", [1e-3, 1e6])
def test_an_old_dream_that_is_fog_is_filled_in_as_a_whole(aged, ripens):
    """Though all of it is seen; a young one is not."""
    shape = aged.newest.shape[1:]
    album = album_of(torch.randn(4, *shape))
    fog = torch.full(shape, 0.3)
    views = views_of(fog.unsqueeze(0), torch.ones(1, 1, *shape[1:]))
    cfg = small(inpaint=1.0, ripens=ripens)
    found, _ = _restore_frame(cfg, aged, 0, fog, views, age(cfg, aged, 0), album)
    young = ripens > 1
    assert torch.allclose(found, fog, atol=1e-3) == young
    frames = torch.cat((aged.bank.latents[0, aged.bank.true_frames(0)], album.frames)).float()
    apart = (frames - found).abs().amax(dim=(1, 2, 3))
    assert bool((apart < 1e-2).any()) != young


@pytest.mark.parametrize("ripens", [1e-3, 1e6])
def test_an_old_dream_takes_true_cells_only(aged, ripens):
    """A young one its own as well."""
    shape = aged.newest.shape[1:]
    album = album_of(torch.randn(4, *shape))
    made = aged.newest.clone()
    own, yes = torch.randn(1, 2, *shape), torch.ones(1, 2, dtype=torch.bool)
    remembered = Remembered(own, torch.zeros(1, 2, 3), yes, torch.tensor([[True, False]]))
    views = views_of(made, torch.ones(1, 1, *shape[1:]))
    cfg, needed = small(retrieval=2, exemplars=3, ripens=ripens), yes[:, 0]
    found = compose_frame(cfg, made, aged, remembered, views, True, needed, None, album)
    bank = aged.bank.latents[0, aged.bank.true_frames(0)].float()
    some = bank[torch.linspace(0, len(bank) - 1, 3).long()]
    true = [own[0, 0], *some, *album.frames[:3].float()]
    cells = torch.cat([frame.flatten(1).T for frame in true])
    apart = torch.cdist(found[0].flatten(1).T, cells).min(dim=1).values
    assert bool((apart < 1e-3).all()) == (ripens < 1)


def test_a_world_keeps_its_album(tiny_world):
    world = load_world(tiny_world)
    shape = changed(world.dynamics.cfg, album=5)
    album = empty_album(shape)
    album.fill(frames_of(np.ones(40), size=album.frames.shape[1:]), seed=0)
    weights = far_weights(world.codec, world.dynamics.network, album=album)
    card = replace(world.card, settings=far_settings(world.codec.cfg, shape))
    kept = build_far(card, weights, "cpu").dynamics.album
    for name, tensor in album.state_dict().items():
        assert torch.equal(getattr(kept, name), tensor)
        assert getattr(kept, name).dtype == tensor.dtype


def test_a_number_of_frames_below_zero_is_refused():
    with pytest.raises(ValueError, match="album must be >= 0 frames, got -1"):
        small(album=-1)
