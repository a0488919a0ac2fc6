"""Maze-v0: the Gymnasium contract, the same pixels for the same seed, and walls that hold."""

import hashlib
import math
import subprocess
import sys
import threading

import cv2
import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import worldsim  # noqa: F401  registers the environments
from envs.maze import scene
from envs.maze.engine import FORWARD, MazeEnv, MazeState
from envs.maze.layout import (
    BODY_RADIUS,
    GRID,
    find_cell,
    find_centre,
    list_floor_textures,
    list_wall_textures,
    make_layout,
    measure_distances,
    slide,
)
from envs.maze.walker import GoalWalker, RandomWalker, Resting

LEFT, RIGHT, FORWARD_ID, STAND = range(4)


@pytest.fixture
def env():
    env = MazeEnv()
    env.reset(seed=0)
    return env


def room(width=1):
    """A maze of walls with a row of free cells, `width` long, from cell (4, 4) on."""
    layout = make_layout(np.random.default_rng(0))
    layout.walls[:] = True
    layout.walls[4, 4 : 4 + width] = False
    return layout


def play(env, seed, actions):
    frames = [env.reset(seed=seed)[0]]
    return np.stack(frames + [env.step(action)[0] for action in actions])


def test_it_is_a_gymnasium_environment():
    check_env(gymnasium.make("Maze-v0", render_mode="rgb_array").unwrapped)


def test_made_by_name_it_knows_its_actions_and_rate():
    env = gymnasium.make("Maze-v0", size=128)
    assert env.observation_space.shape == (128, 128, 3)
    assert env.unwrapped.actions.name == "dmlab"
    assert env.action_space.n == 4
    assert env.metadata["render_fps"] == 7.5
    assert env.unwrapped.get_keys_to_action()[(ord("w"),)] == FORWARD_ID


def test_same_seed_and_actions_give_the_same_pixels():
    actions = [LEFT, FORWARD_ID, FORWARD_ID, RIGHT, STAND, FORWARD_ID] * 5
    first, second = (play(MazeEnv(), 5, actions) for _ in range(2))
    assert (first == second).all()
    assert (first != play(MazeEnv(), 6, actions)).any(axis=(1, 2, 3)).all()


PLAY = """
import hashlib, worldsim
from envs.maze.engine import MazeEnv
env = MazeEnv()
hash = hashlib.sha256(env.reset(seed=5)[0].tobytes())
for action in [0, 2, 2, 1, 3, 2] * 3:
    hash.update(env.step(action)[0].tobytes())
print(hash.hexdigest())
"""


