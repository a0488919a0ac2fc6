"""Which names from files become parts of paths, and what is written and deleted below them."""

import json
import os
import shutil

import numpy as np
import pytest

from worldsim.actions import load_actions
from worldsim.paths import asset, check_name, path_below, to_name
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.recording.saves import Saves
from worldsim.world.card import read_card
from worldsim.world.checkpoint import CARD, write_card

BAD = ["..", ".", "", "a/b", "../x", "/etc", "a\\b", "a\0", ".hidden", "end.", "-rf", "a b", "a:b"]
BAD += ["x" * 65, "é", "con", "NUL.txt", "a\n", None, 5, ["a"], {"a": 1}, True]


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_plain_name_is_refused(name):
    with pytest.raises(ValueError, match="must be 1 to 64 letters") as caught:
        check_name(name, "a world's name")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["dmlab", "v1.2", "_x", "7", "far-b-long", "a..b", "x" * 64])
def test_a_plain_name_is_taken(name):
    assert check_name(name, "name") == name
    assert to_name(name) == name


@pytest.mark.parametrize("text", [name for name in BAD if isinstance(name, str)])
def test_any_text_has_a_nearest_plain_name(text):
    check_name(to_name(text), "name")


def test_a_path_stays_below_its_root_whatever_links_there_are(tmp_path):
    root = tmp_path / "saves"
    root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    assert path_below(root, "dmlab", "slot-1") == root / "dmlab" / "slot-1"
    for parts in (("..",), (".",), ("a", "..", ".."), ("link",), ("link", "x"), ("/etc",)):
        with pytest.raises(ValueError, match="nothing is written"):
            path_below(root, *parts)


def test_an_asset_does_not_leave_the_assets():
    with pytest.raises(ValueError, match="leaves the assets folder"):
        asset("actions", "../../pyproject.toml")


@pytest.mark.parametrize("key", ["name", "action_set", "builder"])
@pytest.mark.parametrize("value", ["..", "a/../b", None, 5, ["far"], "x" * 300])
def test_a_card_with_a_name_that_is_none_is_refused(tiny_world, tmp_path, key, value):
    folder = tmp_path / "world"
    shutil.copytree(tiny_world, folder)
    write_card(folder, json.loads((folder / CARD).read_text()) | {key: value})
    with pytest.raises(ValueError, match="is not a world card") as caught:
        read_card(folder / CARD)
    assert "must be 1 to 64 letters" in str(caught.value)


@pytest.mark.parametrize("name", ["../worlds/dmlab/card", "..", None, ["dmlab"]])
def test_an_action_sets_name_leads_nowhere_else(name):
    with pytest.raises(ValueError, match="an action set's name"):
        load_actions(name)


# ---- saves ----


def track(place, moves=0):
    from worldsim.runtime.core.moves import Moves
    from worldsim.runtime.core.track import Track

    start = place.start(0)
    return Track(place, start, place.reset(start), Moves(np.zeros((moves, 3), np.int32)))


@pytest.fixture
def place(make_fake_place):
    return make_fake_place()


@pytest.fixture
def make_fake_place(make_fake_world):
    from envs.world_model import WorldModelEnv

    def make(name="fake"):
        env = WorldModelEnv(make_fake_world(name=name))
        return PlayableEnv(env, "FARDMLab-v0", {})

    return make


def test_a_save_leaves_the_players_numbered_folders_alone(place, tmp_path):
    home = tmp_path / "saves" / "fake"
    for name in ("2021", "00000007", "1²"):
        (home / name).mkdir(parents=True)
        (home / name / "photo.jpg").write_bytes(b"mine")
    saves = Saves(tmp_path / "saves")
    for _ in range(2):
        made = saves.save(track(place))
    assert [path.name for path in sorted(home.iterdir())] == ["00000007", "00002023", "1²", "2021"]
    assert made.name == "00002023"
    for name in ("2021", "00000007", "1²"):
        assert (home / name / "photo.jpg").read_bytes() == b"mine"


def test_what_else_lies_in_an_older_save_stays(place, tmp_path):
    saves = Saves(tmp_path / "saves")
    first = saves.save(track(place))
    (first / "notes.txt").write_text("mine")
    saves.save(track(place))
    assert [path.name for path in first.iterdir()] == ["notes.txt"]


