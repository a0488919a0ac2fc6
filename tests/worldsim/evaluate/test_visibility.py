"""Visibility: figures of parts of pictures, the classifier, ways back, places least seen."""

from types import SimpleNamespace

import numpy as np
import pytest

from worldsim import ground_truth
from worldsim.actions import load_actions
from worldsim.evaluate import realism
from worldsim.evaluate.masked import masked_psnr, masked_sharpness, masked_spread
from worldsim.evaluate.returns import DreamedPlace, Place, compare_rounds, find_least_seen
from worldsim.evaluate.scripted_actions import (
    find_forward,
    measure_full_step,
    plan_full_turn,
    plan_there_and_back,
)

ACTIONS = load_actions("dmlab")


def test_only_the_pixels_of_the_mask_count():
    truth = np.full((2, 8, 8, 3), 100, np.uint8)
    dream, mask = truth.copy(), np.zeros((2, 8, 8), bool)
    dream[:, :, :4] = 200
    mask[0, :, :4], mask[1, :, 4:] = True, True
    wrong, right = masked_psnr(dream, truth, mask)
    assert wrong == pytest.approx(-20 * np.log10(100 / 255))
    assert right > 58
    assert np.isnan(masked_psnr(dream, truth, mask & False)).all()


def test_an_edge_of_the_mask_is_no_sharpness():
    frames = np.zeros((1, 8, 8, 3), np.uint8)
    frames[:, :, :4] = 200
    mask = np.zeros((1, 8, 8), bool)
    mask[:, :, :4] = True
    assert masked_sharpness(frames, mask) == 0
    assert masked_sharpness(frames, ~(mask & False)) > 10
    assert masked_spread(frames, mask) == pytest.approx(0)
    assert masked_spread(frames, ~(mask & False)) == pytest.approx(100)


def test_the_place_that_is_least_seen_is_found():
    unseen = np.linspace(0, 0.5, 100)
    unseen[39] = 0.9
    assert find_least_seen(unseen) == 40
    assert find_least_seen(np.zeros(8)) == 8


# ---- real or dreamt ----


def textures(seed, smooth, count=4, length=12):
    """Clips of noise in random colours; smooth ones hold still in blocks of 2 x 2."""
    rng = np.random.default_rng(seed)
    side = 32 if smooth else 64
    colours = rng.integers(60, 200, (count, 1, 1, 1, 3))
    noise = rng.integers(0, 2, (count, length, side, side, 1)) * colours
    zoom = 64 // side
    return noise.repeat(zoom, axis=2).repeat(zoom, axis=3).astype(np.uint8)


def test_a_dream_of_another_texture_is_told_from_the_truth():
    late = textures(2, True, length=4), textures(3, False, length=4)
    found = realism.score_by_age(
        textures(0, True), textures(1, False), (1, 12), rounds=40, late={99: late}
    )
    assert set(found) == {1, 12, 99}
    assert min(score.auc for score in found.values()) > 0.95
    assert found[12].accuracy > 0.9
    assert found[12].frames == 2 * 3


def test_the_truth_is_not_told_from_itself():
    true = textures(0, True)
    found = realism.score_by_age(true, true, (12,), rounds=10)[12]
    assert found.auc == found.accuracy == 0.5


def test_the_area_under_the_curve():
    assert realism.area_under_curve(np.array([2.0, 3]), np.array([0.0, 1])) == 1
    assert realism.area_under_curve(np.array([0.0, 3]), np.array([0.0, 4])) == 0.375


# ---- ways back ----


def test_a_random_walk_there_and_back_ends_where_it_began(engine):
    card = {"name": "small", "frame_size": 64, "action_set": "dmlab", "engine": "Maze-v0"}
    env = ground_truth.open_engine(SimpleNamespace(**card))
    ((episode, true),) = ground_truth.plays(env, 1, 40, "tuning", env.published_walker, at=20)
    rng = np.random.default_rng(0)
    way = plan_there_and_back(env, true.start, measure_full_step([episode]), 32, rng)
    frames, poses = true.run(way)
    assert len(way) == 2 * 32 + 16
    np.testing.assert_allclose(poses[-1], poses[0], atol=1e-4)
    np.testing.assert_array_equal(frames[-1], frames[0])
    assert np.linalg.norm(poses[:, :2] - poses[0, :2], axis=1).max() > 0.3, "it went nowhere"
    assert plan_there_and_back(SimpleNamespace(actions=ACTIONS), None, 0.38, 4, rng) is None


@pytest.mark.slow
def test_a_way_is_planned_in_the_dream_where_its_own_walls_are(bundled_world):
    """Planned in the engine, ways met walls that the dream had invented, and led elsewhere."""
    spawn = bundled_world.spawns[2]
    state = bundled_world.reset(spawn.frames[None], spawn.actions[None], [3])
    place, full = DreamedPlace(bundled_world, state, 1), 0.38  # cells a step
    before = place.start()[1]["pose"].copy()
    way = plan_there_and_back(
        place, place.start, full, 8, np.random.default_rng(1), slack=0.05 * full
    )
    place.start()
    went = np.array([before[:2], *(place.step(action)[-1]["pose"][:2].copy() for action in way)])
    steps = np.linalg.norm(np.diff(went, axis=0), axis=1)
    ahead = way[:8] == find_forward(bundled_world.actions)
    assert ahead.any()
    np.testing.assert_allclose(steps[:8][ahead], full, atol=0.06 * full)
    # on the way back a body may meet what was invented since: see the returns of its card
    assert np.linalg.norm(went[-1] - went[0]) < full


@pytest.mark.slow
def test_a_way_is_walked_in_the_dream_that_it_was_planned_in(bundled_world):
    """Planned before the look round, a way met what was invented since."""
    spawn, turn = bundled_world.spawns[2], plan_full_turn(bundled_world.actions)
    state = bundled_world.reset(spawn.frames[None], spawn.actions[None], [3])
    planned = []

    def plan(after):
        dreamt = DreamedPlace(bundled_world, after, 1)
        rng = np.random.default_rng(1)
        way = plan_there_and_back(dreamt, dreamt.start, 0.38, 8, rng, slack=0.05 * 0.38)
        poses = [dreamt.start()[1]["pose"]]
        poses += [dreamt.step(action)[-1]["pose"] for action in [*way, *turn]]
        planned.extend(pose[:2].copy() for pose in poses)
        return {"there and back": way}

    place = Place(state, None, 0)
    seen = np.ones((len(turn), *spawn.frames.shape[1:3]), bool)
    told = compare_rounds(bundled_world, place, plan, seen, SimpleNamespace(steps=1))
    went = np.linalg.norm(np.array(planned) - planned[0], axis=1)
    assert went.max() > 0.19
    assert told["there and back"]["off place"] == pytest.approx(went[-1], abs=1e-6)
    assert state.counts == [0]


def test_depth_is_told_only_where_it_is_wanted(engine):
    card = {"name": "small", "frame_size": 64, "action_set": "dmlab", "engine": "Maze-v0"}
    env = ground_truth.open_engine(SimpleNamespace(**card))
    with ground_truth.telling_depth(env):
        assert env.reset(seed=0)[1]["depth"].shape == (32, 32)
    assert "depth" not in env.reset(seed=0)[1]
