"""VideoAR with a memory in space frame by frame: the memory is FAR's, the scales are told the view
as in training; alone as in a batch, forked, saved, flat.
"""

import pickle

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

import models.videoar.dynamics as videoar
from models.codec.patch_autoencoder import to_frames
from models.memory.frame_bank import EMPTY
from models.spatial.config import SamplerConfig
from models.spatial.dynamics import SpatialDynamics, SpatialModels
from models.videoar.config import NetworkConfig
from models.videoar.network import VideoARNetwork
from tests.support import spatial_worlds
from tests.support.second_device import NAME, SecondDevice
from tests.support.videoar_spatial_worlds import SIZE, VIEW_SCALES, small_dynamics
from tests.support.world_walks import dreams_of, walk
from worldsim.world.batch_invariant import make_batch_invariant
from worldsim.world.batching import concat
from worldsim.world.model import load_world
from worldsim.world.snapshot import recall, take

ROWS = 3
SECOND = SecondDevice()


@pytest.fixture(scope="module")
def dynamics():
    made = small_dynamics()
    make_batch_invariant(made)
    return made


@pytest.fixture(scope="module")
def world(tiny_videoar_spatial_world):
    return load_world(tiny_videoar_spatial_world)


def true_frames(count: int, rows: int = ROWS) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = count, rows, SIZE, SIZE, 3
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def begun(dynamics, count=3, rows=ROWS):
    carry = dynamics.initial(rows)
    for t, frames in enumerate(true_frames(count, rows)):
        led = torch.full((rows,), 2 if t else -1)
        carry = dynamics.observe(carry, dynamics.codec.encode(frames), led, frames)
    return carry


def step_of(dynamics, seed, rows=ROWS):
    generator = torch.Generator().manual_seed(seed)
    actions = torch.randint(0, 4, (rows,), generator=generator)
    return actions, torch.randn(rows, *dynamics.latent_shape, generator=generator)


def row_of(carry, row):
    return carry.map(lambda part, dim: part.index_select(dim, torch.tensor([row])))


def copy_of(carry):
    return carry.map(lambda part, _: part.clone())


def assert_equal(one, other):
    these, those = one.tensors(), other.tensors()
    assert set(these) == set(those)
    for name in these:
        assert torch.equal(these[name], those[name]), name


# ---- the memory ----


def far_beside(dynamics) -> SpatialDynamics:
    """FAR with the same depth network, odometry, encoder and memory."""
    models = spatial_worlds.small_models(spatial_worlds.small_settings())
    same = dynamics.codec.autoencoder, dynamics.depth, dynamics.space.odometry
    models = SpatialModels(same[0], models.network, *same[1:], models.decoder)
    memory = spatial_worlds.small_settings(slots=24, sources=3).memory
    return SpatialDynamics(models, memory, SamplerConfig()).requires_grad_(False).eval()


def note_views(space, views, monkeypatch):
    """Append to `views` what is rendered from now on."""
    render = space.render
    monkeypatch.setattr(space, "render", lambda *given: views.append(render(*given)) or views[-1])


