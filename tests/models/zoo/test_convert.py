"""Released weights become worlds: every published name and shape, and a small world all the way."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.codec.dcae import empty_autoencoder
from models.far_published.network import FARReferenceNetwork
from models.zoo.convert import main
from models.zoo.golden import read_golden
from models.zoo.import_weights import autoencoder_shapes, network_shapes
from models.zoo.presets import autoencoder_config, far_config, zoo_entry, zoo_names
from models.zoo.tensor_names import from_published, to_published
from tests.support.tiny_release import write_tiny_release
from worldsim.actions import load_actions
from worldsim.world.checkpoint import WorldError
from worldsim.world.model import load_world

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
RELEASED = json.loads((GOLDEN / "released_checkpoints.json").read_text())
NETWORKS = {
    "far-b": "FAR-B (uncond)",
    "far-m": "FAR-M (uncond)",
    "far-l": "FAR-L (uncond)",
    "far-l-label": "FAR-L (label 101)",
    "far-xl": "FAR-XL (label 101)",
    "far-b-long": "FAR-B-Long (action)",
    "far-m-long": "FAR-M-Long (action)",
}


def test_the_zoo_is_complete():
    assert set(zoo_names()) == set(NETWORKS)


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_preset_is_the_released_network(kind):
    """Counted parameters, and every tensor's published name and shape."""
    entry, released = zoo_entry(kind), RELEASED[NETWORKS[kind]]
    with torch.device("meta"):
        network = FARReferenceNetwork(entry.network)
    counted = sum(parameter.numel() for parameter in network.parameters())
    assert counted == entry.parameters == released["parameters"]
    shapes = {name: list(shape) for name, shape in network_shapes(entry.network).items()}
    assert shapes == released["state_dict"]
    theirs, ours = far_config(released["config"]), entry.network
    assert theirs.width == ours.width
    assert theirs.coarse_patch == ours.coarse_patch
    actions = load_actions(entry.action_set)
    assert len(actions) == len(entry.play.classes)


@pytest.mark.parametrize("factor", [8, 16, 32])
def test_an_autoencoder_preset_is_the_released_one(factor, diffusers):
    entry = zoo_entry("far-b", (f"autoencoder=dcae-{factor}x-c32",))
    config, released = autoencoder_config("far-b", entry), RELEASED[f"DC-AE {factor}x c32"]
    assert config == released["config"]
    with torch.device("meta"):
        model = empty_autoencoder(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == released["parameters"]
    shapes = {name: list(shape) for name, shape in autoencoder_shapes(config).items()}
    assert shapes == released["state_dict"]


def test_names_go_there_and_back():
    golden = read_golden(GOLDEN / "far_long.safetensors")
    cfg = far_config(golden.meta["config"])
    there = to_published(from_published(golden.weights, cfg), cfg)
    assert there.keys() == golden.weights.keys()
    assert all(torch.equal(tensor, golden.weights[name]) for name, tensor in there.items())


def test_an_unknown_published_setting_is_refused():
    golden = read_golden(GOLDEN / "far_long.safetensors")
    with pytest.raises(ValueError, match="'surprise', which is not known"):
        far_config(golden.meta["config"] | {"surprise": 1})


@pytest.fixture
def released(tmp_path, diffusers):
    """Files like the released ones, tiny, with the golden files' weights, and their preset."""
    write_tiny_release(tmp_path)
    return tmp_path


def import_from(folder, *options, **files):
    given = {"far": "far.pth", "autoencoder": "dcae.pth", "kind": "tiny.yaml", "out": "world"}
    arguments = [
        part
        for option, name in (given | files).items()
        for part in (f"--{option}", str(folder / name))
    ]
    return main(["import", *arguments, *options])


def test_released_files_become_a_world_that_plays(released, capsys):
    assert import_from(released) == 0
    shown = capsys.readouterr().out
    assert "taking the weights under 'ema'" in shown
    assert shown.count("every name and shape fits") == 2
    world = load_world(released / "world")
    assert world.card.frame_size == 64
    assert world.card.settings["play"]["action_delay"] == 1
    golden = read_golden(GOLDEN / "far_long.safetensors")
    ours = to_published(world.dynamics.network.state_dict(), world.dynamics.cfg)
    assert all(torch.equal(tensor, golden.weights[name]) for name, tensor in ours.items())
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (1, 6, 64, 64, 3)).astype(np.uint8)
    state = world.reset(frames, np.array([[0, 1, 2, 2, 1]]), [0])
    state.save(released / "state.safetensors")
    state, first = world.step(state, [2])
    assert first.shape == (1, 64, 64, 3)
    assert first.dtype == np.uint8
    assert first.std() > 1
    _, again = world.step(world.load_state(released / "state.safetensors"), [2])
    np.testing.assert_array_equal(first, again)