def test_another_process_sees_the_same_pixels():
    """An order taken from a set or a hash would differ from process to process."""
    here = hashlib.sha256(play(MazeEnv(), 5, [0, 2, 2, 1, 3, 2] * 3).tobytes()).hexdigest()
    there = subprocess.run([sys.executable, "-c", PLAY], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here
    assert there.stderr == ""


def test_both_sizes_show_the_same_view():
    small, large = MazeEnv(64).reset(seed=1)[0], MazeEnv(128).reset(seed=1)[0]
    assert small.shape == (64, 64, 3)
    assert large.shape == (128, 128, 3)
    shrunk = cv2.resize(large, (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - small).mean() < 8


def test_environments_that_take_turns_do_not_disturb_each_other():
    """They share one model, which shows one maze at a time."""
    alone = [play(MazeEnv(), seed, [FORWARD_ID] * 4) for seed in (1, 2)]
    envs = [MazeEnv(), MazeEnv()]
    together = [[env.reset(seed=seed)[0]] for env, seed in zip(envs, (1, 2), strict=True)]
    for _ in range(4):
        for env, frames in zip(envs, together, strict=True):
            frames.append(env.step(FORWARD_ID)[0])
    assert (np.array(alone) == np.array(together)).all()


def test_another_thread_may_step_it(env):
    """A GL context belongs to the thread that made it."""
    want = env.step(STAND)[0]
    got = []
    thread = threading.Thread(target=lambda: got.append(env.step(STAND)[0]))
    thread.start()
    thread.join()
    assert (got[0] == want).all()


def test_every_frame_and_pose_is_a_fresh_array(env):
    frame, *_, info = env.step(STAND)
    frame[:], info["pose"][:] = 0, 0
    again, *_, later = env.step(STAND)
    assert again.any()
    assert later["pose"].any()


PIXEL = 2 * math.tan(math.radians(scene.FIELD_OF_VIEW) / 2) / 64  # a pixel's height one cell away


def stand(env, layout, x, y, heading):
    """Frame and depth of a place in a maze of ours."""
    frame, info = env.restore_state(MazeState(layout, x, y, heading))
    return frame, info["depth"]


def test_a_wall_straight_ahead_is_as_deep_all_over():
    """Looking along +x from (4.5, 4.5) in the row of free cells from 4 to 6: its end is at 7."""
    _, depth = stand(MazeEnv(depth=True), room(3), 4.5, 4.5, 0)
    assert depth.dtype == np.float32
    assert depth.shape == (32, 32)
    wall = depth[14:18, 14:18]  # the middle 8 x 8 pixels: at 2.5 cells the end is 27 pixels wide
    np.testing.assert_allclose(wall, 2.5, rtol=1e-3)


@pytest.mark.parametrize("size", [64, 128])
def test_the_floor_deepens_with_the_rows_and_the_sky_is_far(size):
    """Row r of blocks is seen (2r + 1 - n/2) pixels below the middle; the eye is half a cell high.
    An open hall of 7 x 7: along +x from (1.5, 4.5) the wall at x = 8 is 6.5 cells away.
    """
    layout = room()
    layout.walls[1:-1, 1:-1] = False
    frame, depth = stand(MazeEnv(size=size, depth=True), layout, 1.5, 4.5, 0)
    rows = np.arange(size // 2)
    below = (2 * rows + 1 - size / 2) * PIXEL * 64 / size
    floor = below > 0.5 / 4.7  # farther off the walls at y = 1 and y = 8 stand in the corners
    expected = np.repeat(0.5 / below[floor, None], size // 2, axis=1)
    np.testing.assert_allclose(depth[floor], expected, rtol=1e-3)
    np.testing.assert_allclose(depth[size // 4, size // 4], 6.5, rtol=1e-3)
    sky = (frame.reshape(size // 2, 2, size // 2, 2, 3) == scene.SKY).all(axis=(1, 3, 4))
    assert sky.any()
    assert (depth[sky] == MazeEnv.far).all()
    assert (depth[:, size // 4][below > -0.5 / 6.6] < MazeEnv.far).all()


def test_depth_changes_no_picture_and_goes_with_it():
    actions = [STAND, FORWARD_ID, STAND, LEFT, FORWARD_ID, RIGHT] * 3
    assert (play(MazeEnv(depth=True), 5, actions) == play(MazeEnv(), 5, actions)).all()
    assert "depth" not in MazeEnv().reset(seed=5)[1]
    env = MazeEnv(depth=True)
    env.reset(seed=5)
    env.step(FORWARD_ID)
    clone, (_, *_, info) = env.clone_state(), env.step(STAND)
    first, kept = info["depth"], info["depth"].copy()
    assert (env.step(LEFT)[4]["depth"] != first).any()
    again = env.restore_state(clone)[1]["depth"]
    assert (again == kept).all()
    again[:] = 0
    assert (env.step(STAND)[4]["depth"] == kept).all()
    assert (first == kept).all()


def test_a_vector_of_mazes_tells_each_depth():
    vector = gymnasium.make_vec("Maze-v0", 2, vectorization_mode="sync", depth=True)
    info = vector.reset(seed=7)[1]
    single = [MazeEnv(depth=True).reset(seed=7 + number)[1]["depth"] for number in range(2)]
    assert (info["depth"] == np.stack(single)).all()
    vector.close()


def test_the_global_generator_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    MazeEnv().reset(seed=0)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_a_full_turn_comes_back_to_the_same_picture(env):
    frames = [env.step(LEFT) for _ in range(16)]
    assert (frames[-1][0] == env.step(STAND)[0]).all()
    headings = [info["pose"][2] for *_, info in frames]
    turns = np.diff(headings) % math.tau
    assert np.allclose(turns, math.tau / 16, atol=1e-5)
    assert min(headings) >= 0
    assert max(headings) < math.tau
    assert (env.step(LEFT)[0] != frames[-1][0]).any()
    assert (env.step(RIGHT)[0] == frames[-1][0]).all()


def test_forward_walks_along_the_heading():
    env = MazeEnv()
    env.reset(seed=0)
    x, y = find_centre((4, 4))
    _, info = env.restore_state(MazeState(room(4), x, y, 0))
    assert info["pose"].dtype == np.float32
    assert np.allclose(info["pose"], [4.5, 4.5, 0])
    _, reward, terminated, truncated, info = env.step(FORWARD_ID)
    assert np.allclose(info["pose"], [4.5 + FORWARD, 4.5, 0])
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert type(truncated) is bool


def test_a_wall_stops_the_body_at_its_radius():
    env = MazeEnv()
    env.reset(seed=0)
    env.restore_state(MazeState(room(1), *find_centre((4, 4)), 0))
    poses = [env.step(FORWARD_ID)[-1]["pose"] for _ in range(3)]
    assert np.allclose(poses, [5 - BODY_RADIUS, 4.5, 0])


def test_at_an_angle_the_body_slides_along_the_wall():
    """45 degrees into the upper wall: the part along the wall is kept, corners don't catch."""
    env = MazeEnv()
    env.reset(seed=0)
    env.restore_state(MazeState(room(4), *find_centre((4, 4)), 2))
    poses = np.array([env.step(FORWARD_ID)[-1]["pose"] for _ in range(14)])
    assert np.allclose(poses[2:, 1], 5 - BODY_RADIUS)
    steps = np.diff(poses[:, 0])[:8]
    assert np.allclose(steps, FORWARD * math.cos(math.pi / 4), atol=1e-5)
    assert np.isclose(poses[-1, 0], 8 - BODY_RADIUS)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(0, 15), max_size=60))
def test_no_walk_ends_in_a_wall(seed, headings):
    layout = make_layout(np.random.default_rng(seed))
    x, y = find_centre(layout.free_cells()[0])
    for heading in headings:
        angle = heading * math.tau / 16
        for _ in range(3):
            x, y = slide(layout.walls, x, y, FORWARD * math.cos(angle), FORWARD * math.sin(angle))
    for r, c in np.argwhere(layout.walls):
        low = GRID - 1 - r
        gap = math.hypot(x - np.clip(x, c, c + 1), y - np.clip(y, low, low + 1))
        assert gap > BODY_RADIUS - 1e-6


@pytest.mark.parametrize("seed", range(20))
def test_every_free_cell_can_be_walked_to(seed):
    layout = make_layout(np.random.default_rng(seed))
    cells = layout.free_cells()
    assert set(measure_distances(layout.walls, cells[-1])) == set(cells)
    assert len(cells) >= 31  # a maze of 4 x 4 rooms and the 15 ways between them
    assert layout.walls[[0, -1]].all()
    assert layout.walls[:, [0, -1]].all()
    assert len(np.unique(layout.wall_texture)) == len(np.unique(layout.floor_texture)) == 4
    assert find_cell(*find_centre((2, 6))) == (2, 6)


def test_a_cloned_state_goes_on_as_the_original_did(env):
    actions = [FORWARD_ID, LEFT, FORWARD_ID, RIGHT]
    state = env.clone_state()
    want = np.stack([env.step(action)[0] for action in actions])
    for other in (env, MazeEnv()):
        other.restore_state(state)
        assert (np.stack([other.step(action)[0] for action in actions]) == want).all()


def test_misuse_is_one_sentence():
    env = MazeEnv()
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
        env.step(0)
    with pytest.raises(ValueError, match=r"reset options of .* must be empty, got .'level'."):
        env.reset(options={"level": 3})
    env.reset(seed=0)
    for action in (4, -1, 1.0, True, None):
        with pytest.raises(ValueError, match=r"in \[0, 3\]"):
            env.step(action)
    with pytest.raises(ValueError, match="MazeState, got dict"):
        env.restore_state({})
    env.close()
    env.close()
    for use in (env.reset, env.render, env.clone_state, lambda: env.step(0)):
        with pytest.raises(gymnasium.error.ClosedEnvironmentError, match="closed"):
            use()
    with pytest.raises(ValueError, match="64, 128"):
        MazeEnv(size=63)
    with pytest.raises(ValueError, match="rgb_array"):
        MazeEnv(render_mode="human")


def test_render_is_what_the_last_step_showed():
    env = MazeEnv(render_mode="rgb_array")
    frame, _ = env.reset(seed=0)
    assert (env.render() == frame).all()
    assert env.render() is not env.render()
    env.render_mode = None
    assert env.render() is None


def test_the_textures_are_those_that_worlds_have_seen():
    """DeepMind Lab's, in labmaze's order: another order would be other mazes."""
    paths = list_wall_textures() + list_floor_textures()
    assert (len(list_wall_textures()), len(list_floor_textures())) == (32, 28)
    pixels = b"".join(scene._read_picture(path).tobytes() for path in paths)
    assert (
        hashlib.sha256(pixels).hexdigest()
        == "0359b56239d87a6d3a3bf88a68c3495809381a011d0e831165254b6f912ca2f2"
    )


def test_a_missing_gl_library_names_the_packages(monkeypatch):
    """PyOpenGL says: 'NoneType' object has no attribute 'eglQueryString'."""

    class NoLibrary:
        def find_spec(self, name, path=None, target=None):
            if name == "mujoco":
                raise AttributeError("'NoneType' object has no attribute 'eglQueryString'")

    monkeypatch.delitem(sys.modules, "mujoco", raising=False)
    monkeypatch.setattr(sys, "meta_path", [NoLibrary(), *sys.meta_path])
    with pytest.raises(ImportError, match="libegl1 and libgl1-mesa-dri"):
        scene._import_mujoco()
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(ImportError, match="pip install mujoco"):
        scene._import_mujoco()


def walk(walker, layout, steps):
    """What a walker does in a maze, without drawing it: actions and poses `[steps, 3]`."""
    x, y = find_centre(layout.free_cells()[0])
    heading, actions, poses = 0.0, [], []
    for _ in range(steps):
        actions.append(walker.act(np.array([x, y, heading], np.float32)))
        heading += (math.tau / 16, -math.tau / 16, 0, 0)[actions[-1]]
        if actions[-1] == FORWARD_ID:
            walk = FORWARD * math.cos(heading), FORWARD * math.sin(heading)
            x, y = slide(layout.walls, x, y, *walk)
        poses.append([x, y, heading])
    return np.array(actions), np.array(poses)


@pytest.mark.parametrize("seed", range(5))
def test_the_goal_walker_looks_around_then_sees_the_whole_maze(env, seed):
    rng = np.random.default_rng(seed)
    layout = make_layout(rng)
    actions, poses = walk(GoalWalker(layout, env.actions, rng), layout, 500)
    assert (actions[:20] == LEFT).all()
    assert STAND not in actions
    seen = {find_cell(x, y) for x, y, _ in poses}
    assert len(seen) > 0.8 * len(layout.free_cells())


def test_the_random_walker_bumps_and_turns_back(env):
    rng = np.random.default_rng(0)
    layout = make_layout(rng)
    actions, poses = walk(RandomWalker(env.actions, rng), layout, 1000)
    moved = np.hypot(*np.diff(poses[:, :2], axis=0).T)
    blocked = (actions[1:] == FORWARD_ID) & (moved < 0.9 * FORWARD)
    assert blocked.mean() > 0.05
    assert set(actions) == {LEFT, RIGHT, FORWARD_ID}


def test_rests_are_a_few_percent_and_some_are_long(env):
    rng = np.random.default_rng(0)
    walker = Resting(RandomWalker(env.actions, rng), env.actions, rng)
    rests = np.array([walker.act(None) for _ in range(20000)]) == STAND
    assert 0.03 < rests.mean() < 0.09
    lengths = np.diff(np.flatnonzero(np.diff(rests.astype(int), prepend=0, append=0)))[::2]
    assert lengths.max() > 10
    assert np.median(lengths) == 1
    assert walker.kind == "random+rests"


def test_a_walkers_kind_is_known_before_it_walks(env):
    """Whoever wants one kind looks through the seeds; were it wrong, it would get another."""
    env.reset(seed=0)
    kinds = [env.walker_kind(np.random.default_rng(seed)) for seed in range(40)]
    assert kinds == [env.walker(np.random.default_rng(seed)).kind for seed in range(40)]
    assert set(kinds) == {"goal", "goal+rests", "random", "random+rests"}
    assert env.published_walker in kinds
