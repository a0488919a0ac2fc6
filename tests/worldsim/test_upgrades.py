"""Settings and tensors under names of older versions: read with a warning, and never both at once;
the world stays the same one.
"""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from models.training.config import TrainConfig
from worldsim.config import ConfigError, load_config, to_dict
from worldsim.paths import asset
from worldsim.upgrades import (
    REMOVED,
    REMOVED_TENSORS,
    RENAMED,
    RENAMED_TENSORS,
    drop_removed,
    flatten_groups,
    upgrade_settings,
)
from worldsim.world.card import read_card
from worldsim.world.checkpoint import hash_world
from worldsim.world.model import load_world
from worldsim.world.opening import open_world
from worldsim.yaml12 import parse_yaml

CONFIG = asset("configs", "dmlab-far.yaml")


KEPT = [path for path, new in RENAMED.items() if new not in REMOVED]


def plain() -> dict:
    return parse_yaml(CONFIG.read_text(), CONFIG.name)


def value_at(config, path):
    """The value of a setting of a configuration, or of plain data, by its path."""
    for name in path.split("."):
        config = getattr(config, name)
    return config


def written(tmp_path, data):
    (tmp_path / "old.yaml").write_text(json.dumps(data))
    return tmp_path / "old.yaml"


@pytest.mark.parametrize("path", KEPT)
def test_an_old_name_in_a_configuration_is_read_with_a_warning(path, tmp_path):
    new, now, data = RENAMED[path], load_config(CONFIG, TrainConfig), plain()
    *sections, name = new.split(".")
    inside = data
    for section in sections:
        inside = inside[section]
    inside.pop(name, None)
    section, old = path.split(".")
    data[section][old] = to_dict(value_at(now, new))
    with pytest.warns(FutureWarning, match=f"{path} is now called {new}"):
        read = load_config(written(tmp_path, data), TrainConfig)
    assert read == now


@pytest.mark.parametrize("path", KEPT)
def test_an_old_name_on_the_command_line_is_read_with_a_warning(path):
    now = load_config(CONFIG, TrainConfig)
    value = json.dumps(to_dict(value_at(now, RENAMED[path])))
    with pytest.warns(FutureWarning, match=f"{path} is now called {RENAMED[path]}"):
        assert load_config(CONFIG, TrainConfig, [f"{path}={value}"]) == now


def test_both_names_at_once_are_refused(tmp_path):
    data = plain()
    data["dynamics"]["ring"] = 3
    with pytest.raises(ConfigError, match="give one of them, not both"):
        load_config(written(tmp_path, data), TrainConfig)


def test_a_group_that_holds_no_settings_is_refused(tmp_path):
    data = plain()
    data["dynamics"] = {"memory": 3, "ring": 3}
    with pytest.raises(ConfigError, match="but memory has no settings inside"):
        load_config(written(tmp_path, data), TrainConfig)


def test_a_card_of_any_version_is_read_and_of_the_same_world(tiny_world, tmp_path):
    """Renaming a setting voided every save; groups must not."""
    shutil.copy(tiny_world / "card.json", tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    upgraded, _ = upgrade_settings(card["settings"])
    flat = flatten_groups(upgraded)
    assert set(upgraded["dynamics"]) == {"network", "memory", "sampler"}
    assert not set(flat["dynamics"]) & set(upgraded["dynamics"])
    older = flat | {"dynamics": dict(flat["dynamics"])}
    older["dynamics"]["ring"] = older["dynamics"].pop("recent_coarse")
    identities = set()
    for settings in (upgraded, flat, older):
        (tmp_path / "card.json").write_text(json.dumps(card | {"settings": settings}))
        assert read_card(tmp_path / "card.json").settings == upgraded
        identities.add(hash_world(tmp_path / "card.json", "0" * 64))
    assert len(identities) == 1


def test_a_setting_that_is_gone_is_dropped_or_refused():
    kept = {"codec": {"patch": 8}, "dynamics": {"network": {"width": 64}, "sampler": {}}}
    older = {
        "codec": {"patch": 8, "textures": 0, "texture_strength": 0.8},
        "dynamics": {
            "network": {"width": 64, "refiner": 0},
            "sampler": {"retrieval": 0, "kept": 2, "still": 0.0},
        },
    }
    assert drop_removed(older) == drop_removed(kept) == kept
    assert older["codec"]["textures"] == 0, "what was given is changed"
    elsewhere = {"network": {"refiner": 8}, "sampler": {"still": 1}, "codec": 3}
    assert drop_removed(elsewhere) == elsewhere
    with pytest.raises(ValueError, match=r"codec\.textures is gone: it must be 0, got 16"):
        drop_removed({"codec": {"textures": 16}})
    with pytest.raises(ValueError, match=r"sampler\.still is gone: it must be 0, got 0.1"):
        drop_removed({"dynamics": {"sampler": {"still": 0.1}}})


@pytest.mark.parametrize("path", REMOVED)
def test_a_setting_that_is_gone_is_no_setting_of_a_configuration(path):
    with pytest.raises(ConfigError, match=f"{path} is not a setting"):
        load_config(CONFIG, TrainConfig, [f"{path}=0"])


def test_a_save_from_before_the_bank_was_a_group_is_read(tiny_world, tmp_path):
    world, names = load_world(tiny_world), {new: old for old, new in RENAMED_TENSORS.items()}
    state = world.reset(np.zeros((1, 2, 16, 16, 3), np.uint8), np.array([[2]]), [0])
    state.save(tmp_path / "new.safetensors")
    with safe_open(tmp_path / "new.safetensors", "pt") as file:
        meta = file.metadata()
        tensors = {names.get(name, name): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    gone = {names[name] for name in REMOVED_TENSORS}
    assert set(names.values()) - gone <= set(tensors)
    tensors |= {name: torch.zeros(1, 256, dtype=torch.bool) for name in gone}
    save_file(tensors, tmp_path / "old.safetensors", metadata=meta)
    old = world.load_state(tmp_path / "old.safetensors")
    for name, tensor in state.carry.tensors().items():
        assert torch.equal(old.carry.tensors()[name], tensor)


@pytest.mark.parametrize(
    ("kind", "runtime"), [("tiny_spatial_world", "torch"), ("exported_world", "onnx")]
)
@pytest.mark.parametrize("added", ["climb", "stood"])
def test_a_save_from_before_states_kept_it_is_read(kind, runtime, added, request, tmp_path):
    world = open_world(request.getfixturevalue(kind), runtime=runtime)
    size = world.card.frame_size
    state = world.reset(np.zeros((1, 2, size, size, 3), np.uint8), np.array([[2]]), [0])
    state.save(tmp_path / "new.safetensors")
    with safe_open(tmp_path / "new.safetensors", "pt") as file:
        meta = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys() if name != added}  # noqa: SIM118
    assert set(state.carry.tensors()) - set(tensors) == {added}
    save_file(tensors, tmp_path / "old.safetensors", metadata=meta)
    old = world.load_state(tmp_path / "old.safetensors").carry.tensors()
    blank = world.dynamics.initial(1).tensors()[added]
    assert np.array_equal(old.pop(added), blank)
    for name, tensor in old.items():
        assert np.array_equal(tensor, state.carry.tensors()[name])
