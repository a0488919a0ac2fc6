"""Dreams in one batch, where one of them runs away, and where memories do not fit together."""

import numpy as np
import pytest

from tests.support.serving import dream_alone
from worldsim.serve.dreams import DreamBatch
from worldsim.world.base import RAN_AWAY
from worldsim.world.model import load_world


@pytest.fixture
def world(tiny_spatial_world):
    return load_world(tiny_spatial_world)


def step_all(batch, dreams, actions):
    for dream, action in zip(dreams, actions, strict=True):
        dream.ask(action)
    return batch.step(dreams)


def test_who_runs_away_takes_nobody_along(world):
    """A forward that fails has used up every memory of its batch."""
    batch = DreamBatch(world)
    dreams = [batch.begin(number, number) for number in range(3)]
    for action in (2, 0, 2, 1, 2):
        assert step_all(batch, dreams, [action] * 3) == {}
    real = world.step

    def run_away(state, actions, steps):
        told = real(state, actions, steps)
        if 1 in state.seeds:
            raise ValueError(RAN_AWAY)
        return told

    world.step = run_away
    assert step_all(batch, dreams, [3, 3, 3]) == {dreams[1]: RAN_AWAY}
    world.step = real
    batch.rewind(dreams[1], dreams[1].history.last)
    assert [dream.count for dream in dreams] == [6, 5, 6]
    while dreams[1].ahead:
        batch.step([dreams[1]])
    assert step_all(batch, dreams, [1, 1, 1]) == {}
    for number, (dream, moves) in enumerate(zip(dreams, ([3, 1], [1], [3, 1]), strict=True)):
        wanted = dream_alone(world, number, number, [2, 0, 2, 1, 2, *moves])[-1]
        assert np.array_equal(dream.frame, wanted)


def test_going_back_far_makes_few_moves_again(world):
    batch, moves = DreamBatch(world), [number % 4 for number in range(50)]
    dream = batch.begin(0, 3)
    for move in moves:
        step_all(batch, [dream], [move])
    for number in (49, 17, 0):
        batch.rewind(dream, number)
        assert len(dream.ahead) < 32
        assert dream.count == number
    with pytest.raises(ValueError, match=r"step must be in \[0, 0\], got 1"):
        batch.rewind(dream, 1)
    assert step_all(batch, [dream], [2]) == {}
    assert np.array_equal(dream.frame, dream_alone(world, 0, 3, [2])[-1])


def test_memories_that_do_not_fit_together_are_stepped_one_by_one(world, monkeypatch):
    def refuse(states):
        raise ValueError("this network's dreams cannot be at different frames in one batch")

    monkeypatch.setattr("worldsim.serve.dreams.concat", refuse)
    batch = DreamBatch(world)
    dreams = [batch.begin(0, 0), batch.begin(0, 1)]
    assert step_all(batch, dreams, [2, 2]) == {}
    assert not batch.together
    for seed, dream in enumerate(dreams):
        assert np.array_equal(dream.frame, dream_alone(world, 0, seed, [2])[-1])


def test_a_memory_that_is_forgotten_is_gone(world):
    batch = DreamBatch(world)
    dreams = [batch.begin(0, 0), batch.begin(0, 1)]
    step_all(batch, dreams, [2, 2])
    batch.forget(dreams[0])
    assert dreams[0].state is None
    assert step_all(batch, dreams[1:], [1]) == {}
    assert np.array_equal(dreams[1].frame, dream_alone(world, 0, 1, [2, 1])[-1])
