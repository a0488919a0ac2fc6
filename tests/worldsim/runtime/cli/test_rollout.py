"""Episodes played without a window are recordings like the window's, the same for any workers."""

import json
import shutil
import subprocess
import sys

import gymnasium
import numpy as np
import pytest

from envs.wrappers import Task
from tests.support.commands import refused
from tests.support.lerobot_sets import decode_pictures, read_columns
from worldsim.cli import main as cli
from worldsim.runtime.cli.replay import main as replay
from worldsim.runtime.core.clock import Clock
from worldsim.runtime.core.moves import Move
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.core.playthrough import Playthrough
from worldsim.runtime.recording.recorder import Recorder
from worldsim.runtime.recording.recording import META, read_recording
from worldsim.types import Episode, EpisodeMeta


def turn_right_then_stop(frame, actions, rng):
    """A policy; tests name it `tests_policy:turn_right_then_stop`."""
    frame[:] = 0  # what it is given is its own
    return None if rng.random() < 0.2 else "right"


def recordings(folder):
    found = [read_recording(path.parent) for path in folder.glob(f"*/{META}")]
    return sorted(found, key=lambda recording: recording.episode.meta.seed)


def recordings_by_folder(folder):
    return [read_recording(path.parent) for path in sorted(folder.glob(f"*/{META}"))]


def change_meta(folder, **facts):
    meta = json.loads((folder / META).read_text())
    (folder / META).write_text(json.dumps(meta | facts))


def command(tiny_world, out, *options):
    return ["rollout", "--world", str(tiny_world), "--out", str(out), *options]


def roll(tiny_world, out, *options):
    return cli(command(tiny_world, out, *options))


def test_what_is_rolled_out_is_a_recording(tiny_world, tmp_path, capsys):
    out = tmp_path / "out"
    assert roll(tiny_world, out, "--episodes", "3", "--steps", "9", "--seed", "5") == 0
    found = recordings(out)
    assert [one.episode.meta.seed for one in found] == [5, 6, 7]
    assert [len(one.episode) for one in found] == [9, 9, 9]
    assert len({one.episode.actions.tobytes() for one in found}) > 1
    assert not list(out.glob("*.journal"))
    assert replay([str(next(out.glob("*/meta.json")).parent), "--verify"]) == 0
    assert "3/3 episodes" in capsys.readouterr().out


def test_workers_make_the_same_episodes(tiny_world, tmp_path):
    for workers in ("1", "2"):
        out = tmp_path / workers
        assert roll(tiny_world, out, "--episodes", "3", "--steps", "4", "--workers", workers) == 0
    for one, other in zip(*(recordings(tmp_path / w) for w in "12"), strict=True):
        assert np.array_equal(one.episode.frames, other.episode.frames)
        assert np.array_equal(one.episode.actions, other.episode.actions)


