"""Which place a pixel shows: against the true maze, against torch's camera, and what is refused."""

import math

import numpy as np
import pytest

from worldsim.world.depth_view import DepthView, read_depth_view
from worldsim.world.opening import open_world


def find_wall(walls, pose, angle):
    """Where a ray from a pose, turned by an angle, first meets a wall of a maze; in small steps."""
    x, y, heading = pose
    for length in np.arange(0, 20, 1e-3):
        at = x + length * math.cos(heading + angle), y + length * math.sin(heading + angle)
        if walls[len(walls) - 1 - math.floor(at[1]), math.floor(at[0])]:
            return at
    raise AssertionError("the maze is open")


@pytest.mark.parametrize("seed", range(4))
def test_a_clicked_pixel_is_the_true_place_in_the_maze(engine, seed):
    """The wall that a ray meets in the plan of the maze, and a floor that the eye's height tells.

    A sign, half a pixel or the field of view gone wrong would lead the body elsewhere.
    """
    import gymnasium

    from envs.maze.scene import EYE_HEIGHT

    env = gymnasium.make("Maze-v0", depth=True)
    _, info = env.reset(seed=seed)
    base = env.unwrapped
    view = DepthView(1 / info["depth"], info["pose"], base.field_of_view, base.far)
    size, walls = len(view.inverse_depth), base.clone_state().layout.walls
    half = math.tan(math.radians(view.field_of_view / 2))
    checked = 0
    for column in range(size):
        across = (column + 0.5) / size
        angle = math.atan((1 - 2 * across) * half)
        true = find_wall(walls, info["pose"].tolist(), angle)
        found = view.locate(across, 0.5 - 0.5 / size)  # the horizon: no floor and no sky there
        checked += math.dist(found, true) < 0.05
        ahead = EYE_HEIGHT / ((1 - 1 / size) * half)  # of the floor in the lowest row of pixels
        x, y, heading = info["pose"].tolist()
        length = ahead / math.cos(angle)
        floor = x + length * math.cos(heading + angle), y + length * math.sin(heading + angle)
        if length < math.dist((x, y), true):
            assert view.locate(across, 1 - 0.5 / size) == pytest.approx(floor, abs=0.03)
    assert checked >= size - 2  # depth at an edge of a wall is between two walls
    env.close()


def test_it_is_what_the_memory_makes_of_the_same_pixel():
    import torch

    from models.memory.pinhole import unproject

    depth = np.random.default_rng(0).uniform(0.5, 9, (8, 8)).astype(np.float32)
    view = DepthView(1 / depth, np.float32([1.0, -2.0, 0.7]), 73.0, 30.0)
    pose = torch.tensor([1.0, -2.0, 0.7, 0.0])
    points = unproject(torch.from_numpy(depth), pose, 73.0).numpy()
    for row in range(8):
        for column in range(8):
            found = view.locate((column + 0.5) / 8, (row + 0.5) / 8)
            assert found == pytest.approx(points[row, column, :2].tolist(), abs=1e-4)


def test_the_sky_is_no_place_and_neither_is_what_lies_outside():
    view = DepthView(np.full((4, 4), 1 / 30, np.float32), np.zeros(3, np.float32), 73.0, 30.0)
    with pytest.raises(ValueError, match="too far to walk to"):
        view.locate(0.5, 0.1)
    with pytest.raises(ValueError, match="must be in"):
        view.locate(1.0, 0.5)


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_a_dream_in_space_has_a_view_of_its_newest_frame(
    tiny_spatial_world, exported_world, runtime
):
    folder = {"torch": tiny_spatial_world, "onnx": exported_world}[runtime]
    world = open_world(folder, "cpu", runtime)
    spawn = world.spawns[0]
    state = world.reset(spawn.frames[None], spawn.actions[None], [0])
    before = read_depth_view(world, state)
    state, _ = world.step(state, [0])
    view = read_depth_view(world, state)
    assert view.inverse_depth.shape == before.inverse_depth.shape
    assert not np.array_equal(view.inverse_depth, before.inverse_depth)
    assert np.array_equal(view.inverse_depth, np.asarray(state.carry.inverse_depth[0]))
    assert np.array_equal(view.pose, state.poses[0])
    told = world.card.settings
    assert view.field_of_view == told["memory"]["field_of_view"]
    assert view.far == told["depth"]["far"]


def test_other_dreams_have_none(make_fake_world):
    world = make_fake_world()
    spawn = world.spawns[0]
    state = world.reset(spawn.frames[None], spawn.actions[None], [0])
    assert read_depth_view(world, state) is None
