"""A dream among others is the dream alone, to the last bit; so is the arithmetic it is made of."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from worldsim.world import batch_invariant
from worldsim.world.batch_invariant import RowLinear, make_batch_invariant
from worldsim.world.batching import concat, insert, observe
from worldsim.world.model import load_world


@pytest.mark.parametrize("shape", [(5, 1, 192), (5, 2, 192), (16, 16, 192), (3, 1, 4, 192)])
def test_every_row_is_what_it_is_alone(shape):
    """Sixteen single rows in one product differ from sixteen products, on most machines."""
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(192, 96), torch.randn(shape)
    alone = torch.cat([layer(row.clone()) for row in x.split(1)])
    make_batch_invariant(layer)
    with torch.no_grad():
        assert torch.equal(layer(x), alone)


def test_a_shape_that_differs_is_taken_row_by_row(monkeypatch):
    layer = RowLinear(8, 4)
    monkeypatch.setattr(batch_invariant, "_trials", {})
    monkeypatch.setattr(RowLinear, "_batched", lambda self, x: F.linear(x, self.weight) + 1e-3)
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
    with pytest.raises(ValueError, match="what is observed should be"):
        observe(world, grown, spawn.frames[-1], [0])
    with pytest.raises(ValueError, match="2 actions for 1 dreams"):
        observe(world, grown, spawn.frames[-1:], [0, 1])
