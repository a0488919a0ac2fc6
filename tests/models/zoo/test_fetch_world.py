"""Worlds by name: fetched from a mirror of the hub on loopback, imported once, played; published to
it and fetched back. The released world here is tiny, with the golden files' weights.
"""

import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import worldsim.zoo
from models.zoo.fetch_world import translate_actions
from models.zoo.presets import autoencoder_config, zoo_entry
from tests.support.commands import refused
from tests.support.far_worlds import write_far_world
from tests.support.hub_mirror import serve_hub
from tests.support.tiny_release import write_tiny_release
from worldsim.actions import load_actions
from worldsim.cli import main as cli
from worldsim.data.store import EpisodeStore
from worldsim.paths import asset
from worldsim.world.base import world_folder
from worldsim.world.checkpoint import check_world
from worldsim.zoo import HUB, ReleasedWorld, read_released

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def files(tmp_path_factory, diffusers):
    folder = tmp_path_factory.mktemp("release")
    write_tiny_release(folder)
    return folder


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror that huggingface_hub takes for the hub; caches that are empty."""
    from huggingface_hub import constants

    with serve_hub() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("WORLDSIM_CACHE", str(tmp_path / "worlds"))
        monkeypatch.chdir(tmp_path)
        yield served


def name_with_digits(path, stem):
    return f"{stem}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth"


@pytest.fixture
def tiny(mirror, files, monkeypatch):
    """The mirror holds the tiny release, which the zoo lists as `tiny`."""
    names = [name_with_digits(files / f"{stem}.pth", f"some/{stem}") for stem in ("far", "dcae")]
    data = ((files / f"{stem}.pth").read_bytes() for stem in ("far", "dcae"))
    mirror.files[HUB] = dict(zip(names, data, strict=True))
    kind = str(files / "tiny.yaml")
    world = ReleasedWorld(
        title="Tiny", kind=kind, far=names[0], autoencoder=names[1], parameters=1, starts="dmlab"
    )
    monkeypatch.setattr(worldsim.zoo, "read_released", lambda: {"tiny": world})
    return mirror, names


def test_a_named_world_is_fetched_once_and_played(tiny, capsys):
    """The first use fetches and imports; the second asks nobody."""
    import play

    mirror, (far, dcae) = tiny
    arguments = ["--world", "tiny", "--headless", "2", "--seed", "0"]
    assert play.main(arguments) == 0
    assert "2 frames" in capsys.readouterr().out
    assert mirror.count("GET", far) == mirror.count("GET", dcae) == 1
    asked = len(mirror.requests)
    assert play.main(arguments) == 0
    assert len(mirror.requests) == asked
    folder = world_folder("tiny")
    check_world(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]  # nothing is left over
    assert EpisodeStore(folder / "spawns")[0].meta.source == "Maze-v0"


def test_an_environment_fetches_too(tiny):
    import gymnasium

    env = gymnasium.make("FARDMLab-v0", world="tiny")
    frame, _ = env.reset(seed=0)
    assert frame.shape == (64, 64, 3)
    env.close()


def test_a_cut_transfer_goes_on_where_it_stopped(tiny, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 500)  # what is kept of a cut transfer
    mirror, (far, _) = tiny
    mirror.cut = 1200
    check_world(world_folder("tiny"))
    ranges = [asked for method, path, asked in mirror.requests if method == "GET" and far in path]
    assert ranges == [None, "bytes=1000-"]


def test_a_file_of_another_hash_is_refused_and_fetched_anew(tiny, capsys):
    mirror, (far, _) = tiny
    right = mirror.files[HUB][far]
    mirror.digests[far] = hashlib.sha256(right).hexdigest()
    mirror.files[HUB][far] = right[:-1] + bytes([right[-1] ^ 1])
    said = refused(capsys, "zoo", "fetch", "tiny")
    assert f"{far} is damaged: its sha256 must be {mirror.digests[far][:16]}" in said
    assert not worldsim.zoo.find_cached("tiny")
    mirror.files[HUB][far] = right
    assert cli(["zoo", "fetch", "tiny"]) == 0
    assert mirror.count("GET", far) == 2


def test_digits_of_a_name_are_compared_where_the_hub_lists_no_digest(tiny, capsys):
    mirror, (far, _) = tiny
    mirror.digests[far] = "0" * 40  # as of a file that lies in git itself
    mirror.files[HUB][far] += b"more"
    assert "is damaged: its sha256 must be" in refused(capsys, "zoo", "fetch", "tiny")


def test_without_a_network_it_is_one_sentence(tiny, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # where nobody answers
    said = refused(capsys, "play", "--world", "tiny", "--headless", "1")
    assert "was never fetched: the hub can't be reached; go online" in said
    write_far_world(tmp_path / "own")
    said = refused(capsys, "publish", "own", "--out", "published", "--upload", "me/own")
    assert "me/own is not uploaded: the hub can't be reached" in said


def test_offline_plays_what_is_here(tiny, monkeypatch, capsys):
    from huggingface_hub import constants

    folder = world_folder("tiny")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(tiny[0].requests)
    assert world_folder("tiny") == folder
    shutil.rmtree(folder)  # the hub's files are still here
    check_world(world_folder("tiny"))
    shutil.rmtree(folder)
    shutil.rmtree(folder.parent.parent / "hub")
    assert "was never fetched" in refused(capsys, "zoo", "fetch", "tiny")
    assert len(tiny[0].requests) == asked


@pytest.mark.parametrize(
    ("module", "extra"), [("huggingface_hub", "worldsim[hub]"), ("diffusers", "worldsim[dcae,hub]")]
)
def test_without_an_extra_it_is_one_sentence(tiny, monkeypatch, capsys, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    assert f"pip install '{extra}'" in refused(capsys, "zoo", "fetch", "tiny")
    assert not tiny[0].requests


def test_a_file_that_is_not_there_is_one_sentence(tiny, capsys):
    mirror, (far, _) = tiny
    del mirror.files[HUB][far]
    assert f"the hub has no {far} of {HUB}" in refused(capsys, "zoo", "fetch", "tiny")
    mirror.files.clear()
    assert "can't be had from the hub" in refused(capsys, "zoo", "fetch", "tiny")
    assert "must be one of tiny, or OWNER/NAME" in refused(capsys, "zoo", "fetch", "far-nosuch")


def test_the_list_says_what_is_known(tiny, capsys):
    assert cli(["zoo", "fetch", "tiny"]) == 0
    capsys.readouterr()
    assert cli(["zoo"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert re.search(r"\bcpu +yes\b", rows["dmlab"])
    assert re.search(r"\byes +unknown; code MIT +guyuchao/FAR_Models +Tiny", rows["tiny"])
    assert cli(["zoo", "remove", "tiny"]) == 0
    assert cli(["zoo"]) == 0
    assert re.search(r"^tiny .* no ", capsys.readouterr().out, re.MULTILINE)
    assert "must be in" in refused(capsys, "zoo", "remove", "dmlab")


@pytest.mark.parametrize(("name", "world"), read_released().items())
def test_what_is_listed_fits_its_preset(name, world):
    entry = zoo_entry(world.kind)
    channels = autoencoder_config(world.kind, entry)["encoder_block_out_channels"]
    counted = {4: 127920940, 5: 215758380, 6: 323356460}[len(channels)]
    assert world.parameters == entry.parameters + counted
    pixels = entry.network.latent_size * 2 ** (len(channels) - 1)
    assert f"{pixels} px" in world.title
    assert f"{pixels}-" in world.far
    assert f"Res{pixels}-" in world.autoencoder
    assert (world.starts is not None) == (entry.action_set != "watch")


def test_lent_starts_leave_out_what_the_world_cannot_do():
    voxel, minecraft = load_actions("voxel"), load_actions("minecraft")
    episode = EpisodeStore(asset("worlds", "minecraft", "spawns"))[0]
    stand, forward = voxel.id("stand"), voxel.id("forward")
    taken = np.array([stand, forward, stand, stand, *episode.actions[4:]])
    episode = dataclasses.replace(episode, actions=taken)
    lent = translate_actions(episode, voxel, minecraft)
    kept = np.flatnonzero(episode.actions != stand)
    assert len(lent.frames) == len(lent.actions) + 1 == len(kept) + 1
    np.testing.assert_array_equal(lent.frames[1:], episode.frames[kept + 1])
    named = [minecraft.names[action] for action in lent.actions]
    assert named == [voxel.names[action] for action in episode.actions[kept]]


@pytest.fixture
def own(tmp_path):
    write_far_world(tmp_path / "own")
    return tmp_path / "own"


def test_a_published_world_comes_back_as_it_was(mirror, own, tmp_path, capsys):
    """The whole way: publish, upload, fetch in another process, play."""
    out = tmp_path / "published"
    assert cli(["publish", str(own), "--out", str(out), "--upload", "me/maze"]) == 0
    assert f"{mirror.url}/me/maze" in capsys.readouterr().out
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert set(mirror.files["me/maze"]) == names
    command = [sys.executable, "-m", "worldsim", "zoo", "fetch", "me/maze"]
    there = {"HF_ENDPOINT": mirror.url, "HF_HOME": str(tmp_path / "home")}
    told = {"env": {**os.environ, **there}, "capture_output": True, "text": True}
    run = subprocess.run(command, cwd=ROOT, timeout=600, **told)
    assert run.returncode == 0, run.stderr
    assert check_world(world_folder("me--maze")) == check_world(own)
    capsys.readouterr()
    assert cli(["zoo"]) == 0
    assert re.search(r"^me--maze .* yes +MIT +fetched +A tiny dream", capsys.readouterr().out, re.M)
    assert cli(["play", "--world", "me--maze", "--headless", "1", "--seed", "0"]) == 0


def test_a_model_card_has_the_heads_fields(own, tmp_path):
    from huggingface_hub import ModelCard

    assert cli(["publish", str(own), "--out", str(tmp_path / "published")]) == 0
    card = ModelCard.load(tmp_path / "published" / "README.md")
    assert card.data.license == "mit"
    assert card.data.library_name == "worldsim"
    assert "world-model" in card.data.tags
    assert "worldsim zoo fetch OWNER/NAME" in card.text
    assert cli(["publish", "dmlab", "--out", str(tmp_path / "other")]) == 0
    text = (tmp_path / "other" / "README.md").read_text()
    head = yaml.safe_load(text.split("---")[1])
    assert (head["license"], head["license_name"]) == ("other", "see-below")
    assert "Apache-2.0" in text


def test_publishing_overwrites_nothing(own, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note").touch()
    said = refused(capsys, "publish", str(own), "--out", str(tmp_path / "full"))
    assert "exists and is not empty" in said


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil"])
def test_a_manifest_that_leaves_the_folder_is_refused(mirror, own, tmp_path, capsys, name):
    assert cli(["publish", str(own), "--out", str(tmp_path / "out"), "--upload", "me/maze"]) == 0
    listed = json.loads(mirror.files["me/maze"]["manifest.json"])
    mirror.files["me/maze"]["manifest.json"] = json.dumps({name: "0", **listed}).encode()
    assert "lies outside" in refused(capsys, "zoo", "fetch", "me/maze")
    assert not list((tmp_path / "worlds").iterdir())
