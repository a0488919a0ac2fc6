"""Training batches: clips keep actions with frames, inside one episode."""

import numpy as np
import pytest
import torch

from worldsim.actions import load_actions
from worldsim.data.clips import ClipSampler, mirror_action_ids
from worldsim.data.latents import LatentCache


def cache_of(lengths: list[int], posed: bool = True) -> LatentCache:
    total = sum(lengths)
    actions = np.tile([0, 1, 2, 3], total)[:total].astype(np.int64)
    bounds = np.concatenate(([0], np.cumsum(lengths)))
    actions[bounds[:-1]] = -1
    numbers = np.arange(total, dtype=np.float16)[:, None, None, None]
    latents = np.broadcast_to(numbers, (total, 1, 2, 2)).copy()
    poses = np.stack((np.arange(total), np.arange(total), np.zeros(total)), 1).astype(np.float32)
    return LatentCache(
        latents=latents,
        actions=actions,
        poses=poses,
        posed=np.full(len(lengths), posed),
        bounds=bounds,
    )


def test_clips_stay_inside_an_episode_and_keep_actions_with_frames():
    cache = cache_of([30, 50])
    sampler = ClipSampler(cache, load_actions("dmlab"), batch=4, shortest=8, longest=40)
    for _ in range(20):
        clip = sampler.draw()
        for row in range(4):
            length = int(clip.lengths[row])
            numbers = clip.latents[row, :length, 0, 0, 0].int().numpy()
            assert (np.diff(numbers) == 1).all()
            assert np.searchsorted(cache.bounds, numbers[0], "right") == np.searchsorted(
                cache.bounds, numbers[-1], "right"
            )
            assert clip.actions[row, 0] == -1
            assert (clip.actions[row, 1:length].numpy() == cache.actions[numbers[1:]]).all()


def test_rests_show_the_same_frame_under_the_idle_action():
    """All else is as it was walked: the other steps keep their actions and frames."""
    cache, dmlab, shares = cache_of([200]), load_actions("dmlab"), []
    how = {"batch": 8, "shortest": 60, "longest": 60, "short": 0.0}
    sampler = ClipSampler(cache, dmlab, **how, rests=0.2)
    for _ in range(20):
        clip = sampler.draw()
        numbers = clip.latents[:, :, 0, 0, 0].int().numpy()
        steps = np.diff(numbers)
        assert set(np.unique(steps)) == {0, 1}
        led = clip.actions[:, 1:].numpy()
        assert (led[steps == 0] == dmlab.id(dmlab.idle)).all()
        assert (led[steps == 1] == cache.actions[numbers[:, 1:]][steps == 1]).all()
        assert (clip.poses[..., 0].numpy() == numbers).all()
        shares.append((steps == 0).mean())
    assert np.mean(shares) == pytest.approx(0.2, abs=0.05)
    with pytest.raises(ValueError, match="no action that stands still"):
        ClipSampler(cache, load_actions("minecraft"), **how, rests=0.2)


def test_sampler_continues_where_it_stood():
    one, two = (
        ClipSampler(
            cache_of([60]), load_actions("dmlab"), batch=2, shortest=8, longest=40, rests=0.1
        )
        for _ in range(2)
    )
    one.draw()
    two.load_state_dict(one.state_dict())
    assert torch.equal(one.draw().latents, two.draw().latents)


def test_mirroring_swaps_left_and_right():
    actions = load_actions("dmlab")
    ids = mirror_action_ids(actions)
    assert ids[actions.id("left")] == actions.id("right")
    assert ids[actions.id("forward")] == actions.id("forward")


def test_unposed_episodes_keep_their_headings():
    sampler = ClipSampler(
        cache_of([40], posed=False), load_actions("dmlab"), batch=1, shortest=8, longest=20
    )
    clip = sampler.draw()
    turns = np.array(
        [load_actions("dmlab").turns[a] if a >= 0 else 0 for a in clip.actions[0].tolist()]
    )
    assert np.allclose(clip.poses[0, :, 2], turns.cumsum(), atol=1e-5)
    assert not clip.posed[0]


def test_too_short_episodes_are_refused():
    with pytest.raises(ValueError, match="collect longer"):
        ClipSampler(cache_of([5]), load_actions("dmlab"), batch=1, shortest=8, longest=20)
