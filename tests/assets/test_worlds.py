"""The worlds that ship with the project: each is whole, and says what it is and whose."""

import gymnasium
import pytest

import worldsim  # noqa: F401  registers the environments
from worldsim.data.collect import SEED_RANGES
from worldsim.paths import asset
from worldsim.registration import list_bundled_dreams
from worldsim.world.card import read_card
from worldsim.world.checkpoint import check_world

FOLDERS = sorted(path.parent for path in asset("worlds").glob("*/card.json"))
MOST_MEGABYTES = 30


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request):
    return request.param


def test_every_bundled_world_has_an_id_and_no_other_has_one():
    assert sorted(list_bundled_dreams().values()) == [folder.name for folder in FOLDERS]
    assert set(list_bundled_dreams()) <= set(gymnasium.registry)
    dreams = {name for name in gymnasium.registry if name.startswith("FAR")}
    assert dreams == set(list_bundled_dreams())


def test_a_bundled_world_is_whole_and_small(folder):
    check_world(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert size < MOST_MEGABYTES * 1e6


def test_its_card_fits_its_engine_and_names_its_licence(folder):
    card = read_card(folder / "card.json")
    assert card.name == folder.name
    engine = gymnasium.make(card.engine, disable_env_checker=True, size=card.frame_size).unwrapped
    assert engine.actions.name == card.action_set
    assert engine.metadata["render_fps"] == card.fps
    engine.close()
    assert "MIT" in card.licence
    assert card.engine != "Maze-v0" or "Apache-2.0" in card.licence


def test_its_starts_are_places_it_was_not_trained_on(folder):
    from worldsim.data.store import EpisodeStore

    card, spawns = read_card(folder / "card.json"), EpisodeStore(folder / "spawns")
    assert len(spawns) > 1
    for number in range(len(spawns)):
        assert spawns.meta(number).source == card.engine
        assert spawns.meta(number).seed in SEED_RANGES["heldout"]
