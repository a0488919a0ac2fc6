"""The small pieces: the autoencoder, flow arithmetic, places, rotations, Muon and clips."""

import math

import numpy as np
import pytest
import torch

from models.codec.patch_autoencoder import AutoencoderConfig, PatchAutoencoder, decoder_loss
from models.memory.pose import (
    choose_landmarks,
    decided,
    displace,
    motions_between,
    nearest_landmarks,
    relative_to_first,
)
from models.nn.flow_matching import jump, mix, shortcut_target, times
from models.nn.rope import far_long_frequencies, rotate, rotation
from models.training.muon import orthogonalised
from worldsim.actions import load_actions
from worldsim.data.clips import ClipSampler, mirrored_ids
from worldsim.data.latents import LatentCache


@pytest.fixture(scope="module")
def frames():
    """Pictures with structure: coloured ramps and boxes."""
    rng = np.random.default_rng(0)
    pictures = np.zeros((64, 64, 64, 3), np.uint8)
    ramp = np.linspace(0, 120, 64, dtype=np.uint8)
    for picture in pictures:
        picture[:] = ramp[:, None, None] + rng.integers(0, 60, 3, dtype=np.uint8)
        for _ in range(4):
            y, x, h, w = rng.integers(0, 48, 2).tolist() + rng.integers(8, 16, 2).tolist()
            picture[y : y + h, x : x + w] = rng.integers(0, 255, 3)
    return torch.from_numpy(pictures)


@pytest.fixture(scope="module")
def codec(frames):
    model = PatchAutoencoder(AutoencoderConfig(channels=48, width=16, blocks=1))
    model.fit_encoder(frames)
    return model


def test_encoder_keeps_the_picture(codec, frames):
    error = (codec.decode(codec.encode(frames)).float() - frames.float()).square().mean() / 255**2
    assert -10 * math.log10(error) > 25


def test_mirrored_latents_are_those_of_the_mirrored_frames(codec, frames):
    expected = codec.encode(frames.flip(2))
    assert (codec.mirror(codec.encode(frames)) - expected).abs().max() < 1e-3


def test_decoder_learns(frames):
    """The convolutional part starts at nothing and must come to help."""
    model = PatchAutoencoder(AutoencoderConfig(channels=8, width=32, blocks=1))
    model.fit_encoder(frames)
    frames = frames[:16]

    def loss(noise: float) -> torch.Tensor:
        return decoder_loss(model, frames, torch.Generator().manual_seed(0), noise)

    before = loss(0.0).item()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(40):
        optimiser.zero_grad()
        loss(0.1).backward()
        optimiser.step()
    assert loss(0.0).item() < 0.95 * before


def test_jumps_with_the_true_picture_end_there():
    clean, noise = torch.randn(2, 3), torch.randn(2, 3)
    for steps in (1, 2, 4, 8):
        x = noise
        for t, d in times(steps):
            assert torch.allclose(x, mix(clean, noise, torch.tensor(t)), atol=1e-5)
            x = jump(x, clean, t, d)
        assert torch.allclose(x, clean, atol=1e-5)


def test_shortcut_target_is_one_jump_for_two():
    x, first, second = torch.randn(3, 4)
    t, d = torch.tensor(1.0), torch.tensor(0.5)
    middle = jump(x, first, t, d / 2)
    end = jump(middle, second, t - d / 2, d / 2)
    target = shortcut_target(x, t, d, first, middle, second)
    assert torch.allclose(jump(x, target, t, d), end, atol=1e-5)


def test_steps_must_be_a_power_of_two():
    with pytest.raises(ValueError, match="steps is 3"):
        times(3)


def test_displacing_by_the_motions_retraces_the_poses():
    torch.manual_seed(0)
    poses = relative_to_first(torch.randn(2, 9, 3).cumsum(1))
    motions, turns = motions_between(poses), poses[..., 2].diff(dim=1, prepend=poses[:, :1, 2])
    at = poses[:, 0]
    for t in range(1, 9):
        at = displace(at, motions[:, t], turns[:, t])
        assert torch.allclose(at, poses[:, t], atol=1e-4)


