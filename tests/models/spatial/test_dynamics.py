"""Dreams with a memory in space: alone and in a batch, forked, saved, and flat in memory."""

import pickle

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from models.codec.patch_autoencoder import to_frames
from models.codec.view_decoder import Shown
from models.memory.frame_bank import EMPTY, FrameBank
from models.memory.odometry import compose_poses, motion_between
from models.spatial.config import SamplerConfig
from models.spatial.network import COARSE_KIND, FINE
from tests.support.second_device import NAME, SecondDevice
from tests.support.spatial_worlds import SIZE, small_dynamics
from tests.support.world_walks import dreams_of, walk
from worldsim.world.batch_invariant import make_batch_invariant
from worldsim.world.model import load_world
from worldsim.world.snapshot import recall, take

ROWS = 4
SECOND = SecondDevice()


@pytest.fixture(scope="module")
def world(tiny_spatial_world):
    return load_world(tiny_spatial_world)


@pytest.fixture(scope="module")
def dynamics():
    made = small_dynamics()
    make_batch_invariant(made)
    return made


def true_frames(count: int, rows: int = ROWS, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(
        0, 256, (count, rows, SIZE, SIZE, 3), generator=generator, dtype=torch.uint8
    )


def begun(dynamics, count=3, rows=ROWS, seed=0):
    carry = dynamics.initial(rows)
    for t, frames in enumerate(true_frames(count, rows, seed)):
        led = torch.full((rows,), 2 if t else -1)
        carry = dynamics.observe(carry, dynamics.codec.encode(frames), led, frames)
    return carry


def row_of(carry, row):
    return carry.map(lambda part, dim: part.index_select(dim, torch.tensor([row])))


def assert_equal(one, other):
    these, those = one.tensors(), other.tensors()
    assert set(these) == set(those)
    for name in these:
        assert torch.equal(these[name], those[name]), name


def step_of(dynamics, seed, rows):
    generator = torch.Generator().manual_seed(seed)
    actions = torch.randint(0, 4, (rows,), generator=generator)
    return actions, torch.randn(rows, *dynamics.latent_shape, generator=generator)


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_a_dream_in_a_batch_is_the_dream_alone(dynamics, threads, monkeypatch):
    """Rows that remember, one that has forgotten all but the newest frame and one that begins
    later, so that views, sampler steps and keyframes differ; bit for bit.
    """
    carry = begun(dynamics)
    for name in ("bank", "cache"):
        getattr(carry, name).ids[1] = EMPTY
    carry.frame = carry.frame + torch.tensor([0, 0, 17, 0])
    alone = [row_of(carry, row) for row in range(ROWS)]
    integrate, counts = dynamics._integrate, []

    def noted(*inputs):
        counts.append(inputs[-1])
        return integrate(*inputs)

    monkeypatch.setattr(dynamics, "_integrate", noted)
    mixed = 0
    for t in range(6):
        actions, noise = step_of(dynamics, t, ROWS)
        counts.clear()
        carry, _ = dynamics.imagine(carry, actions, noise, 8)
        mixed = max(mixed, len(counts))
        for row in range(ROWS):
            part = slice(row, row + 1)
            alone[row], _ = dynamics.imagine(alone[row], actions[part], noise[part], 8)
            assert_equal(row_of(carry, row), alone[row])
    assert mixed > 1  # some batch mixed numbers of sampler steps


def test_true_frames_in_a_batch_are_the_same_alone(dynamics):
    frames = true_frames(3)
    carry = begun(dynamics)
    for row in range(ROWS):
        one = dynamics.initial(1)
        for t, all_frames in enumerate(frames):
            frame = all_frames[row : row + 1]
            led = torch.tensor([2 if t else -1])
            one = dynamics.observe(one, dynamics.codec.encode(frame), led, frame)
        assert_equal(row_of(carry, row), one)


def test_without_memory_everything_is_invented(dynamics):
    carry = begun(dynamics)
    carry.bank.ids.fill_(EMPTY)
    actions, noise = step_of(dynamics, 0, ROWS)
    carry, _ = dynamics.imagine(carry, actions, noise, 1)
    assert not carry.seen.any()
    assert (carry.bank.ids != EMPTY).sum(dim=1).tolist() == [1] * ROWS  # and is remembered


def test_what_memory_shows_is_not_written_again(dynamics, monkeypatch):
    """Write once: where memory has the newest frame's colour, and not from much farther away, its
    alpha is zero.
    """
    carry, views, rendered = begun(dynamics), [], dynamics.space.render
    monkeypatch.setattr(
        dynamics.space, "render", lambda *inputs: views.append(rendered(*inputs)) or views[-1]
    )
    for t in range(5):
        actions, noise = step_of(dynamics, t, ROWS)
        number = carry.frame[0].item()
        carry, _ = dynamics.imagine(carry, actions, noise, 1)
        for row in range(ROWS):
            slot = torch.nonzero(carry.bank.ids[row] == number).flatten()
            if not len(slot):
                continue
            alpha = carry.bank.rgba[row, slot[0], ..., 3] > 0
            view = views[-1]
            assert torch.equal(alpha, view.first_hand[row])
            assert alpha[~(view.mask | view.doubtful)[row]].all()
            assert not carry.bank.true[row, slot[0]]
            assert alpha.float().mean() < 1 or not carry.seen[row].any()


def test_idle_shows_the_same_view_and_writes_nothing(dynamics):
    """Without a motion memory shows all of the newest frame, in one sampler step."""
    carry = begun(dynamics, rows=1)
    carry.bank.inverse_depth.fill_(0.5)  # a wall: what an untrained network reads is too rough
    still = lambda carry, actions, *_: torch.zeros(len(actions), 3)  # noqa: E731
    moving, dynamics.space.move = dynamics.space.move, still
    try:
        held = carry.bank.ids.clone()
        actions, noise = step_of(dynamics, 0, 1)
        carry, _ = dynamics.imagine(carry, actions, noise, 8)
    finally:
        dynamics.space.move = moving
    assert carry.seen_share.item() > 0.95
    assert torch.equal(carry.bank.ids, held)
    assert dynamics.sampler.steps(1 - carry.seen_share.item()) == 1


def test_the_cache_is_what_encoding_its_frames_anew_gives(dynamics):
    """Keys of the window and of the coarse level against one encoding of all their frames; those
    of the keyframes against the bank's pictures.
    """
    carry = begun(dynamics, rows=1)
    seen = {}
    for t in range(14):
        actions, noise = step_of(dynamics, t, 1)
        carry, _ = dynamics.imagine(carry, actions, noise, 1)
        latents = dynamics.codec.encode(carry.newest)
        seen[carry.frame.item() - 1] = latents, carry.pose
    for name, kind in (("window", FINE), ("coarse", COARSE_KIND)):
        span = dynamics.spans[name]
        ids = carry.cache.ids[0, span.frames].tolist()
        assert len(set(ids)) == len(ids)
        known = [(place, number) for place, number in enumerate(ids) if number in seen]
        assert known
        latents = torch.stack([seen[number][0][0] for _, number in known]).unsqueeze(0)
        poses = torch.stack([seen[number][1][0] for _, number in known]).unsqueeze(0)
        with torch.inference_mode():
            anew = dynamics.network.encode_context(latents, poses, kind)
        columns = torch.cat(
            [
                span.slots.start + place * span.tokens + torch.arange(span.tokens)
                for place, _ in known
            ]
        )
        for layer in range(dynamics.cfg.layers):
            for cached, fresh in ((carry.cache.k, anew.k), (carry.cache.v, anew.v)):
                assert (cached[layer][:, :, columns] - fresh[layer]).abs().max() < 1e-5


def test_keyframes_are_frames_of_the_bank_outside_of_the_window(dynamics):
    carry = begun(dynamics, rows=1)
    span, found = dynamics.spans["keyframes"], False
    for t in range(8):
        actions, noise = step_of(dynamics, t, 1)
        newest = carry.frame.item() - 1
        bank = FrameBank(**{n: part.clone() for n, part in carry.bank.tensors().items()})
        carry, _ = dynamics.imagine(carry, actions, noise, 1)
        for place, number in enumerate(carry.cache.ids[0, span.frames].tolist()):
            if number == EMPTY:
                continue
            found = True
            assert number <= newest - dynamics.memory.window
            slot = torch.nonzero(bank.ids[0] == number).item()
            with torch.inference_mode():
                latents = dynamics.codec.encode(bank.rgba[:, slot : slot + 1, ..., :3])
                anew = dynamics.network.encode_context(
                    latents, bank.poses[:, slot : slot + 1], FINE
                )
            start = span.slots.start + place * span.tokens
            cached = carry.cache.k[:, :, :, start : start + span.tokens]
            assert (cached - torch.stack(anew.k)).abs().max() < 1e-5
    assert found


def test_levels_are_overwritten_in_place(dynamics):
    carry = begun(dynamics, rows=1)
    memory = dynamics.memory
    before = carry.cache.k.data_ptr()
    for t in range(30):
        actions, noise = step_of(dynamics, t, 1)
        carry, _ = dynamics.imagine(carry, actions, noise, 1)
    assert carry.cache.k.data_ptr() == before
    newest = carry.frame.item() - 1
    ids = carry.cache.ids[0]
    window = sorted(ids[dynamics.spans["window"].frames].tolist())
    assert window == list(range(newest - memory.window + 1, newest + 1))
    last = newest - newest % memory.dilation
    coarse = sorted(ids[dynamics.spans["coarse"].frames].tolist())
    assert coarse == [last - memory.dilation * i for i in reversed(range(memory.coarse))]


def test_memory_is_flat(dynamics):
    carry = begun(dynamics, rows=1)
    sizes = {}
    for t in range(400):
        actions, noise = step_of(dynamics, t, 1)
        carry, _ = dynamics.imagine(carry, actions, noise, 1)
        if t + 1 in (10, 400):
            sizes[t + 1] = {
                name: part.numel() * part.element_size() for name, part in carry.tensors().items()
            }
    assert sizes[10] == sizes[400]
    assert (carry.bank.ids != EMPTY).all()  # full, so that frames have been dropped


# ---- through a world ----


def test_copies_of_every_kind_go_on_with_the_same_frames(world, tmp_path):
    state = dreams_of(world)
    fork = state.fork()
    moment = take(state)
    state.save(tmp_path / "state")
    expected = walk(world, state)
    assert np.array_equal(walk(world, fork), expected)
    assert np.array_equal(walk(world, world.load_state(tmp_path / "state")), expected)
    for copy in (moment, pickle.loads(pickle.dumps(moment))):
        assert np.array_equal(walk(world, recall(world, copy)), expected)


def test_a_dream_is_led_where_it_is_told(world):
    spawn = world.spawns[0]
    state = world.reset(spawn.frames[None], spawn.actions[None], [0])
    there = np.array([[0.3, -0.2, 0.1, 0.0]], np.float32)
    state, _ = world.step(state, [0], poses=there)
    np.testing.assert_array_equal(state.poses, there[:, :3])
    with pytest.raises(ValueError, match=r"poses must be \[1, 4\] finite numbers"):
        world.step(state, [0], poses=there[0])


def test_a_motion_between_poses_leads_from_one_to_the_other():
    poses, motions = torch.randn(2, 5, 4).unbind()
    turns = torch.randn(5)
    there = compose_poses(poses, motions[:, :3], turns)
    torch.testing.assert_close(motion_between(poses, there), motions[:, :3])


def test_a_fork_with_another_seed_invents_something_else(world):
    state = dreams_of(world, 1)
    other = state.fork(seeds=[99])
    assert not np.array_equal(walk(world, state), walk(world, other))


def test_a_row_selected_goes_on_alone(world):
    state = dreams_of(world)
    one = state.select([1])
    assert np.array_equal(walk(world, state)[:, 1:], walk(world, one))


def test_forgetting_leaves_the_newest_frame(world):
    state = dreams_of(world, 1)
    state.carry.forget_coarse()
    newest = state.carry.frame.item() - 1
    held = {
        number
        for ids in (state.carry.bank.ids, state.carry.cache.ids)
        for number in ids.flatten().tolist()
    }
    assert held <= {newest, EMPTY}
    walk(world, state)


def test_a_moment_shares_pages_with_the_one_before(world):
    state = dreams_of(world, 1)
    first = take(state)
    assert take(state, first).nbytes == 0
    state, _ = world.step(state, [2])
    assert take(state, first).nbytes < first.nbytes / 2


@torch.no_grad()
def test_a_frame_is_what_the_decoder_makes_of_latents_and_view():
    """By hand; what is remembered is told so, and what comes next builds on the frame."""
    dynamics = small_dynamics()
    make_batch_invariant(dynamics)
    look, made = dynamics.space.render, []
    dynamics.space.render = lambda *args: made.append(look(*args)) or made[-1]
    carry = dynamics.initial(1)
    for t, frame in enumerate(true_frames(3, 1)):
        led = torch.full((1,), 2 if t else -1)
        carry = dynamics.observe(carry, dynamics.codec.encode(frame), led, frame)
    actions, noise = step_of(dynamics, 0, 1)
    carry, latents = dynamics.imagine(carry, actions, noise, 8)
    view, codec = made[-1], dynamics.codec
    hint = view.doubtful & ~view.mask
    assert hint.any()
    assert not (view.mask | hint).all()
    assert torch.equal(carry.seen, view.mask)
    told = codec.linear_decode(latents), Shown(view.rgb, view.mask, hint)
    expected = to_frames(dynamics.decoder(latents, *told, noise).clamp(-1, 1))
    assert torch.equal(carry.newest, expected)
    assert torch.equal(carry.latents, codec.encode(expected))


@pytest.mark.parametrize(
    ("unseen", "steps"), [(0.0, 1), (0.04, 1), (0.05, 2), (0.29, 2), (0.3, 4), (0.89, 4), (0.9, 8)]
)
def test_sampler_steps_follow_the_unseen_share(unseen, steps):
    assert SamplerConfig().steps(unseen) == steps


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"little": 0.5}, "little, some and most must rise, got 0.5, 0.3, 0.9"),
        ({"order": 3}, "order must be 1 or 2, got 3"),
        ({"order": 2, "shortcuts": True}, "order must be 1 where shortcuts are learnt, got 2"),
    ],
)
def test_bad_settings_of_the_sampler_are_refused(settings, told):
    with pytest.raises(ValueError, match=told):
        SamplerConfig(**settings)