def test_killed_it_goes_on_and_records_nothing_twice(tiny_world, tmp_path, capsys):
    """Started again it recorded every episode a second time, and Minari got both."""
    options = ["--steps", "12", "--episodes"]
    called = [sys.executable, "-m", "worldsim", *command(tiny_world, tmp_path / "out", *options)]
    process = subprocess.Popen([*called, "1000"], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:  # an episode is told when it is on the disk
        if line.startswith("2/"):
            break
    process.kill()
    process.communicate()
    whole = recordings(tmp_path / "out")
    cut = shutil.copytree(sorted((tmp_path / "out").glob("*/"))[0], tmp_path / "out/cut-short")
    change_meta(cut, ended="cut short", rollout={"policy": "x"})
    wanted = len(whole) + 2
    assert roll(tiny_world, tmp_path / "out", *options, str(wanted)) == 0
    assert f"2 new episodes, {len(whole)} were there already" in capsys.readouterr().out
    assert cut.is_dir()  # of another policy
    shutil.rmtree(cut)
    found = recordings(tmp_path / "out")
    assert [one.episode.meta.seed for one in found] == list(range(wanted))
    assert [len(one.episode) for one in found] == [12] * wanted
    assert not list((tmp_path / "out").glob("*.journal"))
    change_meta(tmp_path / "out" / found[1].name, ended="cut short")
    assert roll(tiny_world, tmp_path / "out", *options, str(wanted)) == 0
    again = recordings(tmp_path / "out")
    assert np.array_equal(again[1].episode.frames, found[1].episode.frames)
    assert len(again) == wanted


def test_another_length_or_world_is_another_rollout(tiny_world, tmp_path):
    for steps in ("3", "4", "3"):
        assert roll(tiny_world, tmp_path, "--episodes", "1", "--steps", steps) == 0
    assert sorted(len(one.episode) for one in recordings(tmp_path)) == [3, 4]


def test_a_script_is_taken_over_and_over(tiny_world, tmp_path):
    script = ["--policy", "script", "--actions", "forward,left"]
    assert roll(tiny_world, tmp_path, "--episodes", "1", "--steps", "5", *script) == 0
    (one,) = recordings(tmp_path)
    from worldsim.actions import load_actions

    ids = [load_actions("dmlab").id(name) for name in ("forward", "left")]
    assert one.episode.actions.tolist() == [*ids, *ids, ids[0]]


def test_a_function_drives_and_ends(tiny_world, tmp_path, monkeypatch):
    import sys
    from types import SimpleNamespace

    module = SimpleNamespace(turn_right_then_stop=turn_right_then_stop)
    monkeypatch.setitem(sys.modules, "tests_policy", module)
    options = ["--episodes", "4", "--steps", "30", "--policy", "tests_policy:turn_right_then_stop"]
    assert roll(tiny_world, tmp_path, *options) == 0
    lengths = [len(one.episode) for one in recordings(tmp_path)]
    assert 1 <= min(lengths) < max(lengths) <= 30


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--policy", "clever"], "random, script or module:function"),
        (["--policy", "no_such_module:act"], "no module 'no_such_module'"),
        (["--policy", "json:act"], "no function 'act'"),
        (["--policy", "script"], "needs --actions"),
        (["--policy", "script", "--actions", "fly"], "fly"),
        (["--env", "Nothing-v0"], "--env Nothing-v0"),
    ],
)
def test_bad_options_get_one_sentence(tiny_world, tmp_path, capsys, options, sentence):
    called = command(tiny_world, tmp_path / "out", "--episodes", "1", *options)
    assert sentence in refused(capsys, *called)


@pytest.mark.filterwarnings("ignore")  # Minari's own, about what the set does not say
def test_minari_loads_what_was_rolled_out(tiny_world, tmp_path, monkeypatch, minari, capsys):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    options = ["--episodes", "2", "--steps", "5", "--minari", "tiny/random-v0"]
    assert roll(tiny_world, tmp_path / "out", *options) == 0
    from minari import load_dataset

    dataset = load_dataset("tiny/random-v0")
    recovered = dataset.recover_environment().unwrapped
    assert recovered.world.hash == recordings(tmp_path / "out")[0].identity.world_hash
    assert dataset.observation_space == recovered.observation_space
    assert dataset.action_space == recovered.action_space
    for loaded, read in zip(dataset, recordings_by_folder(tmp_path / "out"), strict=True):
        assert (loaded.infos is None or not loaded.infos) == (read.episode.poses is None)
        if read.episode.poses is not None:
            assert np.array_equal(loaded.infos["pose"], read.episode.poses)
    loaded = [(e.observations, e.actions) for e in dataset]
    found = [(one.episode.frames, one.episode.actions) for one in recordings(tmp_path / "out")]
    assert len(loaded) == len(found)
    for frames, actions in found:
        assert any(
            np.array_equal(frames, these) and np.array_equal(actions, those)
            for these, those in loaded
        )
    again = command(tiny_world, tmp_path / "out", *options)
    assert "already exists" in refused(capsys, *again)


@pytest.mark.filterwarnings("ignore")  # Minari's own, about what the set does not say
@pytest.mark.parametrize("made_in", ["--world", "--env"])
def test_a_rollout_that_is_there_becomes_a_minari_set(made_in, request, tmp_path, monkeypatch):
    """With its poses, and with what made it: an engine gives the frames again."""
    request.getfixturevalue("minari")
    from minari import load_dataset

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    fixture = {"--world": "tiny_spatial_world", "--env": "engine"}[made_in]
    named = str(request.getfixturevalue(fixture) or "Maze-v0")
    out = str(tmp_path / "out")
    made = ["rollout", made_in, named, "--out", out, "--episodes", "2", "--steps", "4"]
    assert cli(made) == 0
    assert cli(["data", "export", out, "walks/random-v0", "--layout", "minari"]) == 0
    dataset, read = load_dataset("walks/random-v0"), recordings_by_folder(tmp_path / "out")
    env = dataset.recover_environment()
    for loaded, recording in zip(dataset, read, strict=True):
        episode = recording.episode
        assert np.array_equal(loaded.observations, episode.frames)
        assert np.array_equal(loaded.infos["pose"], episode.poses)
        assert np.ptp(episode.poses, axis=0).max() > 0.1, "it has moved"
        if made_in == "--world":
            assert env.unwrapped.world.hash == recording.identity.world_hash
            continue
        frame, info = env.reset(seed=episode.meta.seed)
        seen = [(frame, info["pose"])]
        for action in loaded.actions:
            frame, *_, info = env.step(action)
            seen.append((frame, info["pose"]))
        frames, poses = zip(*seen, strict=True)
        assert np.array_equal(frames, loaded.observations)
        assert np.array_equal(poses, loaded.infos["pose"])
    env.close()


