"""Voxel-v0 on the real engine: the frame is the step's own, and nothing is left behind.

What every environment promises is in tests/contracts; here is what only this engine can get wrong.
"""

import itertools
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from envs.voxel import programs, server_dir
from envs.voxel.engine import VoxelEnv
from envs.voxel.framebuffer import Screen
from envs.voxel.process import EYE_HEIGHT, ROOM, Engine, EngineError
from envs.voxel.raycast import cast_directions
from envs.voxel.server_dir import FIELD_OF_VIEW
from envs.voxel.textures import draw_compass, find_compass_degree, write_textures
from envs.voxel.walker import (
    FORWARD_MOST,
    REPEAT,
    PublishedWalker,
    Wanderer,
    draw_kind,
    make_walker,
)
from models.memory.visibility import VisibilityJudge
from worldsim.actions import load_actions
from worldsim.data.collect import main as collect
from worldsim.data.store import EpisodeStore
from worldsim.evaluate.masked import masked_psnr

ROOT = Path(__file__).resolve().parents[2]
STAND, FORWARD, LEFT, RIGHT = range(4)
ACTIONS = load_actions("voxel")


@pytest.fixture
def env(voxel_engine):
    env = VoxelEnv()
    yield env
    env.close()


LOUD = """
core.register_globalstep(function() core.log("error", "a late packet") end)
"""


