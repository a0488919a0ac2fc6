"""How far an action carries, by what stands around the body."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from envs.maze.engine import FORWARD
from envs.maze.layout import find_centre, make_layout, slide
from models.memory.odometry import (
    Odometry,
    OdometryConfig,
    compose_poses,
    encode_climb,
    find_stood,
    polar_grid,
    shorten_motion,
)
from models.memory.sizes import EMPTY, NOWHERE
from models.memory.stood import no_places
from tests.support.rooms import FOV, bank_of_looks
from worldsim.world.batch_invariant import make_batch_invariant

CFG = OdometryConfig(actions=4, sectors=8, rings=3, reach=0.9, width=32, prototypes=5)
TURNS = (0.4, -0.4, 0.0, 0.0)
STILL = torch.zeros(1)  # the last motion led neither up nor down


def grid_of(*points, pose=(0.0, 0.0, 0.0, 0.0), cfg=CFG):
    found = torch.tensor([points], dtype=torch.float32)
    known = torch.ones(found.shape[:2], dtype=torch.bool)
    return polar_grid(found, known, torch.tensor([pose]), cfg)[0]


def awake(cfg: OdometryConfig = CFG) -> Odometry:
    torch.manual_seed(0)
    odometry = Odometry(cfg, TURNS, FOV).requires_grad_(False)
    for weight in (odometry.motions, odometry.offset.weight):
        torch.nn.init.normal_(weight, std=0.2)
    make_batch_invariant(odometry)
    return odometry


def test_the_grid_by_hand():
    """Eight sectors of 45 degrees, counted to the left from straight ahead; three rings of 0.3."""
    grid = grid_of((0.4, 0.1, 0.0), (0.45, 0.1, 0.2), (-0.1, -0.1, 0.0))
    counts = torch.zeros(8, 3)
    counts[0, 1], counts[5, 0] = 2, 1
    assert torch.allclose(grid[:, :3], torch.log1p(counts) / 3)
    near = torch.zeros(8)
    near[0] = 1 - math.hypot(0.4, 0.1) / 0.9
    near[5] = 1 - math.hypot(0.1, 0.1) / 0.9
    assert torch.allclose(grid[:, 3], near)


@pytest.mark.parametrize(
    "point", [(1.0, 0.0, 0.0), (0.4, 0.1, -0.5), (0.4, 0.1, 0.5)], ids=["far", "floor", "above"]
)
def test_what_is_not_in_the_way_does_not_count(point):
    assert (grid_of(point) == 0).all()


def test_the_grid_turns_with_the_body():
    ahead = grid_of((0.4, 0.1, 0.0))
    turned = grid_of((2 - 0.1, 1 + 0.4, 0.3), pose=(2.0, 1.0, math.pi / 2, 0.3))
    assert torch.allclose(ahead, turned, atol=1e-5)


def test_bands_tell_a_step_from_a_wall():
    """Three bands of 0.3: a point of each height is counted in its own, and near there alone."""
    banded = replace(CFG, low=-0.45, bands=3)
    for band, height in enumerate((-0.3, 0.0, 0.3)):
        grid = grid_of((0.4, 0.1, height), cfg=banded).view(8, 3, 4)
        assert grid[0, band, 1] == pytest.approx(math.log(2) / 3)
        assert grid[0, band, 3] == pytest.approx(1 - math.hypot(0.4, 0.1) / 0.9)
        assert (grid.count_nonzero(), grid[0, band].count_nonzero()) == (2, 2)


def test_bands_together_are_what_one_band_counts():
    generator = torch.Generator().manual_seed(0)
    points = (torch.randn(60, 3, generator=generator) * 0.4).tolist()
    one = grid_of(*points)
    banded = grid_of(*points, cfg=replace(CFG, bands=4)).view(8, 4, 4)
    counts = torch.expm1(3 * banded[..., :3]).sum(dim=1)
    assert torch.allclose(counts, torch.expm1(3 * one[..., :3]), atol=1e-4)
    assert torch.equal(banded[..., 3].amax(dim=1), one[..., 3])


def test_a_climb_lies_between_two_knots():
    told = encode_climb(torch.tensor([0.0, 0.0375, -2.0]))
    assert torch.allclose(told.sum(dim=1), torch.ones(3))
    assert (told[0, 8], told[2, 0]) == (1, 1)
    assert told[1, 8:10].tolist() == pytest.approx([0.5, 0.5], abs=1e-5)


def test_a_body_that_rises_goes_on_otherwise_where_inertia_counts():
    scan = torch.rand(1, 8, 4, generator=torch.Generator().manual_seed(0))
    for inertia in (False, True):
        odometry = awake(replace(CFG, inertia=inertia))
        told = [odometry(scan, STILL + climb, torch.tensor([2]))[0] for climb in (0.0, 0.4)]
        assert torch.equal(*told) is not inertia


def test_points_that_are_not_known_do_not_count():
    points, known = torch.tensor([[[0.4, 0.1, 0.0]]]), torch.tensor([[False]])
    assert (polar_grid(points, known, torch.zeros(1, 4), CFG) == 0).all()


def test_nothing_stands_where_the_body_has_stood():
    """Seen from two places; beside them, above and below, points stay what they are."""
    cfg = replace(CFG, radius=0.2, feet=-0.4, head=0.1)
    places = torch.tensor([[[1.0, 0.0, 0.5], [2.0, 1.0, 0.5]]])
    points = torch.tensor(
        [[1.1, 0.1, 0.5], [1.1, 0.1, 0.0], [1.1, 0.1, 0.7], [1.3, 0.0, 0.5], [2.0, 1.15, 0.2]]
    )[None]
    assert find_stood(points, places, cfg).tolist() == [[True, False, False, False, True]]
    places[0, 1] = NOWHERE
    assert find_stood(points, places, cfg).tolist() == [[True, False, False, False, False]]


def test_places_one_by_one_are_all_places_at_once():
    """The slow twin: every point against every place."""
    generator = torch.Generator().manual_seed(0)
    points, places = (torch.randn(3, count, 3, generator=generator) for count in (500, 16))
    cfg = replace(CFG, radius=0.4, feet=-0.5, head=0.3)
    apart = points.unsqueeze(2) - places.unsqueeze(1)
    beside, above = apart[..., :2].square().sum(dim=3), apart[..., 2]
    inside = (beside < cfg.radius**2) & (above > cfg.feet) & (above < cfg.head)
    assert 0.05 < inside.any(dim=2).float().mean() < 0.95
    assert torch.equal(find_stood(points, places, cfg), inside.any(dim=2))


def test_a_scan_leaves_out_where_the_body_has_stood():
    """The newest frame's depth says that a wall stands in the body's own way."""
    seen = torch.full((1, 8, 8), 1 / 0.38)
    scans = []
    for radius in (0.0, 0.2):
        odometry = awake(replace(CFG, radius=radius))
        bank = bank_of_looks(torch.tensor([[2.9, 0.0, 0.0, 0.0]]), 16)
        bank.fresh.zero_()
        stood = no_places(1, torch.device("cpu"))
        stood[0, 5] = torch.tensor([2.9, 0.0, 0.0])
        scans.append(odometry.scan(bank, torch.tensor([[2.5, 0.0, 0.0, 0.0]]), seen, stood))
    assert scans[0].sum() > scans[1].sum()


@pytest.mark.parametrize("wrong", [{"radius": -0.1}, {"radius": 0.9}, {"feet": 0.5}])
def test_a_body_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        replace(CFG, **wrong)


def test_mirrored_points_flip_the_sectors():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(1, 60, 3, generator=generator) * 0.4
    known, pose = torch.ones(1, 60, dtype=torch.bool), torch.zeros(1, 4)
    mirrored = points * torch.tensor([1.0, -1.0, 1.0])
    flipped = polar_grid(points, known, pose, CFG).flip(1)
    assert torch.allclose(polar_grid(mirrored, known, pose, CFG), flipped, atol=1e-6)


def test_poses_compose_by_hand():
    """Two ahead and one to the left while facing +y, then a turn."""
    pose = torch.tensor([[1.0, 1.0, math.pi / 2, 0.5]])
    moved = compose_poses(pose, torch.tensor([[2.0, 1.0, 0.25]]), torch.tensor([0.4]))
    expected = torch.tensor([[0.0, 3.0, math.pi / 2 + 0.4, 0.75]])
    assert torch.allclose(moved, expected, atol=1e-6)


def test_an_action_that_is_not_there_does_not_move():
    odometry = awake()
    scan = odometry.scan(bank_of_looks(torch.zeros(1, 4), 16), torch.zeros(1, 4), None)
    assert (odometry.predict_motion(scan, STILL, torch.tensor([-1])) == 0).all()
    assert (odometry.predict_motion(scan, STILL, torch.tensor([2])) != 0).any()


def test_a_chosen_motion_is_one_of_the_prototypes_and_its_offset():
    odometry = awake()
    scan = odometry.scan(bank_of_looks(torch.zeros(1, 4), 16), torch.zeros(1, 4), None)
    logits, motions = odometry(scan, STILL, torch.tensor([2]))
    chosen = odometry.predict_motion(scan, STILL, torch.tensor([2]))
    assert torch.equal(chosen[0], motions[0, logits[0].argmax()])


@torch.no_grad()
def test_rows_are_what_they_are_alone():
    """Of a bank with points, of an empty one, and of another pose."""
    odometry, generator = awake(), torch.Generator().manual_seed(0)
    looks = torch.tensor([[2.8, 0.0, 0.2, 0.0], [2.5, 1.0, 2.0, 0.1]])
    bank = bank_of_looks(looks, 16).map(lambda part, _: part.repeat(3, *[1] * (part.dim() - 1)))
    bank.ids[1] = EMPTY
    poses = torch.tensor([[2.7, 0.1, 0.3, 0.0], [0.0, 0.0, 0.0, 0.0], [2.4, 0.9, 1.0, 0.1]])
    newest, actions = torch.rand(3, 8, 8, generator=generator) + 0.2, torch.tensor([2, 0, 1])
    climb = torch.tensor([0.0, 0.4, -0.2])
    together = odometry.predict_motion(odometry.scan(bank, poses, newest), climb, actions)
    for row in range(3):
        at = slice(row, row + 1)
        scan = odometry.scan(bank.map(lambda part, _, at=at: part[at]), poses[at], newest[at])
        alone = odometry.predict_motion(scan, climb[at], actions[at])
        assert torch.equal(alone[0], together[row])


def motion_in_maze(walls, place, heading, share):
    """Where the maze's own body comes with a part of a step, ahead and to the left."""
    x, y = place
    length = share * FORWARD
    ended = slide(walls, x, y, length * math.cos(heading), length * math.sin(heading))
    east, north = ended[0] - x, ended[1] - y
    cos, sin = math.cos(heading), math.sin(heading)
    return [east * cos + north * sin, north * cos - east * sin, 0.0]


