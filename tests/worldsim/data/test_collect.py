"""Collecting: every seed once, held-out apart, and nothing lost when it is killed."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from worldsim.data.collect import (
    SEED_RANGES,
    Plan,
    collect,
    list_episode_seeds,
    list_missing_seeds,
    main,
    play_episode,
)
from worldsim.data.store import EpisodeStore


def run(folder, *arguments):
    base = ["--env", "Maze-v0", "--steps", "12", "--workers", "1", "--out", str(folder)]
    return main([*base, *arguments])


def test_episodes_are_stored_with_poses_and_walkers(tmp_path):
    assert run(tmp_path, "--episodes", "3") == 0
    store = EpisodeStore(tmp_path / "train")
    assert store.seeds() == {0, 1, 2}
    for episode in store:
        assert episode.frames.shape == (13, 64, 64, 3)
        assert episode.actions.shape == (12,)
        assert episode.poses.shape == (13, 3)
        assert episode.meta.source == "Maze-v0"
        assert episode.meta.action_set == "dmlab"
        assert episode.meta.extra["walker"].split("+")[0] in ("goal", "random")


def test_an_episode_is_its_seed_played_again(tmp_path):
    """The stored actions, played in a fresh maze, give the stored pixels and poses."""
    from envs.maze.engine import MazeEnv

    run(tmp_path, "--episodes", "1", "--seed", "7")
    episode = EpisodeStore(tmp_path / "train")[0]
    env = MazeEnv()
    frame, info = env.reset(seed=7)
    assert (frame == episode.frames[0]).all()
    for t, action in enumerate(episode.actions):
        frame, *_, info = env.step(action)
        assert (frame == episode.frames[t + 1]).all()
        assert (info["pose"] == episode.poses[t + 1]).all()


def test_depth_is_stored_on_request_and_changes_nothing_else(tmp_path):
    """The stored options, given to a fresh environment, make the same episode again."""
    import gymnasium

    run(tmp_path / "plain", "--episodes", "1")
    run(tmp_path / "deep", "--episodes", "1", "--depth")
    plain, deep = (EpisodeStore(tmp_path / name / "train")[0] for name in ("plain", "deep"))
    assert plain.depths is None
    assert (plain.frames == deep.frames).all()
    assert (plain.poses == deep.poses).all()
    assert deep.depths.shape == (13, 32, 32)
    assert deep.heights is None  # a maze is flat
    env = gymnasium.make(deep.meta.source, **deep.meta.extra["options"])
    depths = [env.reset(seed=deep.meta.seed)[1]["depth"]]
    depths += [env.step(action)[4]["depth"] for action in deep.actions]
    assert (np.stack(depths).astype(np.float16) == deep.depths).all()


def test_train_and_heldout_seeds_never_meet(tmp_path):
    train, heldout = SEED_RANGES["train"], SEED_RANGES["heldout"]
    assert train[-1] < heldout[0]
    with pytest.raises(ValueError, match="leaves the"):
        list_episode_seeds("train", len(train) - 1, 2)
    with pytest.raises(ValueError, match="leaves the"):
        list_episode_seeds("train", -1, 2)
    run(tmp_path, "--episodes", "1", "--split", "heldout")
    store = EpisodeStore(tmp_path / "heldout")
    assert store.seeds() == {heldout[0]}
    assert store.meta(0).extra["split"] == "heldout"


def test_what_is_stored_is_not_made_again(tmp_path, capsys):
    run(tmp_path, "--episodes", "2")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "train").iterdir()}
    run(tmp_path, "--episodes", "3")
    assert "1 new episodes, 2 were there already" in capsys.readouterr().out
    after = {p: p.stat().st_mtime_ns for p in (tmp_path / "train").iterdir()}
    assert len(after) == 3
    assert before.items() <= after.items()


def test_leftovers_of_killed_writers_are_swept_when_old(tmp_path):
    folder = tmp_path / "train"
    folder.mkdir()
    old, new = folder / ".writing-a.tmp", folder / ".writing-b.tmp"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    plan = Plan(env="", options={}, steps=1, folder=folder, split="train", seeds=(4,))
    assert list_missing_seeds(plan) == (4,)
    assert [p.name for p in folder.iterdir()] == [new.name]


def command(folder, episodes, *arguments):
    code = "import sys; from worldsim.data.collect import main; sys.exit(main())"
    options = ["--episodes", str(episodes), "--steps", "40", "--workers", "2", "--out", str(folder)]
    return [sys.executable, "-c", code, *options, *arguments]


def wait_for(condition, seconds=180):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def stored(folder):
    return sorted(folder.glob("train/[!.]*.npz"))


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the workers in /proc")
def test_killed_without_warning_it_loses_nothing_and_goes_on(tmp_path):
    """Kill the parent: whole files only, no orphan keeps writing, the rest is made later."""
    process = subprocess.Popen(command(tmp_path, 10_000), stdout=subprocess.DEVNULL)
    wait_for(lambda: len(stored(tmp_path)) >= 3)
    workers = children(process.pid)
    process.kill()
    process.wait()
    wait_for(lambda: not any(alive(worker) for worker in workers))
    store = EpisodeStore(tmp_path / "train")
    assert all(len(episode) == 40 for episode in store)
    wanted = sorted(store.seeds())[-1] + 2
    kept = {path: path.stat().st_mtime_ns for path in stored(tmp_path)}
    assert main([*command(tmp_path, wanted)[3:], "--workers", "1"]) == 0
    assert EpisodeStore(tmp_path / "train").seeds() >= set(range(wanted))
    assert kept.items() <= {p: p.stat().st_mtime_ns for p in stored(tmp_path)}.items()


@pytest.mark.skipif(sys.platform == "win32", reason="sends the signal of Ctrl-C")
def test_ctrl_c_ends_it_with_a_sentence(tmp_path):
    process = subprocess.Popen(
        command(tmp_path, 10_000),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(lambda: len(stored(tmp_path)) >= 2)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "goes on from here" in out
    assert err == ""
    assert not list(tmp_path.glob("train/.writing*"))
    assert all(len(episode) == 40 for episode in EpisodeStore(tmp_path / "train"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--episodes", "0"], "leaves the"),
        (["--episodes", "1", "--seed", str(2**31)], "leaves the"),
        (["--episodes", "1", "--steps", "0"], ">= 1"),
        (["--episodes", "1", "--env", "Mase-v0"], "--env Mase-v0: .*Maze"),
        (["--episodes", "1", "--size", "100"], r"\(64, 128\)"),
        (["--episodes", "1", "--split", "test"], "invalid choice"),
    ],
)
def test_bad_arguments_are_one_sentence(tmp_path, capsys, arguments, sentence):
    with pytest.raises(SystemExit) as left:
        run(tmp_path, *arguments)
    assert left.value.code == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(sentence, last)


def test_a_workers_error_is_said_once(tmp_path):
    seeds = (0, 1)
    plan = Plan(
        env="Mase-v0", options={}, steps=1, folder=tmp_path / "train", split="train", seeds=seeds
    )
    with pytest.raises(ValueError, match="Mase-v0"):
        list(collect(plan, seeds, workers=2))


class Corridor:
    """An engine without a walker or poses that ends after three steps."""

    actions = type("Actions", (), {"name": "two", "__len__": lambda self: 2})()
    metadata = {"render_fps": 5.0}  # noqa: RUF012

    def reset(self, seed):
        self.left = 3
        return np.zeros((4, 4, 3), np.uint8), {}

    def step(self, action):
        self.left -= 1
        return np.full((4, 4, 3), self.left, np.uint8), 1.0, self.left == 0, False, {}


def test_any_engine_can_be_collected(tmp_path):
    plan = Plan(env="C", options={}, steps=9, folder=tmp_path, split="train", seeds=(0,))
    episode = play_episode(Corridor(), 0, plan)
    assert len(episode) == 3
    assert episode.poses is None
    assert episode.rewards.tolist() == [1, 1, 1]
    assert episode.meta.extra["walker"] == "uniform"
    assert set(episode.actions) <= {0, 1}
