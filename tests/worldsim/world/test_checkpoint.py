"""A world's identity: its weights and what decides how it dreams, and nothing else."""

import json
import shutil

import pytest

from worldsim.world.card import read_card
from worldsim.world.checkpoint import BEHAVIOUR, CARD, check_world, write_card
from worldsim.world.model import load_world, world_folder

OUTSIDE = ("name", "title", "licence", "training", "figures", "format", "starts", "continuous")


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(world_folder("dmlab"), tmp_path / "world")
    return tmp_path / "world"


def change(folder, **fields):
    card = json.loads((folder / CARD).read_text())
    write_card(folder, card | fields)


def test_every_field_of_a_card_is_inside_or_outside(folder):
    assert {*BEHAVIOUR, *OUTSIDE} == set(vars(read_card(folder / CARD)))


def test_a_save_survives_another_title_licence_and_figures(folder, tmp_path):
    world = load_world(folder)
    spawn = world.spawns[0]
    state = world.reset(spawn.frames[None, :2], spawn.actions[None, :1], [0])
    state.save(tmp_path / "state.safetensors")
    change(folder, title="Another", licence="none", figures={"psnr": 1.0}, training={})
    again = load_world(folder)
    assert again.hash == world.hash
    assert again.load_state(tmp_path / "state.safetensors").seeds == [0]


@pytest.mark.parametrize("field", BEHAVIOUR)
def test_whatever_decides_the_dream_is_another_world(folder, field):
    before = check_world(folder)
    other = json.loads((folder / CARD).read_text())["settings"] | {"window": 1}
    change(folder, **{field: other if field == "settings" else "other"})
    assert check_world(folder) != before


def test_other_weights_are_another_world(folder):
    before = check_world(folder)
    with open(folder / "weights.safetensors", "ab") as file:
        file.write(b" ")
    change(folder)
    assert check_world(folder) != before