def test_space_is_remembered_as_by_far(dynamics, monkeypatch):
    """Bank, poses and depth after true frames, and the next view, bit for bit."""
    far = far_beside(dynamics)
    one, other = begun(dynamics), begun(far)
    for name, part in one.bank.tensors().items():
        assert torch.equal(part, other.bank.tensors()[name]), name
    for name in ("pose", "climb", "inverse_depth", "seen", "newest"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    views, told = [], []
    for space in (far.space, dynamics.space):
        note_views(space, views, monkeypatch)
    network = far.network.forward
    monkeypatch.setattr(
        far.network, "forward", lambda *given: told.append(given[3]) or network(*given)
    )
    sample = dynamics.scales.sample
    monkeypatch.setattr(
        dynamics.scales, "sample", lambda *given: told.append(given[4]) or sample(*given)
    )
    actions = torch.tensor([2, 0, 2])
    # one step for all, so that rows stay together
    far.sampler = SamplerConfig(little=1.0, some=1.0, most=1.0)
    other, _ = far.imagine(other, actions, torch.zeros(ROWS, *far.latent_shape), 1)
    one, _ = dynamics.imagine(one, actions, torch.zeros(ROWS, *dynamics.latent_shape), 3)
    assert torch.equal(one.pose, other.pose)
    assert torch.equal(one.climb, other.climb)
    theirs, ours = views
    assert ours.mask.any()
    for name, part in ours._asdict().items():
        assert torch.equal(part, getattr(theirs, name)), name
    cells = told[0]
    expected = cells.view, cells.mask - 0.5, cells.inverse_depth, cells.seen - 0.5
    assert torch.equal(told[1], torch.cat(expected, dim=1))


def test_pixels_that_memory_shows_stay_and_others_are_painted(dynamics, monkeypatch):
    views = []
    note_views(dynamics.space, views, monkeypatch)
    carry, latents = dynamics.imagine(begun(dynamics), *step_of(dynamics, 0), 3)
    (view,) = views
    assert view.mask.any()
    assert not view.mask.all()
    shown, codec = to_frames(view.rgb), dynamics.codec
    assert torch.equal(carry.newest[view.mask], shown[view.mask])
    painted = torch.cat([codec.decode(row) for row in latents.split(1)])
    assert torch.equal(carry.newest[~view.mask], painted[~view.mask])
    assert torch.equal(carry.seen, view.mask)


def test_what_memory_shows_is_not_written_again(dynamics, monkeypatch):
    views = []
    note_views(dynamics.space, views, monkeypatch)
    carry, written = begun(dynamics), 0
    for t in range(3):
        number = carry.frame[0].item()
        carry, _ = dynamics.imagine(carry, *step_of(dynamics, t), 3)
        for row in range(ROWS):
            slot = torch.nonzero(carry.bank.ids[row] == number).flatten()
            assert len(slot) == 1
            alpha = carry.bank.rgba[row, slot[0], ..., 3] > 0
            assert torch.equal(alpha, views[-1].first_hand[row])
            assert not carry.bank.true[row, slot[0]]
            written += int(alpha.sum())
    assert 0 < written < 3 * ROWS * SIZE**2


def test_standing_still_shows_the_same_view_and_writes_nothing(dynamics, monkeypatch):
    carry = begun(dynamics, rows=1)
    carry.bank.inverse_depth.fill_(0.5)  # a wall: what an untrained network reads is too rough
    monkeypatch.setattr(dynamics.space, "move", lambda *_: None)
    before, held = carry.newest.clone(), carry.bank.ids.clone()
    carry, _ = dynamics.imagine(carry, *step_of(dynamics, 0, 1), 3)
    assert carry.seen.float().mean() > 0.95
    assert torch.equal(carry.bank.ids, held)
    same = (carry.newest == before).all(dim=-1)
    assert same[carry.seen].float().mean() > 0.95


def test_without_memory_everything_is_invented(dynamics):
    carry = begun(dynamics)
    carry.forget_coarse()
    carry.bank.ids.fill_(EMPTY)
    carry, _ = dynamics.imagine(carry, *step_of(dynamics, 0), 3)
    assert not carry.seen.any()
    assert (carry.bank.ids != EMPTY).sum(dim=1).tolist() == [1] * ROWS  # and is remembered


# ---- the scales ----


def views_of(dynamics, rows=ROWS, seed=9):
    generator = torch.Generator().manual_seed(seed)
    channels = dynamics.scales.network.embed_view.in_features
    return torch.randn(rows, channels, *dynamics.codec.cfg.grid, generator=generator)


def test_the_view_is_seen_by_the_first_scales(monkeypatch):
    """By each that is told at once, by the others through these alone; nothing changes what is
    remembered of the frame but its labels.
    """
    dynamics = small_dynamics()
    carry, shown = begun(dynamics), []
    run = dynamics.scales._run
    monkeypatch.setattr(dynamics.scales, "_run", lambda *given: shown.append(given) or run(*given))
    view = views_of(dynamics)
    actions, noise = step_of(dynamics, 0)
    before = copy_of(carry)
    found = dynamics.scales.sample(carry.tokens, actions, noise, 3, view)
    assert_equal(carry, before)
    channels = dynamics.codec.cfg.channels
    widths = [given[1][0].shape[1] - channels for given in shown]
    assert widths == [view.shape[1]] * VIEW_SCALES + [0] * (3 - VIEW_SCALES)
    coarsest = shown[0][1][0][:, channels:]
    torch.testing.assert_close(coarsest[..., 0, 0], view.mean(dim=(2, 3)))
    other = dynamics.scales.sample(carry.tokens, actions, noise, 3, views_of(dynamics, seed=1))
    assert not torch.equal(found, other)


def test_a_view_that_is_not_heard_changes_nothing():
    """With its weights at zero, where training begins, the network is VideoAR without a memory."""
    dynamics = small_dynamics()
    network = dynamics.scales.network
    for weight in network.embed_view.parameters():
        weight.zero_()
    told = {**vars(network.cfg), "view_scales": 0}
    plain = VideoARNetwork(NetworkConfig(**told), network.quantizer)
    plain.load_state_dict(
        {n: w for n, w in network.state_dict().items() if not n.startswith("embed_view")}
    )
    alone = videoar.VideoARDynamics(plain, dynamics.codec.quantizer, dynamics.scales.play)
    alone = alone.requires_grad_(False)
    carry, (actions, noise) = begun(dynamics), step_of(dynamics, 0)
    expected = alone.sample(carry.tokens, actions, noise, 3)
    found = dynamics.scales.sample(carry.tokens, actions, noise, 3, views_of(dynamics))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("steps", [1, 2, 3, 8])
def test_any_number_of_steps_is_remembered_as_what_it_made(dynamics, steps):
    """As tokens of the finished frame, without its action, whatever the number of scales."""
    carry, (actions, noise) = begun(dynamics), step_of(dynamics, 0)
    before = copy_of(carry)
    made, latents = dynamics.imagine(carry, actions, noise, steps)
    nothing = torch.full_like(actions, -1)
    seen = dynamics.scales.observe(before.tokens, latents, nothing)
    assert_equal(made.tokens, seen)
    whole = dynamics.imagine(begun(dynamics), actions, noise, 3)[1]
    assert torch.equal(latents, whole) == (steps >= 3)


def test_an_action_changes_its_own_frame(dynamics):
    """Where the body is led alike, too."""
    actions, noise = step_of(dynamics, 0)
    there = torch.tensor([[0.1, 0.2, 0.3, 0.0]]).expand(ROWS, -1)
    made = [
        dynamics.imagine(begun(dynamics), chosen, noise, 3, there)[1]
        for chosen in (actions, (actions + 1) % 4)
    ]
    assert not torch.equal(*made)


# ---- the carry ----


@pytest.mark.parametrize(
    ("kind", "guided", "threads"), [("codebook", False, 1), ("bits", True, 2), ("bits", False, 1)]
)
def test_a_dream_in_a_batch_is_the_dream_alone(kind, guided, threads):
    """Bit for bit: rows that remember, one that has forgotten, one at a later frame."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        dynamics = small_dynamics(kind, guided)
        make_batch_invariant(dynamics)
        carry = begun(dynamics)
        carry.bank.ids[1], carry.tokens.ids[1] = EMPTY, EMPTY
        carry.tokens.frame = carry.frame + torch.tensor([0, 0, 17])
        alone = [row_of(carry, row) for row in range(ROWS)]
        for t in range(5):
            actions, noise = step_of(dynamics, t)
            carry, _ = dynamics.imagine(carry, actions, noise, 3)
            for row in range(ROWS):
                part = slice(row, row + 1)
                alone[row], _ = dynamics.imagine(alone[row], actions[part], noise[part], 3)
                assert_equal(row_of(carry, row), alone[row])
    finally:
        torch.set_num_threads(before)


def test_true_frames_in_a_batch_are_the_same_alone(dynamics):
    together = begun(dynamics)
    for row in range(ROWS):
        one = dynamics.initial(1)
        for t, frames in enumerate(true_frames(3)):
            frame, led = frames[row : row + 1], torch.tensor([2 if t else -1])
            one = dynamics.observe(one, dynamics.codec.encode(frame), led, frame)
        assert_equal(row_of(together, row), one)


def test_a_fork_does_not_reach_into_its_original(dynamics):
    carry = begun(dynamics)
    kept, fork = copy_of(carry), copy_of(carry)
    actions, noise = step_of(dynamics, 0)
    fork, made = dynamics.imagine(fork, actions, noise, 3)
    assert_equal(carry, kept)
    read = dynamics.carry_from(dict(carry.tensors()))
    assert torch.equal(dynamics.imagine(read, actions, noise, 3)[1], made)


def test_memory_is_flat(dynamics):
    """The bank full, so that frames have been dropped, and the ring round many times."""
    carry = begun(dynamics, rows=1)
    shapes = {name: tensor.shape for name, tensor in carry.tensors().items()}
    for t in range(40):
        carry, _ = dynamics.imagine(carry, *step_of(dynamics, t, 1), 1)
    assert {name: tensor.shape for name, tensor in carry.tensors().items()} == shapes
    assert (carry.bank.ids != EMPTY).all()
    assert sorted(carry.tokens.ids[0].tolist()) == [40, 41, 42]


def dream_on(device: str, frames: int) -> tuple[list, list[dict]]:
    """Frames of dreams on a device, and what the host waited for in each step."""
    dynamics = small_dynamics().to(device)
    carry, shown, waits = dynamics.initial(ROWS), [], []
    for t, frame in enumerate(true_frames(3).to(device)):
        led = torch.full((ROWS,), 2 if t else -1, device=device)
        carry = dynamics.observe(carry, dynamics.codec.encode(frame), led, frame)
    for t in range(frames):
        actions, noise = (part.to(device) for part in step_of(dynamics, t))
        counted = SECOND.waits.copy()
        carry, _ = dynamics.imagine(carry, actions, noise, 3)
        waits.append(dict(SECOND.waits - counted))
        shown.append(SECOND.take(carry.newest))
    return shown, waits


def test_a_step_on_a_second_device_is_the_cpus_and_reads_once():
    """As on a GPU: no tensor is left on the CPU, and the host waits for one reading a step: whose
    frames show something new.
    """
    with sdpa_kernel(SDPBackend.MATH):  # which any other device than the CPU gets here
        here, _ = dream_on("cpu", 3)
    with SECOND:
        there, waits = dream_on(NAME, 3)
    for one, other in zip(here, there, strict=True):
        off = (one.int() - other.int()).abs()  # a half may be rounded either way
        assert off.max() <= 1
        assert (off > 0).float().mean() < 0.01
    for step in waits:
        step.pop("to device", 0)
    assert waits == [{"tolist": 1}] * 3


# ---- through a world ----


def test_copies_of_every_kind_go_on_with_the_same_frames(world, tmp_path):
    state = dreams_of(world)
    fork, moment, one = state.fork(), take(state), state.select([1])
    state.save(tmp_path / "state")
    expected = walk(world, state)
    assert np.array_equal(walk(world, fork), expected)
    assert np.array_equal(walk(world, one), expected[:, 1:])
    assert np.array_equal(walk(world, world.load_state(tmp_path / "state")), expected)
    for copy in (moment, pickle.loads(pickle.dumps(moment))):
        assert np.array_equal(walk(world, recall(world, copy)), expected)


def test_a_moment_shares_pages_with_the_one_before(world):
    state = dreams_of(world, 1)
    first = take(state)
    assert take(state, first).nbytes == 0
    state, _ = world.step(state, [2])
    assert take(state, first).nbytes < first.nbytes / 2


def test_dreams_of_different_frames_share_a_batch(world):
    early, late = dreams_of(world, 1), dreams_of(world, 1)
    walk(world, late, (1, 2))
    alone = [early.fork(), late.fork()]
    together = concat([early, late])
    for action in (0, 2, 1):
        together, frames = world.step(together, [action, action])
        for row, one in enumerate(alone):
            alone[row], frame = world.step(one, [action])
            assert np.array_equal(frames[row], frame[0])


def test_another_seed_invents_something_else(world):
    state = dreams_of(world, 1)
    other = state.fork(seeds=[99])
    assert not np.array_equal(walk(world, state), walk(world, other))


def test_a_dream_is_led_where_it_is_told(world):
    state, there = dreams_of(world, 1), np.array([[0.3, -0.2, 0.1, 0.0]], np.float32)
    state, _ = world.step(state, [0], poses=there)
    np.testing.assert_array_equal(state.poses, there[:, :3])


def test_forgetting_leaves_the_newest_frame(world):
    state = dreams_of(world, 1)
    state.carry.forget_coarse()
    newest = state.carry.frame.item() - 1
    for ids in (state.carry.bank.ids, state.carry.tokens.ids):
        assert set(ids.flatten().tolist()) == {newest, EMPTY}
    walk(world, state)