def dream_on(device: str, frames: int, rows: int) -> tuple[list, list[dict]]:
    """Frames of dreams on a device, and what the host waited for in each step."""
    dynamics = small_dynamics().to(device)
    make_batch_invariant(dynamics)
    carry, shown, waits = dynamics.initial(rows), [], []
    for t, frame in enumerate(true_frames(3, rows).to(device)):
        led = torch.full((rows,), 2 if t else -1, device=device)
        carry = dynamics.observe(carry, dynamics.codec.encode(frame), led, frame)
    for t in range(frames):
        actions, noise = (part.to(device) for part in step_of(dynamics, t, rows))
        counted = SECOND.waits.copy()
        carry, _ = dynamics.imagine(carry, actions, noise, 8)
        waits.append(dict(SECOND.waits - counted))
        shown.append(SECOND.take(carry.newest))
    return shown, waits


@pytest.mark.parametrize("rows", [1, ROWS])
def test_a_step_on_a_second_device_is_the_cpus_and_reads_once(rows):
    """As on a GPU: no tensor is left on the CPU, and the host waits for one reading a step: which
    parts of the step are needed. A batch also says which rows they are of; a single dream does not.
    """
    frames = 4
    with sdpa_kernel(SDPBackend.MATH):  # which any other device than the CPU gets here
        here, _ = dream_on("cpu", frames, rows)
    with SECOND:
        there, waits = dream_on(NAME, frames, rows)
    for one, other in zip(here, there, strict=True):
        # the CPU reads depth and decodes row by row and in its own layout, which is 1e-6 away, so a
        # half may be rounded either way
        off = (one.int() - other.int()).abs()
        assert off.max() <= 1
        assert (off > 0).float().mean() < 0.01
    rows_told = [step.pop("to device", 0) for step in waits]
    assert waits == [{"tolist": 1}] * frames
    assert max(rows_told) == 0 if rows == 1 else max(rows_told) <= 8