def test_errors_of_the_engine_are_not_written_over_the_picture(voxel_engine, monkeypatch, tmp_path):
    """A busy machine's engine says that packets were late; it did so in its chat, on the screen."""

    def look() -> np.ndarray:
        engine = Engine(64, "plains")
        try:
            place = engine.ask("spawn", 100, 100, 0)
            engine.load(*place)
            for turned in range(5):  # what is said is shown some frames later
                frame = engine.look(*place, 20 * turned)
            return frame
        finally:
            engine.close()

    quiet, game = look(), tmp_path / "game"
    shutil.copytree(server_dir._GAME, game)
    with open(game / "mods" / "worldsim" / "init.lua", "a", encoding="utf-8") as file:
        file.write(LOUD)
    monkeypatch.setattr(server_dir, "_GAME", game)
    assert np.array_equal(look(), quiet)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def processes(folder):
    """Those whose command line or environment names an engine's folder."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            text = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in text and alive(entry.name):
            found.add(int(entry.name))
    return found


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def test_a_frame_shows_its_own_step(env):
    """Early frames show the old view: each must be what a patient look at its pose shows."""
    env.reset(seed=3)
    moves = [FORWARD, LEFT, FORWARD, RIGHT, RIGHT, FORWARD, STAND, LEFT, LEFT, FORWARD]
    taken = []
    for action in moves:
        frame = env.step(action)[0]
        taken.append((env.clone_state(), frame))
    for (before, old), (after, new) in itertools.pairwise(taken):
        if before.feet != after.feet or before.heading != after.heading:
            assert (old != new).any()
    engine = env._engine
    for state, frame in taken:
        engine.look(*state.feet, state.heading + 180)
        engine._point(*state.feet, state.heading)
        time.sleep(0.3)  # as many pictures more as it likes
        assert (engine._screen.picture(state.heading) == frame).all()


def test_the_screen_refuses_an_old_or_half_drawn_picture(tmp_path):
    """The engine draws while we read: top and bottom must both show the heading asked for."""
    screen = Screen(tmp_path, 128)
    pixels = np.zeros((144, 128, 4), np.uint8)
    screen._pixels = pixels

    def draw(rows, heading):
        band = np.roll(draw_compass(8), heading, axis=1)[0, 180 - 64 : 180 + 64]
        pixels[rows, :, :3] = band[:, 2::-1]

    draw(slice(0, 8), 40)
    assert screen.picture(40) is None
    draw(slice(-8, None), 20)
    assert screen.picture(40) is None
    assert screen.picture(20) is None
    draw(slice(-8, None), 40)
    assert screen.picture(40).shape == (128, 128, 3)
    assert screen.picture(60) is None
    assert screen.picture(400) is not None


class _DrawnMeanwhile(np.ndarray):
    """A screen whose rest is drawn while a copy of it is half done."""

    def copy(self):
        half = len(self) // 2
        top = np.array(self[:half])
        self.draw_rest()
        return np.concatenate([top, np.array(self[half:])])


def test_no_picture_mixes_the_rows_of_two(tmp_path):
    """Beside a busy process the copy overtook the engine, was interrupted, and ended in new rows:
    top and bottom were new, and the middle was the picture before.
    """
    band = np.roll(draw_compass(8), 40, axis=1)[:, 180 - 64 : 180 + 64, 2::-1]
    pixels = np.zeros((144, 128, 4), np.uint8).view(_DrawnMeanwhile)
    pixels[:8, :, :3] = band
    pixels[8:40] = 255

    def draw_rest():
        pixels[40:-8] = 255
        pixels[-8:, :, :3] = band

    pixels.draw_rest = draw_rest
    screen = Screen(tmp_path, 128)
    screen._pixels = pixels
    assert screen.picture(40) is None
    draw_rest()
    assert (screen.picture(40) == 255).all()


def test_every_degree_has_a_colour_of_its_own():
    band = draw_compass(8)[0, :, :3].astype(np.uint8)
    assert [find_compass_degree(pixel) for pixel in band] == list(range(360))
    assert math.isnan(find_compass_degree(np.array([143, 193, 245], np.uint8)))


def test_a_turn_to_the_left_moves_the_picture_to_the_right(env):
    """A mirrored land, or a heading that runs backwards, would go unseen by all other tests."""
    start = env.reset(seed=3)[0].astype(float)
    for action, way in ((LEFT, 1), (RIGHT, -1)):
        env.reset(seed=3)
        turned = env.step(action)[0].astype(float)
        middle = start[40:100, 48:80]
        shifts = range(-44, 45)
        errors = [abs(turned[40:100, 48 + s : 80 + s] - middle).mean() for s in shifts]
        # 20 degrees of a view of 70 are a third of a half picture at its middle
        assert 20 < way * shifts[int(np.argmin(errors))] < 44


def test_eighteen_turns_are_a_full_circle(env):
    start, info = env.reset(seed=4)
    seen = [env.step(LEFT)[0] for _ in range(18)]
    assert (seen[-1] == start).all()
    assert all((frame != start).any() for frame in seen[:-1])
    assert np.allclose(env._info()["pose"], info["pose"])


def test_going_back_nearby_is_quick_and_shows_the_same(env):
    """Coming from far away takes seconds, and each window that is moved back in time pays them."""
    env.reset(seed=3)
    kept = []
    for action in [FORWARD] * 6 + [LEFT] * 3 + [FORWARD] * 6 + [RIGHT] * 3:
        kept.append((env.step(action)[0], env.clone_state()))
    loads = env._engine.loads
    for frame, state in (kept[2], kept[12], kept[7], kept[16]):
        shown, info = env.restore_state(state)
        assert (shown == frame).all()
        assert info["height"] == state.feet[1] - state.start[1]
    assert env._engine.loads == loads


def test_forward_goes_where_the_pose_says(env):
    """0.2158 block a step; what stands in the way stops it, one block high is climbed."""
    _, info = env.reset(seed=3)
    before, heights, paces = info["pose"], set(), []
    for _ in range(40):
        info = env.step(FORWARD)[4]
        step = info["pose"][:2] - before[:2]
        paces.append(float(np.hypot(*step)))
        along = step @ [math.cos(before[2]), math.sin(before[2])]
        assert along > -1e-4
        before = info["pose"]
        heights.add(env.clone_state().feet[1])
    assert abs(max(paces) - 0.2158) < 1e-3
    assert all(0 <= pace < 0.2168 for pace in paces)


def test_places_of_other_seeds_are_other_places(env):
    starts = []
    for seed in (1, 2):
        env.reset(seed=seed)
        starts.append(env.clone_state().start)
    assert math.dist(*starts) > 300


def test_other_biomes_and_sizes_are_refused_or_shown(voxel_engine):
    with pytest.raises(ValueError, match="biome must be one of"):
        VoxelEnv(biome="ocean")
    with pytest.raises(ValueError, match=r"\(64, 128\)"):
        VoxelEnv(size=100)
    small = VoxelEnv(size=64, biome="forest")
    other = VoxelEnv()
    try:
        frame = small.reset(seed=0)[0]
        assert frame.shape == (64, 64, 3)
        assert frame.std() > 10
        other.reset(seed=0)
        with pytest.raises(ValueError, match=r"must be of biome .*, got forest"):
            other.restore_state(small.clone_state())
    finally:
        small.close()
        other.close()


def test_closing_leaves_no_process_and_no_file(voxel_engine, monkeypatch):
    monkeypatch.setattr("envs.voxel.pool._kept", 0)
    monkeypatch.setattr("envs.voxel.pool._spares", [])
    home = Path.home() / ".minetest"
    before = home.exists() and home.stat().st_mtime_ns
    env = VoxelEnv()
    env.reset(seed=0)
    folder, keeper = env._engine._folder, env._engine._keeper
    assert len(processes(folder)) == 3  # the keeper, the display, the engine
    env.close()
    assert keeper.poll() is not None
    assert processes(folder) == set()
    assert not folder.exists()
    assert (home.exists() and home.stat().st_mtime_ns) == before


PROGRAM = """
import sys, time
from envs.voxel.engine import VoxelEnv
env = VoxelEnv()
env.reset(seed=0)
print(env._engine._folder, flush=True)
{end}
"""
ENDS = {
    "killed": "time.sleep(600)",
    "left": "sys.exit(0)",
    "failed": "raise RuntimeError",
}


@pytest.mark.parametrize("end", ENDS)
def test_however_the_program_ends_nothing_stays(voxel_engine, end):
    """A frozen engine that nobody wakes would stay for ever."""
    code = PROGRAM.format(end=ENDS[end])
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    folder = process.stdout.readline().strip()
    if end == "killed":
        assert len(processes(folder)) == 3
        process.kill()
    process.wait(timeout=60)
    process.stdout.close()
    wait_until(lambda: not processes(folder) and not Path(folder).exists())


def test_a_killed_keeper_takes_both_along(env):
    env.reset(seed=1)
    folder, keeper = env._engine._folder, env._engine._keeper
    keeper.kill()
    wait_until(lambda: not processes(folder))
    with pytest.raises(EngineError, match="ended by itself"):
        env.step(FORWARD)
    assert not folder.exists()


def test_an_engine_that_dies_is_one_sentence_and_the_next_reset_works(env):
    env.reset(seed=1)
    frame = env.step(LEFT)[0]
    os.kill(env._engine._pid, signal.SIGKILL)
    with pytest.raises(EngineError, match="the engine ended by itself") as caught:
        env.step(FORWARD)
    assert "\n" not in str(caught.value)
    env.reset(seed=1)
    assert (env.step(LEFT)[0] == frame).all()


def test_idle_it_takes_no_processor_time(env):
    env.reset(seed=1)
    stat = Path(f"/proc/{env._engine._pid}/stat")

    def spent():
        fields = stat.read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    wait_until(lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "T")
    before = spent()
    time.sleep(0.5)
    assert spent() == before


def test_what_is_missing_is_named_with_its_packages(monkeypatch):
    monkeypatch.setattr("envs.voxel.pool._spares", [])
    monkeypatch.setattr(programs.shutil, "which", lambda name, path: None)
    with pytest.raises(ImportError, match=r"no Luanti and no Xvfb here: .* minetest xvfb"):
        VoxelEnv().reset(seed=0)
    monkeypatch.setattr(programs.shutil, "which", lambda name, path: "/bin/true")
    monkeypatch.setattr(programs, "_has_gl", lambda: False)
    with pytest.raises(ImportError, match=r"no OpenGL here: .* libgl1-mesa-dri"):
        VoxelEnv().reset(seed=0)


def test_the_pictures_are_drawn_the_same_everywhere(tmp_path):
    write_textures(tmp_path / "a", 8)
    write_textures(tmp_path / "b", 8)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(names) > 15
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def walked(env, seed, actions):
    """Frames, infos and states of a walk."""
    frame, info = env.reset(seed=seed)
    seen = [(frame, info, env.clone_state())]
    for action in actions:
        frame, *_, info = env.step(action)
        seen.append((frame, info, env.clone_state()))
    return seen


@pytest.fixture(scope="module")
def deep_walk(voxel_engine):
    """A walk through the forest's edge with turns, seen with depth."""
    env = VoxelEnv(depth=True)
    yield env, walked(env, 3, DEEP_WALK)
    env.close()