def test_a_part_of_a_step_stops_and_slides_where_the_mazes_body_does():
    """Of whole steps at random walls, parts of them: 9 of 10 come out to a thousandth of a cell,
    and none differs by a quarter of a step; parts of blocked steps in proportion would.
    """
    rng, whole, shares, wanted = np.random.default_rng(0), [], [], []
    for _ in range(12):
        layout = make_layout(rng)
        cells = layout.free_cells()
        for _ in range(60):
            place, heading = find_centre(cells[rng.integers(len(cells))]), rng.uniform(0, math.tau)
            for _ in range(3):
                away = rng.uniform(0, math.tau)
                step = FORWARD * math.cos(away), FORWARD * math.sin(away)
                place = slide(layout.walls, *place, *step)
            share = rng.uniform(0.05, 0.95)
            shares.append(share)
            whole.append(motion_in_maze(layout.walls, place, heading, 1.0))
            wanted.append(motion_in_maze(layout.walls, place, heading, share))
    whole, wanted, shares = map(torch.tensor, (whole, wanted, shares))
    blocked = whole[:, 0] < FORWARD - 0.05
    assert blocked.float().mean() > 0.2
    apart = (shorten_motion(whole, shares, torch.tensor(FORWARD)) - wanted).norm(dim=1)
    assert apart[blocked].quantile(0.9) < 0.001
    assert apart.max() < 0.25 * FORWARD
    scaled = (whole * shares.unsqueeze(1) - wanted).norm(dim=1)
    assert apart[blocked].mean() < 0.3 * scaled[blocked].mean()


def test_parts_of_steps_by_hand():
    """Free; stopped at 30 %; in front of a wall; along a wall at 45 degrees; up a stair."""
    full = torch.tensor(0.4)
    whole = [[0.4, 0, 0], [0.12, 0, 0], [0, 0, 0], [0.2, 0.2, 0], [0.4, 0, 0.3], [0.396, 0.001, 0]]
    half = [[0.2, 0, 0], [0.12, 0, 0], [0, 0, 0], [0.1, 0.1, 0], [0.2, 0, 0.3], [0.198, 0.0005, 0]]
    whole = torch.tensor(whole)
    assert torch.allclose(shorten_motion(whole, torch.full((6,), 0.5), full), torch.tensor(half))
    short = shorten_motion(whole, torch.full((6,), 0.1), full)
    assert torch.allclose(short[:3, 0], torch.tensor([0.04, 0.04, 0.0]))
    assert torch.equal(shorten_motion(whole, torch.ones(6), full), whole)