def test_a_tensor_that_is_left_on_the_cpu_is_refused():
    """The second device is one: else the test above would hold of anything."""
    with SECOND:
        dynamics = small_dynamics().to(NAME)
        actions, noise = step_of(dynamics, 0, 1)
        with pytest.raises(RuntimeError, match="tensors on two devices"):
            dynamics.imagine(dynamics.initial(1), actions, noise.to(NAME), 1)


def test_a_body_moves_as_its_noise_says(dynamics):
    """Odometry that is unsure moves bodies otherwise by other noise, the same way by the same."""
    actions, ends = torch.full((ROWS,), 2), []
    for first in (0.001, 0.001, 0.009):  # the fraction of 64 times as much is 0.06 and 0.58
        carry = begun(dynamics)
        noise = torch.full((ROWS, *dynamics.latent_shape), first)
        carry, _ = dynamics.imagine(carry, actions, noise, 1)
        ends.append(carry.pose.clone())
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_depth_is_read_off_the_picture_where_memory_knows_another(dynamics):
    size, n = SIZE, dynamics.depth.cfg.size
    pictures = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(2)).clamp(
        -1, 1
    )
    known = torch.full((1, n, n), 1 / dynamics.far)
    read = dynamics.space.read_depth(pictures, known)
    assert torch.equal(read, dynamics.depth.inverse_depth(pictures, known))
    assert not torch.equal(read, known)