def test_an_imported_world_is_an_environment(released):
    """Its card's number of sampler steps is none that a player can choose, and is taken."""
    from envs.world_model import WorldModelEnv

    import_from(released)
    env = WorldModelEnv(world=released / "world")
    frames = np.zeros((3, 64, 64, 3), np.uint8)
    env.reset(seed=0, options={"frames": frames, "actions": np.array([0, 1])})
    frame, *_ = env.step(2)
    assert env.steps == 3
    assert frame.shape == (64, 64, 3)
    env.close()


def test_an_imported_world_starts_from_published_clips(released):
    """The golden clip is one of the data the weights have seen: it is taken as it lies."""
    from worldsim.data.published.teco import read_clip
    from worldsim.data.store import EpisodeStore

    EpisodeStore(released / "episodes").append(read_clip(GOLDEN / "dmlab_clip.npz"))
    import_from(released, "--spawns", str(released / "episodes"))
    (spawn,) = load_world(released / "world").spawns
    assert spawn.frames.shape == (65, 64, 64, 3)
    assert spawn.actions.shape == (64,)
    with pytest.raises(ValueError, match="holds no episodes"):
        import_from(released, "--spawns", str(released / "nowhere"), out="other")


def test_an_imported_world_is_played_without_a_window(released, monkeypatch, capsys):
    """The way a person goes: import, then play.py."""
    import play
    from worldsim.data.published.teco import read_clip
    from worldsim.data.store import EpisodeStore

    EpisodeStore(released / "episodes").append(read_clip(GOLDEN / "dmlab_clip.npz"))
    import_from(released, "--spawns", str(released / "episodes"))
    monkeypatch.chdir(released)
    assert play.main(["--world", str(released / "world"), "--headless", "5", "--seed", "0"]) == 0
    assert "5 frames" in capsys.readouterr().out


@pytest.fixture
def hub(released, monkeypatch):
    """The hub as it is without a network, some files having been fetched before."""
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(released / "hub"))
    repository, commit = released / "hub" / "models--guyuchao--FAR_Models", "0" * 40
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots" / commit).mkdir(parents=True)
    for name in ("far.pth", "dcae.pth"):
        (released / name).rename(repository / "snapshots" / commit / name)
    return released


def hub_import(folder, *options):
    kind = ["--kind", str(folder / "tiny.yaml"), "--out", str(folder / "world")]
    return main(["import", "--hub", *kind, *options])


def test_files_come_from_the_hub(hub):
    assert hub_import(hub, "--far", "far.pth", "--autoencoder", "dcae.pth") == 0
    assert load_world(hub / "world").card.frame_size == 64


def test_no_network_is_one_sentence(hub):
    with pytest.raises(ValueError, match="never fetched: the hub can't be reached; go online"):
        hub_import(hub, "--far", "other.pth", "--autoencoder", "dcae.pth")
    with pytest.raises(ValueError, match=r"which of the hub's files .* is made of is not known"):
        hub_import(hub)
    with pytest.raises(ValueError, match="give both --far and --autoencoder, or --hub"):
        main(["import", "--kind", "far-b", "--out", str(hub / "world")])


@pytest.mark.parametrize("kind", sorted(set(NETWORKS) - {"far-m"}))  # which was never released
def test_every_released_kind_has_its_files_in_the_hub(kind):
    from models.zoo.hub import find_released_names

    assert all(name.endswith(".pth") for name in find_released_names(kind, None, None))


def test_plain_weights_and_settings_can_be_asked_for(released):
    import_from(released, "--plain", "--set", "play.guidance=1.0")
    world = load_world(released / "world")
    assert world.dynamics.play.guidance == 1.0
    assert not any(bool(p.any()) for p in world.dynamics.network.parameters())


def test_a_file_of_another_network_is_told_apart(released, capsys):
    weights = dict(read_golden(GOLDEN / "far_long.safetensors").weights)
    del weights["proj_out.bias"]
    weights["x_embedder.weight"] = torch.zeros(3, 3)
    weights["extra"] = torch.zeros(1)
    torch.save(weights, released / "far.pth")
    with pytest.raises(ValueError, match="1 tensors are missing and 1 misshapen"):
        import_from(released)
    shown = capsys.readouterr().out
    assert "missing   proj_out.bias" in shown
    assert "surplus   extra" in shown
    assert "misshapen x_embedder.weight [3, 3], expected [64, 32]" in shown
    assert not (released / "world").exists()


class Touch:
    """Pickled, it would make a file when it is unpickled carelessly."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_no_code_of_a_checkpoint_runs(released):
    torch.save({"ema": Touch(released / "touched")}, released / "far.pth")
    with pytest.raises(ValueError, match="without running code"):
        import_from(released)
    assert not (released / "touched").exists()


def test_a_world_without_its_weights_is_refused(released):
    import_from(released)
    from safetensors.torch import load_file, save_file

    from worldsim.world.checkpoint import write_manifest

    weights = load_file(released / "world" / "weights.safetensors")
    del weights["dynamics.embed.fine.bias"]
    save_file(weights, released / "world" / "weights.safetensors")
    write_manifest(released / "world")
    with pytest.raises(WorldError, match="don't fit its card"):
        load_world(released / "world")
