"""VideoAR through an autoencoder that looks back: frame by frame as the whole clip, whichever rows,
forks and saves go on from wherever they stand.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from models.build.networks import settings_to_dict
from models.build.videoar import (
    VideoARSettings,
    make_dynamics,
    make_tokenizer,
    weights_of,
)
from models.codec.causal_autoencoder import CausalAutoencoderConfig
from models.videoar.dynamics import VideoARDynamics
from models.videoar.network import NULL
from models.videoar.streaming import StreamingDynamics
from tests.support.far_worlds import write_noise_starts
from tests.support.second_device import NAME, SecondDevice
from tests.support.videoar_worlds import SIZE, small_network, small_settings
from worldsim.attention_probe import Watch
from worldsim.memory_levels import recollect
from worldsim.world.batch_invariant import make_batch_invariant
from worldsim.world.batching import concat
from worldsim.world.batching import observe as wake
from worldsim.world.checkpoint import save_world
from worldsim.world.model import load_world

ROWS, STRIDES = 2, (1, 2, 4)


def settings_of(stride: int, kernel: int = 3) -> VideoARSettings:
    shape = {"frame_size": SIZE, "base": 4, "blocks": 1, "channels": 8}
    codec = CausalAutoencoderConfig(
        **shape, multipliers=(1, 1, 1, 1), time_kernel=kernel, time_stride=stride
    )
    return small_settings()._replace(codec=codec)


def dynamics_of(stride: int, kernel: int = 3):
    settings = settings_of(stride, kernel)
    torch.manual_seed(0)
    tokenizer = make_tokenizer(settings.codec, settings.quantizer).requires_grad_(False)
    made = make_dynamics(tokenizer, small_network(settings.quantizer), settings)
    make_batch_invariant(made)
    return made


def true_frames(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(
        0, 256, (ROWS, count, SIZE, SIZE, 3), generator=generator, dtype=torch.uint8
    )


def observed(dynamics, frames, carry=None):
    carry = dynamics.initial(len(frames)) if carry is None else carry
    for t in range(frames.shape[1]):
        led = torch.full((len(frames),), t % 4 if t else NULL)
        carry = dynamics.observe(carry, torch.zeros(()), led, frames[:, t])
    return carry


def dream(dynamics, carry, count, begin=0):
    """Frames `[B,count,H,W,3]`, and the latents of those steps that made some."""
    shown, latents = [], []
    for t in range(begin, begin + count):
        generator = torch.Generator().manual_seed(t)
        noise = torch.randn(1, *dynamics.latent_shape, generator=generator)
        actions = torch.full((len(carry.left),), t % 3)
        carry, made = dynamics.imagine(carry, actions, noise.expand(len(actions), -1, -1, -1), 3)
        shown.append(dynamics.newest_frames(carry).clone())
        latents += [made] if made.any() else []
    return torch.stack(shown, dim=1), latents


@pytest.mark.parametrize("stride", STRIDES)
def test_frame_by_frame_is_the_whole_clip(stride):
    """True frames become the latents of the clip; what is dreamt is shown as the clip of all
    latents, the true ones too, is decoded.
    """
    dynamics = dynamics_of(stride)
    frames = true_frames(1 + 2 * stride)
    codec = dynamics.codec
    _, whole = codec.encode_clip(codec.initial(), frames)
    carry = observed(dynamics, frames)
    slow, actions = dynamics.scales.initial(ROWS), [NULL, *(t % 4 for t in (1, 1 + stride))]
    for t, action in enumerate(actions):
        slow = dynamics.scales.observe(slow, whole[:, t], torch.full((ROWS,), action))
    for name, tensor in carry.tokens.tensors().items():
        torch.testing.assert_close(tensor, slow.tensors()[name], rtol=1e-4, atol=1e-4)
    shown, latents = dream(dynamics, carry, 2 * stride)
    assert len(latents) == 2
    clip = torch.cat((whole, torch.stack(latents, dim=1)), dim=1)
    _, decoded = codec.decode_clip(codec.initial(), clip)
    apart = (decoded[:, -2 * stride :].int() - shown.int()).abs()
    assert apart.max() <= 1  # a last bit may round the other way
    assert (apart == 0).float().mean() > 0.99


@pytest.mark.parametrize("stride", STRIDES)
def test_only_the_first_action_of_a_latent_is_heard(stride):
    dynamics = dynamics_of(stride)
    shown = []
    for changed in range(stride):
        carry, frames = observed(dynamics, true_frames(1 + stride)), []
        for t in range(stride):
            actions = torch.full((ROWS,), 3 if t == changed else 0)
            noise = torch.zeros(ROWS, *dynamics.latent_shape)
            carry, _ = dynamics.imagine(carry, actions, noise, 3)
            frames.append(carry.newest.clone())
        shown.append(torch.stack(frames))
    assert not any(torch.equal(shown[0], other) for other in shown[1:])
    assert all(torch.equal(shown[1], other) for other in shown[2:])


@pytest.mark.parametrize("stride", [2, 4])
def test_a_dream_that_begins_in_between_completes_the_group(stride):
    """With copies of the newest frame."""
    dynamics = dynamics_of(stride)
    frames = true_frames(2 + stride)  # one more than a whole number of latents
    copies = frames[:, -1:].expand(-1, stride - 1, -1, -1, -1)
    one, other = observed(dynamics, frames), observed(dynamics, torch.cat((frames, copies), dim=1))
    assert torch.equal(dream(dynamics, one, stride)[0], dream(dynamics, other, stride)[0])


def test_a_dream_from_nothing_begins_with_one_frame():
    dynamics = dynamics_of(4)
    carry = dynamics.initial(ROWS)
    shown, latents = dream(dynamics, carry, 5)
    assert len(latents) == 2
    _, decoded = dynamics.codec.decode_clip(dynamics.codec.initial(), torch.stack(latents, dim=1))
    assert (decoded.int() - shown.int()).abs().max() <= 1


@pytest.mark.parametrize("stride", STRIDES)
def test_a_dream_that_wakes_up_has_seen_what_it_dreamt(stride):
    """The encoder goes on from the frames that were shown, as if they had been true."""
    dynamics = dynamics_of(stride)
    frames, later = true_frames(1), true_frames(1 + stride)[:, 1:]
    carry = observed(dynamics, frames)
    shown, _ = dream(dynamics, carry, stride)
    carry = observed(dynamics, later, carry)
    everything = observed(dynamics, torch.cat((frames, shown, later), dim=1))
    for name, tensor in everything.encoder.tensors().items():
        torch.testing.assert_close(carry.encoder.tensors()[name], tensor, rtol=1e-4, atol=1e-4)


def test_an_autoencoder_of_single_frames_needs_no_past():
    assert isinstance(dynamics_of(1, kernel=1), VideoARDynamics)
    assert isinstance(dynamics_of(1), StreamingDynamics)


def dream_on(device: str, second: SecondDevice) -> torch.Tensor:
    dynamics = dynamics_of(4).to(device)
    carry = dynamics.initial(ROWS)
    for t, frame in enumerate(true_frames(6).transpose(0, 1).to(device)):
        led = torch.full((ROWS,), t % 4 if t else NULL, device=device)
        carry = dynamics.observe(carry, torch.zeros(()), led, frame)
    noise, shown = torch.zeros(ROWS, *dynamics.latent_shape, device=device), []
    for t in range(5):
        actions = torch.full((ROWS,), t % 3, device=device)
        carry, _ = dynamics.imagine(carry, actions, noise, 3)
        shown.append(second.take(carry.newest))
    return torch.stack(shown)


def test_it_runs_on_a_second_device():
    """As on a GPU: no tensor is left on the CPU."""
    second = SecondDevice()
    with sdpa_kernel(SDPBackend.MATH):
        here = dream_on("cpu", second)
    with second:
        there = dream_on(NAME, second)
    assert (here.int() - there.int()).abs().max() <= 1


# ---- through a world ----


@pytest.fixture(scope="module", params=[1, 4])
def world(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("streaming")
    write_world(folder, settings_of(request.param))
    return load_world(folder)


def write_world(folder: Path, settings: VideoARSettings) -> None:
    write_noise_starts(folder / "spawns", [5, 5], SIZE)
    torch.manual_seed(0)
    tokenizer = make_tokenizer(settings.codec, settings.quantizer)
    card = {"name": "tiny-streaming", "title": "A tiny dream of clips", "fps": 7.5}
    card |= {"frame_size": SIZE, "action_set": "dmlab", "engine": "Maze-v0", "licence": "MIT"}
    card |= {"builder": "videoar", "steps": 3, "settings": settings_to_dict(settings)}
    weights = weights_of(tokenizer, small_network(settings.quantizer))
    save_world(folder, card | {"training": {}, "figures": {}}, weights)


def begin(world, row=0):
    spawn = world.spawns[row]
    return world.reset(spawn.frames[None], spawn.actions[None], [row])


def walk(world, state, actions):
    frames = []
    for action in actions:
        state, frame = world.step(state, [action] * state.batch)
        frames.append(frame)
    return np.stack(frames)


def test_forks_and_saved_states_go_on_alike_from_within_a_latent(world, tmp_path):
    state = begin(world)
    walk(world, state, (2, 0))
    fork = state.fork()
    state.save(tmp_path / "state")
    moves = (1, 2, 0, 2, 1)
    expected = walk(world, state, moves)
    assert np.array_equal(walk(world, fork, moves), expected)
    assert np.array_equal(walk(world, world.load_state(tmp_path / "state"), moves), expected)


def test_dreams_within_different_latents_share_a_batch(world):
    early, late = begin(world), begin(world, 1)
    walk(world, late, (1, 2, 0))
    alone = [early.fork(), late.fork()]
    together = concat([early, late])
    moves = (0, 2, 1, 2, 0, 1)
    frames = walk(world, together, moves)
    for row, one in enumerate(alone):
        assert np.array_equal(frames[:, row], walk(world, one, moves)[:, 0])


def test_memory_is_flat(world):
    state = begin(world)
    shapes = {name: tensor.shape for name, tensor in state.carry.tensors().items()}
    walk(world, state, (0, 1, 2) * 4)
    assert {name: tensor.shape for name, tensor in state.carry.tensors().items()} == shapes


def test_a_running_dream_takes_in_a_true_frame(world):
    state = begin(world)
    walk(world, state, (2, 0))
    frame = np.full((1, SIZE, SIZE, 3), 90, np.uint8)
    state = wake(world, state, frame, [1])
    assert np.array_equal(state.carry.newest.numpy(), frame)
    assert walk(world, state, (0,)).shape == (1, 1, SIZE, SIZE, 3)


def test_what_it_remembers_is_told_in_frames(world):
    """Of those that share a latent, the last."""
    state, watch = begin(world), Watch()
    stride = world.dynamics.stride
    with watch:
        state, _ = world.step(state, [2])
    levels = recollect(world, state)
    newest = 4 // stride + 1
    told = [stride * number for number in range(max(newest - 2, 0), newest + 1)]
    assert sorted(levels[0].frames) == told
    heats = watch.heats(levels)
    assert sum(sum(part) for part in heats) == pytest.approx(1, abs=1e-4)