@pytest.mark.filterwarnings("ignore")  # Minari's own, about what the set does not say
def test_minari_tells_turns_and_strides_beside_ids(tmp_path, monkeypatch, minari):
    from minari import load_dataset

    from worldsim.data.minari import export

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    controls = np.array([[5, 0.5], [np.nan, np.nan]], np.float32)
    episode = Episode(
        frames=np.zeros((3, 8, 8, 3), np.uint8),
        actions=np.array([2, 1]),
        rewards=np.zeros(2, np.float32),
        controls=controls,
        meta=EpisodeMeta(source="Maze-v0", action_set="dmlab", fps=7.5),
    )
    export("tiny/drift-v0", [episode], 4)
    (loaded,) = load_dataset("tiny/drift-v0")
    assert loaded.actions.tolist() == [2, 1]
    assert np.isnan(loaded.infos["control"][0]).all()
    assert loaded.infos["control"][1:].tolist() == [[5, 0.5], [-22.5, 0]]


def test_lerobots_layout_holds_what_was_rolled_out(tiny_world, tmp_path, parquet, capsys):
    """Read as LeRobot reads it: by the templates and features of info.json, with pyarrow."""
    assert roll(tiny_world, tmp_path / "out", "--episodes", "2", "--steps", "5") == 0
    export = ["data", "export", str(tmp_path / "out"), str(tmp_path / "set"), "--layout", "lerobot"]
    assert cli([*export, "--task", "walk about"]) == 0
    root, found = tmp_path / "set", recordings_by_folder(tmp_path / "out")
    info = json.loads((root / "meta/info.json").read_text())
    assert (info["total_episodes"], info["total_frames"]) == (2, 10)
    rows = 0
    for number, read in enumerate(found):
        episode = read.episode
        columns = read_columns(parquet, root, info, number)
        assert np.array_equal(decode_pictures(columns), episode.frames[:-1])
        assert columns["action"] == episode.actions.tolist()
        assert np.allclose(np.diff(columns["timestamp"]) * info["fps"], 1, rtol=1e-3)
        assert columns["index"] == list(range(rows, rows + 5))
        if episode.poses is not None:
            assert np.array_equal(columns["observation.state"], episode.poses[:-1])
        rows += 5
    lines = (root / "meta/episodes_stats.jsonl").read_text().splitlines()
    stats = json.loads(lines[1])["stats"]
    assert set(stats) == set(info["features"])
    mean = np.array(stats["observation.image"]["mean"])
    assert np.allclose(mean[:, 0, 0], found[1].episode.frames[:-1].mean((0, 1, 2)) / 255)
    assert "exists already" in refused(capsys, *export)
    empty = ["data", "export", str(tmp_path / "no"), str(tmp_path / "new"), "--layout", "lerobot"]
    assert refused(capsys, *empty)
    assert not (tmp_path / "new").exists()


def test_an_episode_that_its_task_ended_is_recorded_as_terminated(tiny_world, tmp_path):
    """One that was merely cut is not: an agent that learns from it must know the difference."""
    for number, steps in enumerate((3, 2)):
        task = Task(gymnasium.make("FARDMLab-v0", world=str(tiny_world)), TaskOfThreeSteps().judge)
        place = PlayableEnv(task, "FARDMLab-v0", {"world": str(tiny_world)})
        recorder = Recorder(tmp_path / str(number), on=True)
        recorder.describe(place, place.fps)
        playthrough = Playthrough(place, place.start(0), [recorder], Clock())
        for _ in range(steps):
            playthrough.make(Move(0, place.steps))
        assert playthrough.ended == (steps == 3)
        recorder.close()
        task.close()
        (one,) = recordings(tmp_path / str(number))
        assert one.episode.meta.terminated == (steps == 3)
        assert one.episode.rewards.tolist() == [1.0] * steps


class TaskOfThreeSteps:
    """Worth one a step; the third is the last."""

    def __init__(self):
        self.steps = 0

    def judge(self, step):
        self.steps += 1
        return 1.0, self.steps == 3
