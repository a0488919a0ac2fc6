"""Bits of true frames: what a world expects costs less, and a world without labels says so."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from worldsim.evaluate.likelihood import NO_LIKELIHOOD, measure
from worldsim.evaluate.open_loop import start_recorded
from worldsim.evaluate.protocol import quick
from worldsim.evaluate.table import lines
from worldsim.types import Episode, EpisodeMeta
from worldsim.world.batching import observe
from worldsim.world.model import load_world

CONTEXT, TOLD, LABELS = 5, 4, (1, 4, 16)


@pytest.fixture(scope="module")
def world(tiny_videoar_spatial_world):
    return load_world(tiny_videoar_spatial_world)


@pytest.fixture(scope="module")
def made(world):
    rng = np.random.default_rng(0)
    meta = EpisodeMeta(source="noise", action_set="dmlab", fps=7.5)
    size = world.card.frame_size
    episodes = [
        Episode(
            frames=rng.integers(0, 256, (CONTEXT + TOLD, size, size, 3)).astype(np.uint8),
            actions=rng.integers(0, 4, CONTEXT + TOLD - 1),
            rewards=np.zeros(CONTEXT + TOLD - 1, np.float32),
            meta=meta,
        )
        for _ in range(3)
    ]
    return start_recorded(world, episodes, CONTEXT, batch=2)


def test_bits_of_every_scale_add_up_to_a_frame(world, made):
    found = measure(world, made, quick())
    assert found["frames"] == 3 * TOLD
    scales = found["scales"]
    assert found["a frame"]["bits"] == pytest.approx(sum(s["bits"] for s in scales.values()))
    assert found["a frame"]["low"] <= found["a frame"]["bits"] <= found["a frame"]["high"]
    assert all(0 <= s["likeliest"] <= 1 for s in scales.values())


def test_a_world_that_knows_nothing_pays_for_a_guess(world, made, monkeypatch):
    """16 labels: four bits for each cell of each scale."""
    out = world.dynamics.scales.network.out
    monkeypatch.setattr(out.weight, "data", torch.zeros_like(out.weight))
    monkeypatch.setattr(out.bias, "data", torch.zeros_like(out.bias))
    scales = measure(world, made, quick())["scales"]
    assert [s["bits"] for s in scales.values()] == pytest.approx([4.0 * n for n in LABELS])


def test_frames_are_followed_one_by_one(world, made):
    """The second batch by hand: asked before it is seen."""
    (episode,), state = made[1].episodes, made[1].state()
    costs = []
    for t in range(CONTEXT, CONTEXT + TOLD):
        here = episode.frames[t][None], episode.actions[t - 1][None]
        costs.append(world.measure_bits(state, *here)[0].sum())
        state = observe(world, state, *here)
    assert measure(world, made[1:], quick())["a frame"]["bits"] == pytest.approx(np.mean(costs))


def test_asking_does_not_move_a_dream(world, made):
    state = made[0].state()
    before = {name: t.clone() for name, t in state.carry.tensors().items()}
    frames = np.stack([episode.frames[CONTEXT] for episode in made[0].episodes])
    world.measure_bits(state, frames, np.array([2, 2]))
    for name, tensor in state.carry.tensors().items():
        assert torch.equal(tensor, before[name]), name


def test_a_regressed_frame_has_no_likelihood(made):
    assert measure(SimpleNamespace(dynamics=None), made, quick()) == {"skipped": NO_LIKELIHOOD}


def test_the_table_has_a_line_for_every_scale(world, made):
    report = {"world": "w", "hash": "0" * 64, "steps": 4, "verdicts": [], "episodes": 3}
    told = lines(
        report | {"protocol": {"episodes": 3}, "likelihood": measure(world, made, quick())}
    )
    assert sum("scale " in line for line in told) == 3
    assert any(line.split()[:2] == ["a", "frame"] for line in told)