DEEP_WALK = [FORWARD] * 12 + [LEFT, FORWARD, FORWARD, LEFT] + [FORWARD] * 8 + [STAND] + [RIGHT] * 5


def test_depth_changes_no_picture_and_comes_back_with_its_state(deep_walk, env):
    deep, seen = deep_walk
    plain = walked(env, 3, DEEP_WALK)
    assert all((a[0] == b[0]).all() for a, b in zip(seen, plain, strict=True))
    assert "depth" not in plain[0][1]
    assert all(info["depth"].dtype == np.float32 for _, info, _ in seen)
    assert (seen[25][1]["depth"] == seen[24][1]["depth"]).all()  # it stood
    for _, info, state in (seen[3], seen[20]):
        assert (deep.restore_state(state)[1]["depth"] == info["depth"]).all()


def test_depth_is_the_same_wherever_its_nodes_were_read(deep_walk):
    """As far away as they serve: all that is in sight is built there too."""
    deep, seen = deep_walk
    (_, info, state), engine = seen[-1], deep._engine
    deep.restore_state(state)
    x, y, z = state.feet
    for east, north in ((0, 0), (ROOM, 0), (-14, -14), (0.3, -ROOM)):
        land = engine._read_land(x + east, y, z + north)
        depth = land.depth((x, y + EYE_HEIGHT, z), state.heading, 64)
        assert (depth == info["depth"]).all()


