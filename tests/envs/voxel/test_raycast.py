"""Rays through blocks: known scenes by hand, and the leaping march against one node at a time."""

import math

import numpy as np
import pytest

from envs.voxel import raycast
from envs.voxel.raycast import AIR, CUBE, Land, cast_directions, measure_free_space
from envs.voxel.server_dir import FIELD_OF_VIEW, VIEW
from envs.voxel.textures import SIDE, read_plant_shapes

NAMES = (AIR, CUBE, "fern", "tall_grass")
TAN = math.tan(math.radians(FIELD_OF_VIEW) / 2)


def below(count):
    """How far below the middle each row of parts is seen, one block ahead."""
    return TAN * (2 * np.arange(count) + 1 - count) / count


def test_a_flat_floor_deepens_with_the_rows_and_fog_ends_the_view():
    """The floor's top lies at y = 0.5, the eye 1.62 above it, whichever way it looks."""
    nodes = np.zeros((161, 6, 161), np.uint8)
    nodes[:, 0] = 1
    land = Land(nodes, (-80, 0, -80), NAMES)
    down = below(64)[:, None]
    for heading in (0, 40, 180, 300):
        depth = land.depth((0.2, 2.12, -0.3), heading, 64)
        assert depth.dtype == np.float32
        floor = np.divide(1.62, down, where=down > 0, out=np.full_like(down, np.inf))
        seen = floor * np.sqrt(1 + down**2 + below(64) ** 2) < VIEW
        np.testing.assert_allclose(depth, np.where(seen, floor, VIEW), rtol=1e-5)


@pytest.mark.parametrize(("heading", "ahead"), [(0, 5.2), (90, 5.3), (180, 4.8), (270, 4.7)])
def test_the_walls_of_a_room_are_as_deep_as_they_are_far(heading, ahead):
    """It reaches from -4.5 to 5.5 both ways; west is 90 degrees counter-clockwise from north."""
    nodes = np.ones((12, 9, 12), np.uint8)
    nodes[1:-1, 1:-1, 1:-1] = 0
    depth = Land(nodes, (-5, -4, -5), NAMES).depth((0.8, 0, 0.3), heading, 64)
    np.testing.assert_allclose(depth[30:34, 30:34], ahead, rtol=1e-6)


def test_a_ray_through_edges_and_corners_of_nodes_arrives():
    """From a node's corner, 45 degrees across and up: two or three borders at once, all the way."""
    nodes = np.zeros((30, 30, 30), np.uint8)
    nodes[20] = nodes[:, 20] = nodes[..., 20] = 1
    land = Land(nodes, (0, 0, 0), NAMES)
    for way in ((1.0, 1.0, 1.0), (1.0, 1e-9, 1.0), (1.0, 1 / 3, 1 / 3), (0.5, 0.1, 0.5)):
        ways = np.array(way)[:, None]
        for eye in np.array([(10.5, 10.5, 10.5), (10.1, 10.7, 10.3)]):
            first = np.floor(eye + 0.5)
            origin = (eye + 0.5 - first)[:, None]
            found, _ = land._march(first + 1, origin, ways, np.array([VIEW]))
            expected = ((19.5 - eye) / way).min()
            np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_the_picture_is_not_mirrored():
    """Looking north, a block to the east stands on the right, one that hangs high stands above."""
    nodes = np.zeros((20, 20, 20), np.uint8)
    nodes[15, 10, 12] = nodes[15, 13, 10] = 1
    depth = Land(nodes, (-10, -10, -10), NAMES).depth((0, 0, 0), 0, 64)
    rows, columns = np.nonzero(depth < VIEW)
    assert depth.min() == 4.5  # the south faces; some of the others are seen too
    assert {(row < 24, column > 40) for row, column in zip(rows, columns, strict=True)} == {
        (True, False),
        (False, True),
    }