def test_a_save_that_is_a_link_is_left_alone(place, tmp_path):
    saves = Saves(tmp_path / "saves")
    kept = saves.save(track(place)).rename(tmp_path / "kept")
    (tmp_path / "saves/fake/00000001").symlink_to(kept)
    saves.save(track(place))
    assert (kept / "line.npz").is_file()


@pytest.mark.parametrize("name", ["..", "../other", "a/b", "."])
def test_no_name_makes_saves_go_elsewhere(make_fake_place, tmp_path, name):
    (tmp_path / "123").mkdir()
    with pytest.raises(ValueError, match="a world's name"):
        Saves(tmp_path / "saves").save(track(make_fake_place(name)))
    assert [path.name for path in tmp_path.iterdir()] == ["123"]


def test_a_folder_of_saves_that_leads_elsewhere_is_not_written_to(place, tmp_path):
    (tmp_path / "saves").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "saves/fake").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="nothing is written"):
        Saves(tmp_path / "saves").save(track(place))
    assert not list((tmp_path / "elsewhere").iterdir())


# ---- trainings ----


def test_a_cache_of_latents_replaces_nothing_else(tmp_path):
    from types import SimpleNamespace

    from worldsim.data.latents import load_or_encode_latents

    recording = tmp_path / "recording"
    recording.mkdir()
    (recording / "meta.json").write_text('{"frames": 3}')
    (recording / "episode.npz").write_bytes(b"mine")
    store = SimpleNamespace(names=list, sizes=list)
    with pytest.raises(ValueError, match="is not a cache of latents"):
        load_or_encode_latents(store, SimpleNamespace(latent_shape=(1, 1, 1)), "", recording)
    assert (recording / "episode.npz").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["..", "../x", "a/b"])
def test_a_training_with_a_name_that_leads_elsewhere_is_refused(name):
    from models.training.config import TrainConfig
    from models.training.config_published import PublishedConfig
    from models.training.recipe_autoencoder import AutoencoderConfig
    from models.training.spatial_config import SpatialConfig
    from worldsim.config import load_config

    files = {"dmlab": SpatialConfig, "dmlab-far": TrainConfig}
    files |= {"autoencoder/dcae-dmlab": AutoencoderConfig}
    files |= {"published/far-b-ucf101": PublishedConfig}
    for file, kind in files.items():
        with pytest.raises(ValueError, match="name must be"):
            load_config(asset("configs", f"{file}.yaml"), kind, [f"name='{name}'"])


def test_starting_afresh_deletes_only_worlds(tmp_path):
    from models.training.loop import start_folder

    for name in ("world", "world.old", "world.old-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "photo.jpg").write_text(name)
    start_folder(tmp_path, fresh=True)
    found = {path.name: (path / "photo.jpg").read_text() for path in tmp_path.iterdir()}
    assert found == {"world.old": "world.old", "world.old-2": "world.old-2", "world.old-3": "world"}


def test_half_made_latents_of_killed_programs_are_cleared(tmp_path):
    """Gigabytes were left at every kill; what is being made, or is not ours, stays."""
    from types import SimpleNamespace

    from worldsim.data.latents import load_or_encode_latents

    old, new, alien = (tmp_path / f".latents-{name}" for name in ("old", "new", "alien"))
    for folder in (old, new, alien):
        folder.mkdir()
        (folder / "latents.raw").write_bytes(b"half")
    (alien / "letter.txt").write_text("dear diary")
    for path in (old / "latents.raw", old, alien / "latents.raw", alien / "letter.txt", alien):
        os.utime(path, (0, 0))
    empty = SimpleNamespace(names=list, sizes=list, __iter__=lambda: iter(()))
    with pytest.raises(TypeError):  # a store of nothing: it ends after the clearing
        load_or_encode_latents(
            empty, SimpleNamespace(latent_shape=(1, 1, 1)), "", tmp_path / "latents"
        )
    assert not old.exists()
    assert (new / "latents.raw").exists()
    assert (alien / "letter.txt").exists()
