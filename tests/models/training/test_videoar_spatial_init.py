"""Weights of a training under way, which its configuration goes on from (assets/training)."""

from pathlib import Path

import pytest

from models.training.videoar_spatial_config import VideoARSpatialConfig
from models.training.videoar_spatial_init import check_origin
from worldsim.config import load_config
from worldsim.paths import asset
from worldsim.world.card import read_card
from worldsim.world.checkpoint import check_world
from worldsim.world.model import load_world

FOLDERS = sorted(path.parent for path in asset("training").glob("*/card.json"))
MOST_MEGABYTES = 30


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request):
    return request.param


def test_they_are_whole_small_and_licensed(folder):
    check_world(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert size < MOST_MEGABYTES * 1e6
    assert "MIT" in read_card(folder / "card.json").licence


def test_their_configuration_goes_on_from_them(folder):
    path = asset("configs", f"{folder.name}.yaml")
    check_origin(load_config(Path(path), VideoARSpatialConfig), str(folder))


def test_they_are_no_bundled_worlds(folder):
    """They play, but nobody is offered them."""
    assert load_world(folder).card.name == folder.name
    assert not asset("worlds", folder.name).exists()