def test_where_depth_is_far_the_picture_is_sky(deep_walk):
    """Blocks of 2 x 2 pixels that are neither all sky nor all land have an edge in them."""
    wrong = clear = 0
    for frame, info, _ in deep_walk[1]:
        far = info["depth"] == VoxelEnv.far
        sky = (frame == SKY).all(axis=2).reshape(64, 2, 64, 2)
        sky, land = sky.all(axis=(1, 3)), ~sky.any(axis=(1, 3))
        wrong += (far & land).sum() + (~far & sky).sum()
        clear += (sky | land).sum()
        assert 0.1 < far.mean() < 0.9
    assert wrong / clear < 0.002


SKY = (0x8F, 0xC1, 0xF5)  # as in eye.lua


def halved(frame):
    return frame.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3)).astype(np.float32)


def moved_by_depth(source, target):
    """What the target's view shows of the source's picture, and where it shows any of it."""
    (frame, info, start), (_, there, end) = source, target
    ways = cast_directions(end.heading, 64) * there["depth"].ravel()
    east, up, north = (ways + (np.array(end.feet) - start.feet)[:, None]).reshape(3, 64, 64)
    cos, sin = math.cos(math.radians(start.heading)), math.sin(math.radians(start.heading))
    ahead, right = north * cos - east * sin, east * cos + north * sin
    scale = 32 / math.tan(math.radians(FIELD_OF_VIEW / 2)) / np.maximum(ahead, 0.1)
    places = (31.5 + right * scale).astype(np.float32), (31.5 - up * scale).astype(np.float32)
    seen = cv2.remap(info["depth"], *places, cv2.INTER_NEAREST, borderValue=0)
    shown = (abs(seen / np.maximum(ahead, 0.1) - 1) < 0.05) & (there["depth"] < VoxelEnv.far)
    return cv2.remap(halved(frame), *places, cv2.INTER_LINEAR), shown


def test_a_picture_moved_by_its_depth_is_the_picture_from_elsewhere(deep_walk):
    """Steps ahead, turns, and a whole walk; against leaving the picture as it is."""
    _, seen = deep_walk
    for source, target in ((0, 6), (0, 12), (10, 14), (0, 24), (26, 27)):
        moved, shown = moved_by_depth(seen[source], seen[target])
        assert shown.mean() > 0.2
        truth, before = halved(seen[target][0]), halved(seen[source][0])
        errors = [((picture - truth)[shown] ** 2).mean() for picture in (moved, before)]
        assert 10 * math.log10(255**2 / errors[0]) > 20
        assert errors[0] < errors[1] / 3  # 5 dB


