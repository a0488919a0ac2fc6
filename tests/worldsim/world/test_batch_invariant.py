"""A dream among others is the dream alone, to the last bit; so is the arithmetic it is made of."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from envs.vector import DreamVectorEnv
from envs.world_model import WorldModelEnv
from tests.support.far_worlds import write_far_world
from worldsim.world import batch_invariant
from worldsim.world.batch_invariant import RowLinear, make_batch_invariant
from worldsim.world.batching import concat, insert, observe
from worldsim.world.model import load_world


def check_rows(layer, x, tolerance):
    """Each row is what it is alone, to the last bit, and what torch's own layer gives, nearly."""
    wanted = layer(x)
    make_batch_invariant(layer)
    with torch.no_grad():
        together = layer(x)
        assert torch.equal(together, torch.cat([layer(row.clone()) for row in x.split(1)]))
    torch.testing.assert_close(together, wanted, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("shape", [(5, 1, 192), (5, 2, 192), (16, 16, 192), (3, 1, 4, 192)])
def test_every_row_is_what_it_is_alone(shape):
    """Sixteen single rows in one product differ from sixteen products, on most machines."""
    torch.manual_seed(0)
    check_rows(torch.nn.Linear(192, 96), torch.randn(shape), 1e-5)


@pytest.mark.parametrize(
    ("channels", "size", "kernel", "stride"),
    [(128, 8, 3, 1), (24, 32, 3, 1), (64, 16, 4, 2), (96, 8, 1, 1)],
)
def test_every_picture_is_what_it_is_alone(channels, size, kernel, stride):
    """torch convolves one small picture by another library than several."""
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(channels, 32, kernel, stride=stride, padding=kernel // 2)
    check_rows(layer, torch.randn(5, channels, size, size), 1e-4)


def test_a_shape_that_differs_is_taken_row_by_row(monkeypatch):
    layer = RowLinear(8, 4)
    monkeypatch.setattr(batch_invariant, "_trials", {})
    other = lambda x, *parts: F.linear(x, *parts) + 1e-3 * (len(x) > 1)  # noqa: E731
    monkeypatch.setattr(batch_invariant, "multiply", other)
    x = torch.randn(3, 2, 8)
    with torch.no_grad():
        expected = torch.cat([F.linear(row, layer.weight, layer.bias) for row in x.split(1)])
        assert torch.equal(layer(x), expected)
    assert list(batch_invariant._trials.values()) == [False]


def test_training_goes_as_before():
    """Rows one by one would make training slow, and it needs no exactness."""
    layer = RowLinear(8, 4)
    layer(torch.randn(3, 2, 8)).sum().backward()
    assert layer.weight.grad is not None


@pytest.mark.parametrize("masked", ["not", "alike", "each"])
def test_attention_does_not_mind_company(masked):
    torch.manual_seed(0)
    q, k, v = (torch.randn(5, 4, n, 48) for n in (16, 488, 488))
    mask = None if masked == "not" else torch.zeros(5 if masked == "each" else 1, 1, 1, 488)
    if mask is not None:
        mask[:, :, :, 300:] = float("-inf")
    together = batch_invariant.attention(q, k, v, attn_mask=mask)
    for row in range(5):
        part = slice(row, row + 1)
        own = mask[part] if masked == "each" else mask
        single = F.scaled_dot_product_attention(q[part], k[part], v[part], attn_mask=own)
        assert torch.equal(together[part], single)


@pytest.mark.parametrize("masked", ["not", "additive", "bool"])
def test_attention_of_a_training_in_bfloat16_is_that_of_torch(masked):
    """A mask of true and false, too: added as numbers it hides nothing."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(3, 2, 5, 8, generator=generator, requires_grad=True) for _ in range(3))
    seen = torch.ones(3, 1, 1, 5, dtype=torch.bool)
    seen[..., 3:] = False
    additive = torch.where(seen, 0.0, -torch.inf)
    mask = {"not": None, "additive": additive, "bool": seen}[masked]
    wanted = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    gradients = torch.autograd.grad(wanted.square().sum(), (q, k, v))
    with torch.autocast("cpu", torch.bfloat16):
        found = batch_invariant.attention(q, k, v, mask)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, atol=0.02, rtol=0.02)
    also = torch.autograd.grad(found.float().square().sum(), (q, k, v))
    torch.testing.assert_close(also, gradients, atol=0.08, rtol=0.05)


@pytest.fixture(scope="module")
def walking_world(tmp_path_factory):
    """A tiny world whose dreams start after one frame or after more than the window holds: the rows
    of a batch have keyframes or not in every combination.
    """
    folder = tmp_path_factory.mktemp("worlds") / "walking"
    write_far_world(folder, 16, (1, 12, 5), stride=0.38)
    return load_world(folder)


def play_beside(dreams, singles, steps, seed=0):
    """Step dreams and the same dreams alone under random keys, each held for a while, and compare
    every frame; now and then some start anew, and all go on from a clone.
    """
    rng = np.random.default_rng(seed)
    frames, _ = dreams.reset(seed=seed)
    for row, single in enumerate(singles):
        assert np.array_equal(single.reset(seed=seed + row)[0], frames[row])
    actions = np.zeros(len(singles), int)
    for number in range(steps):
        if number % 23 == 11:
            mask = rng.random(len(singles)) < 0.5
            mask[number % len(singles)] = True
            frames, _ = dreams.reset(seed=1000 + number, options={"reset_mask": mask})
            for row in np.flatnonzero(mask):
                alone, _ = singles[row].reset(seed=1000 + number + int(row))
                assert np.array_equal(alone, frames[row])
        if number % 31 == 17:
            dreams.restore_state(dreams.clone_state())
            for single in singles:
                single.restore_state(single.clone_state())
        changed = rng.random(len(singles)) < 0.5
        actions = np.where(changed, rng.integers(0, 4, len(singles)), actions)
        frames, *_ = dreams.step(actions)
        for row, single in enumerate(singles):
            alone = single.step(int(actions[row]))[0]
            assert np.array_equal(alone, frames[row]), f"row {row}, step {number}"


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("threads")
def test_rows_with_and_without_memory_do_not_mind_each_other(walking_world):
    """Keyframes are encoded for those rows together that lack some, never for the same ones."""
    dreams = DreamVectorEnv(3, walking_world)
    play_beside(dreams, [WorldModelEnv(walking_world) for _ in range(3)], 200)


@pytest.mark.slow
def test_dreams_of_the_bundled_world_do_not_mind_each_other(bundled_world):
    dreams = DreamVectorEnv(3, bundled_world)
    play_beside(dreams, [WorldModelEnv(bundled_world) for _ in range(3)], 40)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("torch_kernels", "onednn_kernels"), [("default", "SSE41"), ("avx2", "AVX2")]
)
def test_older_processors_keep_company_too(torch_kernels, onednn_kernels):
    """Other instructions add up in other orders: the test above, on those of another processor."""
    told = {"ATEN_CPU_CAPABILITY": torch_kernels, "ONEDNN_MAX_CPU_ISA": onednn_kernels}
    which = f"{__file__}::test_dreams_of_the_bundled_world_do_not_mind_each_other"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", which]
    run = subprocess.run(command, env=os.environ | told, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    assert "1 passed" in run.stdout


def test_frames_are_taken_in_as_they_are_alone(walking_world):
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, (3, 4, 16, 16, 3)).astype(np.uint8)
    actions = rng.integers(0, 4, (3, 3))
    together = walking_world.reset(frames, actions, [0, 1, 2])
    for row in range(3):
        part = slice(row, row + 1)
        alone = walking_world.reset(frames[part], actions[part], [row]).carry.tensors()
        mine = together.select([row]).carry.tensors()
        assert all(torch.equal(mine[name], alone[name]) for name in alone)


def test_an_ending_is_as_likely_in_company():
    """The last numbers of a batch are computed by other code than the first."""
    from models.heads.reward import OutcomeConfig, OutcomeHead

    torch.manual_seed(0)
    head = OutcomeHead(OutcomeConfig(channels=8, size=4, actions=4))
    for weight in head.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    make_batch_invariant(head)
    before, after = torch.randn(2, 19, 8, 4, 4)
    actions = torch.randint(0, 4, (19,))
    together = head.judge(before, actions, after)
    rows = zip(before.split(1), actions.split(1), after.split(1), strict=True)
    assert torch.equal(together, torch.cat([head.judge(*row) for row in rows]))


def test_dreams_at_different_frames_are_the_dreams_alone(tiny_world):
    """Also their memories: a bit that differs there shows in some later frame."""
    world, singles = load_world(tiny_world), []
    for seed in range(4):
        spawn = world.spawns[seed % 3]
        state = world.reset(spawn.frames[None], spawn.actions[None], [seed])
        for _ in range(3 * seed):
            state, _ = world.step(state, [2])
        singles.append(state)
    batch = concat(singles)
    assert batch.frame_count.tolist() == [0, 3, 6, 9]
    rng = np.random.default_rng(0)
    for _ in range(12):
        actions = rng.integers(0, 4, 4).tolist()
        batch, frames = world.step(batch, actions)
        for row, state in enumerate(singles):
            singles[row], frame = world.step(state, [actions[row]])
            assert np.array_equal(frame[0], frames[row])
    for row, state in enumerate(singles):
        mine, alone = batch.select([row]).carry.tensors(), state.carry.tensors()
        assert all(torch.equal(mine[name], alone[name]) for name in alone)


def test_a_dream_that_is_put_in_goes_on_and_the_others_do_not_notice(tiny_world):
    world = load_world(tiny_world)
    spawn = world.spawns[0]
    start = world.reset(spawn.frames[None], spawn.actions[None], [7])
    batch, untouched = concat([start.fork([1]), start.fork([2])]), start.fork([2])
    batch, _ = world.step(batch, [2, 2])
    untouched, _ = world.step(untouched, [2])
    insert(batch, [0], start)
    batch, frames = world.step(batch, [0, 1])
    assert batch.frame_count.tolist() == [1, 2]
    assert np.array_equal(frames[0], world.step(start, [0])[1][0])
    assert np.array_equal(frames[1], world.step(untouched, [1])[1][0])


def test_what_is_observed_is_context(tiny_world):
    """Taking in a true frame later is having had it in the context."""
    world = load_world(tiny_world)
    spawn = world.spawns[0]
    whole = world.reset(spawn.frames[None], spawn.actions[None], [0])
    grown = world.reset(spawn.frames[None, :-1], spawn.actions[None, :-1], [0])
    grown = observe(world, grown, spawn.frames[-1:], spawn.actions[-1:])
    assert np.array_equal(world.step(whole, [2])[1], world.step(grown, [2])[1])
    with pytest.raises(ValueError, match="frames must be uint8"):
        observe(world, grown, spawn.frames[-1], [0])
    with pytest.raises(ValueError, match="actions must be 1, one per dream, got 2"):
        observe(world, grown, spawn.frames[-1:], [0, 1])