def test_a_plant_is_seen_where_it_is_drawn(monkeypatch):
    """Two squares that cross in the middle; only the upper half of their picture is opaque."""
    shape = np.zeros((SIDE, SIDE), bool)
    shape[: SIDE // 2] = True
    monkeypatch.setattr(raycast, "read_plant_shapes", lambda: {"fern": shape})
    nodes = np.zeros((20, 5, 20), np.uint8)
    nodes[12, 2, 10] = NAMES.index("fern")
    depth = Land(nodes, (-10, -2, -10), NAMES).depth((0, 0, 0), 0, 128)
    assert depth.min() > 2 - 0.5 * math.sin(math.radians(46))
    np.testing.assert_allclose(depth[63, 63:65], 2, atol=0.03)
    assert (depth[64:] == VIEW).all()
    # as wide as the square's ends stand apart, seen from two blocks
    wide = (depth[63] < VIEW).sum() / 128 * 2 * TAN
    assert 0.3 < wide < 0.5


def test_unbuilt_land_and_an_eye_beyond_it_see_nothing():
    land = Land(np.zeros((4, 4, 4), np.uint8), (0, 0, 0), NAMES)
    assert (land.depth((1, 1, 1), 0, 8) == VIEW).all()
    assert (land.depth((1, 99, 1), 0, 8) == VIEW).all()
    assert (land.depth((-99, 1, 1), 0, 8) == VIEW).all()


def test_free_space_is_the_nearest_taken_cell_either_way():
    taken = np.random.default_rng(0).random((9, 10, 11)) < 0.01
    free = measure_free_space(taken, most=4)
    places = np.argwhere(taken)
    for cell in np.ndindex(taken.shape):
        nearest = abs(places - cell).max(axis=1).min()
        assert free[cell] == min(nearest, 4)


def slow_ray(nodes, eye, way):
    """How far a ray goes from an eye in the nodes' own frame: one node at a time."""
    cell, time = [math.floor(place) for place in eye], 0.0
    limit = VIEW / math.hypot(*way)
    while time < limit:
        x, y, z = cell
        if not all(0 <= at < side for at, side in zip((z, y, x), nodes.shape, strict=True)):
            break
        if NAMES[nodes[z, y, x]] == CUBE:
            return time
        if nodes[z, y, x]:
            met = slow_plant(read_plant_shapes()[NAMES[nodes[z, y, x]]], eye, way, cell)
            if met < limit:
                return met
        times = [(cell[axis] + (way[axis] > 0) - eye[axis]) / way[axis] for axis in range(3)]
        axis = int(np.argmin(times))
        time = times[axis]
        cell[axis] += 1 if way[axis] > 0 else -1
    return VIEW


def slow_plant(shape, eye, way, cell):
    """Both squares, turned so that each lies along x."""
    met = math.inf
    for degrees in (46, -44):
        turn = complex(math.cos(math.radians(degrees)), -math.sin(math.radians(degrees)))
        place = complex(eye[0] - cell[0] - 0.5, eye[2] - cell[2] - 0.5) * turn
        step = complex(way[0], way[2]) * turn
        time = -place.imag / step.imag
        across, high = (place + time * step).real + 0.5, eye[1] + time * way[1] - cell[1]
        if time > 0 and 0 <= across < 1 and 0 < high <= 1:
            row, column = int((1 - high) * SIDE), int(across * SIDE)
            met = min(met, time) if shape[row, column] else met
    return met


@pytest.mark.parametrize("seed", range(4))
def test_leaping_finds_what_going_node_by_node_finds(seed):
    rng = np.random.default_rng(seed)
    nodes = np.zeros((60, 20, 60), np.uint8)
    nodes[rng.random(nodes.shape) < 0.01] = 1
    nodes[:, 0] = 1
    nodes[:, 1][rng.random((60, 60)) < 0.2] = 2 + seed % 2
    eye = rng.uniform((20, 1.5, 20), (40, 6, 40))
    nodes[int(eye[2]), int(eye[1]), int(eye[0])] = 0
    heading = 20 * int(rng.integers(18))
    found = Land(nodes, (0, 0, 0), NAMES).depth(eye - 0.5, heading, 24)
    ways = cast_directions(heading, 24).T
    slow = np.array([slow_ray(nodes, eye, way) for way in ways]).reshape(24, 24)
    np.testing.assert_allclose(found, slow, rtol=1e-5)
    assert (slow < VIEW).mean() > 0.3