def test_collecting_stores_what_played_again_is_the_same(voxel_engine, env, tmp_path):
    arguments = ["--env", "Voxel-v0", "--steps", "24", "--episodes", "1", "--workers", "1"]
    arguments += ["--depth"]
    assert collect([*arguments, "--out", str(tmp_path)]) == 0
    episode = EpisodeStore(tmp_path / "train")[0]
    assert episode.frames.shape == (25, 128, 128, 3)
    assert episode.meta.action_set == "voxel"
    assert episode.meta.fps == 20
    frame, info = env.reset(seed=0)
    assert (frame == episode.frames[0]).all()
    for t, action in enumerate(episode.actions):
        frame, *_, info = env.step(action)
        assert (frame == episode.frames[t + 1]).all()
        assert (info["pose"] == episode.poses[t + 1]).all()
        assert np.float32(info["height"]) == episode.heights[t + 1]
    assert episode.depths.shape == (25, 64, 64)
    assert np.isfinite(episode.depths).all()


def played(walker, steps, blocked=lambda x, y: False):
    """Actions and places of a walk on a plain with walls."""
    pose, actions, places = np.zeros(3, np.float32), [], []
    for _ in range(steps):
        action = walker.act(pose)
        pose = pose.copy()
        pose[2] = (pose[2] + ACTIONS.turns[action]) % math.tau
        if action == FORWARD:
            ahead = pose[:2] + 0.2158 * np.array([math.cos(pose[2]), math.sin(pose[2])])
            if not blocked(*ahead):
                pose[:2] = ahead
        actions.append(action)
        places.append(pose[:2].copy())
    return np.array(actions), np.array(places)


def test_the_published_policy_is_the_published_one():
    actions, _ = played(PublishedWalker(ACTIONS, np.random.default_rng(0)), 60_000)
    assert set(actions) == {FORWARD, LEFT, RIGHT}
    assert (actions.reshape(-1, REPEAT) == actions[::REPEAT, None]).all()
    ends = np.flatnonzero(actions != FORWARD)
    runs = np.diff(ends) - 1
    assert runs.max() == FORWARD_MOST
    drawn = actions[::REPEAT]
    # 0.9, less the forced turns: after ten repeats forward, of which there are 0.9 ** 10
    expected = sum(0.9**k for k in range(1, 11)) / sum(0.9**k for k in range(11))
    assert abs((drawn == FORWARD).mean() - expected) < 0.01


def test_the_wanderer_does_not_stay_stuck():
    """Against walls on all sides the published policy walks on the spot; this one turns away."""

    def walls(x, y):
        return abs(x) > 6 or abs(y) > 6 or (x % 4 < 1 and y % 4 < 1)

    shares = []
    for make in (PublishedWalker, Wanderer):
        actions, places = played(make(ACTIONS, np.random.default_rng(1)), 6000, walls)
        moved = np.hypot(*np.diff(places, axis=0).T) > 0.01
        shares.append((~moved & (actions[1:] == FORWARD)).sum() / (actions == FORWARD).sum())
    assert shares[1] < 0.2 < shares[0]


def test_episodes_get_both_walkers_and_some_rest():
    kinds = [make_walker(ACTIONS, np.random.default_rng(seed)).kind for seed in range(60)]
    assert set(kinds) == {"published", "wanderer", "wanderer+rests"}
    assert kinds == [draw_kind(np.random.default_rng(seed)) for seed in range(60)]
    resting = Wanderer(ACTIONS, np.random.default_rng(0), rests=True)
    assert set(played(resting, 2000)[0]) == {STAND, FORWARD, LEFT, RIGHT}


def test_what_is_seen_is_judged_by_its_own_depth_and_angle(engine):
    """After a turn the overlap of two pictures agrees where the first one's depth puts it."""
    env = VoxelEnv(size=64, depth=True)
    try:
        frame, info = env.reset(seed=5)
        turned, _, _, _, later = env.step(2)
        poses = [np.array([*one["pose"], one["height"]]) for one in (info, later)]
        assert poses[0][2] != poses[1][2]
        view = (env.field_of_view, env.far)
        judge = VisibilityJudge(
            frame[None, None], info["depth"][None, None], poses[0][None, None], view
        )
        seen = judge.view(poses[1][None], later["depth"][None], [0])
    finally:
        env.close()
    assert seen.seen[0].mean() > 0.6
    assert masked_psnr(seen.warped[0], turned, seen.seen[0]) > 22