def test_a_doubtful_step_is_a_whole_one():
    """Slides along walls in sixteen directions, and steps that nothing is in the way of."""
    angles = torch.arange(-3, 4) * math.pi / 8
    slides = 0.38 * torch.stack((angles.cos() ** 2, angles.sin() * angles.cos()), dim=-1)
    assert torch.allclose(decided(slides, 0.38), slides)
    doubtful = torch.tensor([[0.3, 0.05], [0.12, 0.0], [0.36, -0.06]])
    assert torch.equal(decided(doubtful, 0.38), torch.tensor([[0.38, 0.0]] * 3))
    blocked = torch.tensor([[0.0, 0.0], [0.07, 0.01], [-0.05, 0.0]])
    assert torch.equal(decided(blocked, 0.38), blocked)


def test_relative_poses_do_not_know_the_world_frame():
    torch.manual_seed(0)
    poses = torch.randn(1, 5, 3)
    angle = torch.tensor(1.1)
    turned = displace(
        torch.tensor([[3.0, -2.0, 1.1]]).expand(5, 3), poses[0, :, :2], torch.zeros(5)
    )
    turned[:, 2] = poses[0, :, 2] + angle
    assert torch.allclose(relative_to_first(poses), relative_to_first(turned[None]), atol=1e-5)


def test_landmarks_are_near_and_not_alike():
    places = torch.tensor([[[0.0, 0, 0], [0.05, 0, 0], [1, 0, 0], [5, 0, 0], [0, 0, math.pi]]])
    usable = torch.tensor([[True, True, True, True, True]])
    chosen = choose_landmarks(torch.zeros(1, 1, 3), places, usable, 3)
    assert chosen.tolist() == [[0, 2, 4]]
    nothing = choose_landmarks(torch.zeros(1, 1, 3), places, ~usable, 2)
    assert nothing.tolist() == [[-1, -1]]


@pytest.mark.parametrize("room", [3.0, 0.3, 0.05])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.03])
def test_the_fast_choice_of_landmarks_is_the_slow_one(room, share):
    """In wide and in narrow places, with few and with many usable ones, with some seen twice."""
    torch.manual_seed(0)
    for _ in range(8):
        targets, places = torch.randn(3, 3) * room, torch.randn(3, 256, 3) * room
        places[:, 200:] = places[:, :56]
        usable = torch.rand(3, 256) < share
        slow = choose_landmarks(targets.unsqueeze(1), places, usable, 12)
        assert torch.equal(nearest_landmarks(targets, places, usable, 12), slow)


def test_attention_depends_on_differences_of_position():
    """Shifting time, place and bearing of both tokens changes no product; a full circle is no
    difference at all.
    """
    torch.manual_seed(0)
    frequencies = far_long_frequencies(64)
    q, k = torch.randn(2, 1, 64)
    one, two = torch.randn(2, 6, dtype=torch.float64)
    shift = torch.tensor([7, 1, 2, 0.3, 4, 5], dtype=torch.float64)
    circle = torch.tensor([0, 0, 0, 2 * math.pi, 0, 0], dtype=torch.float64)

    def product(a, b):
        return (rotate(q, rotation(a, frequencies)) * rotate(k, rotation(b, frequencies))).sum()

    assert torch.allclose(product(one, two), product(one + shift, two + shift), atol=1e-3)
    assert torch.allclose(product(one, two), product(one, two + circle), atol=1e-3)
    assert not torch.allclose(product(one, two), product(one, two + shift), atol=1e-2)


def test_orthogonalised_matrices_are_nearly_orthogonal():
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalised(torch.randn(3, 16, 40)))
    assert 0.5 < values.min() < values.max() < 1.3


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
    ids = mirrored_ids(actions)
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
