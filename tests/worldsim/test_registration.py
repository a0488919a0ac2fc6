"""Data chooses among our environments and never imports a module."""

import json
import sys

import pytest

from worldsim.registration import ARGUMENTS, check_environment, environments, make_named

EVIL = ["evil_module:Maze-v0", "evil_module:", ":Maze-v0", "CartPole-v1", "Maze", "", None, 5]
EVIL += [["Maze-v0"], {"id": "Maze-v0"}, "x" * 5000]


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A module on the path that tells when it is imported."""
    (tmp_path / "evil_module.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    assert "evil_module" not in sys.modules


@pytest.mark.parametrize("name", EVIL)
def test_a_file_names_only_our_ids(name, trap):
    with pytest.raises(ValueError, match="it must be one of") as caught:
        make_named(name, "the file", {"size": 64})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", list(environments()))
def test_our_ids_are_taken(name):
    assert check_environment(name, "the file") == name


@pytest.mark.parametrize(
    "argument", ["render_mode", "max_episode_steps", "entry_point", "disable_env_checker", "x", 5]
)
def test_a_file_gives_only_plain_arguments(argument):
    with pytest.raises(ValueError, match="argument"):
        make_named("Maze-v0", "the file", {argument: "human"})


@pytest.mark.parametrize("world", [["dmlab"], "a\0b", "a" * 5000, 5, {"a": 1}, "\ud800"])
def test_a_world_that_is_no_text_is_one_sentence(world):
    with pytest.raises(ValueError, match="the world that the file names must be printable text"):
        make_named("FARDMLab-v0", "the file", {"world": world})


def test_an_argument_of_another_environment_is_one_sentence():
    assert "biome" in ARGUMENTS
    with pytest.raises(ValueError, match="can't be made"):
        make_named("Maze-v0", "the file", {"biome": "forest"})


def test_ours_are_made_with_their_arguments():
    env = make_named("Maze-v0", "the file", {"size": 128})
    assert env.observation_space.shape == (128, 128, 3)
    env.close()


@pytest.mark.parametrize("engine", EVIL)
def test_the_engine_of_a_card_is_one_of_ours(engine, trap):
    from types import SimpleNamespace

    from worldsim.ground_truth import open_engine

    card = SimpleNamespace(name="odd", engine=engine, frame_size=64, action_set="dmlab")
    with pytest.raises(ValueError, match="won't start: the card names"):
        open_engine(card)


def test_the_engine_of_a_training_is_one_of_ours(trap):
    from types import SimpleNamespace

    from models.training.smoke import collect_some

    data = SimpleNamespace(train="x/train", heldout="x/heldout")
    with pytest.raises(ValueError, match="the setting engine"):
        collect_some(SimpleNamespace(engine="evil_module:Maze-v0", data=data))


@pytest.fixture
def recording(make_fake_world, tmp_path):
    """A recording of a dream, and what changes its meta and the start's options."""
    import gymnasium

    from worldsim.runtime.core.clock import Clock
    from worldsim.runtime.core.moves import Move
    from worldsim.runtime.core.playable_env import PlayableEnv
    from worldsim.runtime.core.playthrough import Playthrough
    from worldsim.runtime.recording.recorder import Recorder

    env = gymnasium.make("FARDMLab-v0", world=make_fake_world(), disable_env_checker=True)
    place = PlayableEnv(env, "FARDMLab-v0", {})
    recorder = Recorder(tmp_path / "recordings", on=True)
    recorder.describe(place, place.fps)
    game = Playthrough(place, place.start(0), [recorder], Clock())
    for _ in range(3):
        game.make(Move(2, 1))
    recorder.close()
    return recorder.made[0]


def change(folder, **values):
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | values))


@pytest.mark.parametrize("name", ["evil_module:Maze-v0", "CartPole-v1"])
def test_a_recording_that_names_another_environment_is_not_verified(recording, trap, name):
    from worldsim.runtime.cli.replay import main

    change(recording, environment=name)
    with pytest.raises(ValueError, match="it must be one of"):
        main([str(recording), "--verify"])


def test_a_recording_gives_no_window_and_no_wrapper(recording):
    from worldsim.runtime.cli.replay import main

    change(recording, kwargs={"render_mode": "human"})
    with pytest.raises(ValueError, match="render_mode"):
        main([str(recording), "--verify"])


@pytest.mark.parametrize("key", ["environment", "kwargs", "world", "world_hash"])
@pytest.mark.parametrize("value", [5, ["Maze-v0"], True])
def test_an_identity_of_other_types_is_refused(recording, key, value):
    from worldsim.runtime.recording.recording import read_recording

    change(recording, **{key: value})
    with pytest.raises(ValueError, match="must be "):
        read_recording(recording)


def test_takes_make_only_ours(recording, trap):
    from worldsim.runtime.panels.comparison import ComparisonPanel
    from worldsim.runtime.recording.recording import read_recording

    change(recording, environment="evil_module:Maze-v0")
    found = read_recording(recording)
    found.point.start.options["engine"] = "evil_module:Maze-v0"
    takes = ComparisonPanel(found)
    for _ in range(2):  # the truth, and dreamt again
        with pytest.raises(ValueError, match="it must be one of"):
            takes.turn()


def test_who_sits_here_may_name_an_environment_of_their_own(recording, make_fake_world):
    """Played with --env, recorded, and verified with the same --env."""
    import gymnasium

    from worldsim.runtime.cli.replay import main

    change(recording, environment="Own-v0")
    gymnasium.register(
        "Own-v0", "envs.world_model:WorldModelEnv", kwargs={"world": make_fake_world()}
    )
    try:
        assert main([str(recording), "--verify", "--env", "Own-v0"]) == 0
        with pytest.raises(ValueError, match="was recorded in Own-v0"):
            main([str(recording), "--verify", "--env", "Other-v0"])
    finally:
        del gymnasium.registry["Own-v0"]
