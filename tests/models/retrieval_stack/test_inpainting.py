"""Inpainting: what no view shows is taken from one truly seen frame."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.retrieval_stack.contrast import age
from models.retrieval_stack.far_memory import Remembered, _restore_frame, compose_frame
from models.retrieval_stack.inpainting import COLOURS, LEAST, find_continuation
from tests.support.far_dreams import FORWARD, album_of, dreamt, views_of, walked
from tests.support.far_networks import small


@pytest.fixture
def dream():
    """A dream of some frames after some true ones."""
    dynamics, carry, _ = walked({"retrieval": 2})
    dreamt(dynamics, carry, [FORWARD] * 6)
    return carry


def by_hand(carry, made, unseen, old, album):
    """The same as `find_continuation`, number by number."""
    places = [i for i in range(256) if carry.bank.ids[0, i] >= 0 and carry.bank.true[0, i]]
    frames = [carry.bank.latents[0, i].float() for i in places]
    sure = LEAST * old + 1 - old
    if album is not None:
        sure = 1.0
        frames = [frame for frame in frames if frame.numpy().std(axis=(1, 2)).mean() >= album.least]
        frames += [frame.float() for frame in album.frames]
    likeness = []
    for frame in frames:
        total = 0.0
        for y, x in np.ndindex(made.shape[1:]):
            about = unseen[0, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].max()
            weight = unseen[0, y, x] * sure + about * (1 - unseen[0, y, x])
            apart = frame[:COLOURS, y, x] - made[:COLOURS, y, x]
            total += (weight * apart.square().sum()).item()
        likeness.append(total)
    return frames[int(np.argmin(likeness))]


@pytest.mark.parametrize("dull", [None, 0.0, 1.0, 9.0])
@pytest.mark.parametrize("old", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_it_agrees_with_its_slow_twin(dream, seed, old, dull):
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(dream.newest.shape[1:], generator=generator)
    unseen = torch.rand((1, *made.shape[1:]), generator=generator).sub(0.5).clamp(min=0)
    album = dull
    if dull is not None:
        album = album_of(torch.randn(3, *made.shape, generator=generator), dull)
    found = find_continuation(dream, 0, made, unseen, old, album)
    assert torch.equal(found[0], by_hand(dream, made, unseen, old, album))


def test_luck_varies_what_fills_whole_pictures_and_little_else(dream):
    """Likenesses are changed by the noise that a dream's frame is made of."""
    album = album_of(torch.randn(100, *dream.newest.shape[1:]))
    made = torch.randn(dream.newest.shape[1:])
    whole, small_gap = torch.ones(1, *made.shape[1:]), torch.zeros(1, *made.shape[1:])
    small_gap[:, 0, 0] = 1
    found = {"whole": [], "small": []}
    for seed in range(6):
        luck = torch.randn(made.shape, generator=torch.Generator().manual_seed(seed))
        for name, gap in (("whole", whole), ("small", small_gap)):
            filled = find_continuation(dream, 0, made, gap, 0.0, album, luck)
            assert torch.equal(filled, find_continuation(dream, 0, made, gap, 0.0, album, luck))
            found[name].append(filled[0])
    assert len(torch.stack(found["whole"]).unique(dim=0)) > 2
    assert len(torch.stack(found["small"]).unique(dim=0)) == 1


def test_where_no_gap_is_or_no_truth_is_remembered_nothing_goes_on(dream):
    made = torch.randn(dream.newest.shape[1:])
    gap = torch.ones(1, *made.shape[1:])
    assert len(find_continuation(dream, 0, made, gap, 0.0, None)) == 1
    assert len(find_continuation(dream, 0, made, 0 * gap, 0.0, None)) == 0
    dream.bank.true.fill_(False)
    assert len(find_continuation(dream, 0, made, gap, 0.0, None)) == 0
    album = album_of(torch.randn(2, *made.shape))
    assert find_continuation(dream, 0, made, gap, 0.0, album)[0] in album.frames


def restored(dream, made, seen, frame=0, **shape):
    cfg = small(retrieval=made.shape[1], exemplars=0, **{"ripens": 1e6} | shape)
    nothing = replace(dream, frame=torch.full_like(dream.frame, frame))
    none = torch.zeros(1, 1, dtype=torch.bool)
    remembered = Remembered(made[:, None], torch.zeros(1, 1, 3), none, none)
    views, needed = views_of(made, seen), torch.ones(1, dtype=torch.bool)
    return compose_frame(cfg, made, nothing, remembered, views, True, needed, None)


def test_what_is_not_seen_is_that_frames_and_what_is_seen_stays(dream):
    made = torch.randn(1, *dream.newest.shape[1:])
    seen = torch.ones(1, 1, *made.shape[2:])
    seen[..., :2] = 0
    filled = find_continuation(dream, 0, made[0], 1 - seen[0], 0.0, None)[0]
    found = restored(dream, made, seen, inpaint=1.0)[0]
    assert torch.equal(found[..., :2], filled[..., :2])
    assert torch.equal(found[..., 2:], made[0, ..., 2:])


@pytest.mark.parametrize(
    "shape", [{"inpaint": 0.5}, {"inpaint_old": 0.5, "inpaint": 1.0, "ripens": 1e-3, "frame": 100}]
)
def test_a_gap_is_filled_by_the_share_that_is_asked_for(dream, shape):
    """Cells are those of what is remembered: the nearest to the mean of both."""
    made = torch.randn(1, *dream.newest.shape[1:])
    seen = torch.zeros(1, 1, *made.shape[2:])
    filled = find_continuation(dream, 0, made[0], 1 - seen[0], 0.0, None)[0]
    found = restored(dream, made, seen, **shape)[0]
    shown = [filled, *dream.newest] if "frame" in shape else [filled]
    cells = torch.cat([frame.flatten(1).T for frame in shown])
    middle = made[0].lerp(filled, 0.5).flatten(1).T
    assert torch.equal(found.flatten(1).T, cells[torch.cdist(middle, cells).argmin(dim=1)])


def test_an_old_dream_trusts_what_is_seen_and_a_young_one_the_prediction(dream):
    made, shown = torch.randn(2, 1, *dream.newest.shape[1:])
    seen = torch.ones(1, 1, *made.shape[2:])
    aged = replace(dream, frame=torch.tensor([100]))
    for ripens, expected in ((1e-3, shown), (1e6, made)):
        cfg = small(trust=1.0, ripens=ripens)
        views = views_of(shown, seen)
        found, filled = _restore_frame(cfg, aged, 0, made[0], views, age(cfg, aged, 0))
        assert torch.allclose(found, expected[0], atol=1e-4)
        assert not len(filled)
