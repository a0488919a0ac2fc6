"""Settings under names of older versions: read with a warning, and never both at once."""

import json
import shutil

import pytest

from models.training.config import TrainConfig
from worldsim.config import ConfigError, load_config
from worldsim.paths import asset
from worldsim.upgrades import RENAMED, upgrade_settings
from worldsim.world.card import read_card

CONFIG = asset("configs", "dmlab.yaml")


@pytest.mark.parametrize("path", RENAMED)
def test_an_old_name_in_a_configuration_is_read_with_a_warning(path, tmp_path):
    section, _ = path.split(".")
    new, now = RENAMED[path], load_config(CONFIG, TrainConfig)
    value = getattr(getattr(now, section), new)
    lines = [line for line in CONFIG.read_text().splitlines() if not line.startswith(f"  {new}:")]
    (tmp_path / "old.yaml").write_text("\n".join(lines))
    with pytest.warns(FutureWarning, match=f"{path} is now called {section}.{new}"):
        read = load_config(tmp_path / "old.yaml", TrainConfig, [f"{path}={value}"])
    assert read == now


def test_both_names_at_once_are_refused():
    with pytest.raises(ConfigError, match="give one of them, not both"):
        load_config(CONFIG, TrainConfig, ["dynamics.ring=3"])


def test_a_card_of_an_older_version_is_read(tmp_path):
    shutil.copy(asset("worlds", "dmlab", "card.json"), tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    upgraded, _ = upgrade_settings(card["settings"])
    old = upgraded | {"dynamics": dict(upgraded["dynamics"])}
    old["dynamics"]["ring"] = old["dynamics"].pop("recent_coarse")
    (tmp_path / "card.json").write_text(json.dumps(card | {"settings": old}))
    assert read_card(tmp_path / "card.json").settings == upgraded
