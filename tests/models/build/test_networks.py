"""FAR-Long worlds of older versions: those that need what is gone are refused in one sentence."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from worldsim.world.checkpoint import CARD, WEIGHTS, WorldError, save_world
from worldsim.world.model import load_world

NOTHING = {"retrieval": 0, "kept": 2, "album": 0, "still": 0.0, "inpaint": 0.6, "ripens": 350.0}


def rewrite(world, folder, change, weights=None):
    """A copy of a world whose settings are changed in place, with further weights."""
    shutil.copytree(world, folder)
    card = json.loads((folder / CARD).read_text())
    change(card["settings"])
    save_world(folder, card, load_file(folder / WEIGHTS) | (weights or {}))
    return folder


def name_all(settings):
    """What cards of older versions said where nothing of it was used."""
    settings["codec"] |= {"textures": 0, "texture_strength": 0.6}
    settings["dynamics"]["network"]["refiner"] = 0
    settings["dynamics"]["sampler"] |= NOTHING


def test_a_card_that_names_what_is_gone_and_needs_none_of_it_dreams_the_same(tiny_world, tmp_path):
    frames = []
    for folder in (tiny_world, rewrite(tiny_world, tmp_path / "tiny", name_all)):
        world = load_world(folder)
        spawn = world.spawns[0]
        state = world.reset(spawn.frames[None], spawn.actions[None], [0])
        frames.append(world.step(state, [2])[1])
    assert np.array_equal(*frames)


@pytest.mark.parametrize(
    ("section", "setting", "value"),
    [
        ("codec", "textures", 16),
        ("dynamics.network", "refiner", 8),
        ("dynamics.sampler", "retrieval", 6),
        ("dynamics.sampler", "album", 5),
        ("dynamics.sampler", "still", 0.02),
    ],
)
def test_a_world_that_needs_a_setting_that_is_gone_is_refused(
    tiny_world, tmp_path, section, setting, value
):
    def change(settings):
        for name in section.split("."):
            settings = settings[name]
        settings[setting] = value

    told = f"tiny needs what only older versions have ({section}.{setting} is gone: it must be 0"
    with pytest.raises(WorldError, match=re.escape(f"{told}, got {value}): play it with")):
        load_world(rewrite(tiny_world, tmp_path / "tiny", change))


@pytest.mark.parametrize("part", ["geometry", "album"])
def test_a_world_with_a_part_that_is_gone_is_refused(tiny_world, tmp_path, part):
    """Its other weights would load, and dream something else."""
    more = {f"{part}.weight": torch.zeros(3)}
    folder = rewrite(tiny_world, tmp_path / "tiny", lambda settings: None, more)
    told = f"its parts must be codec, dynamics and outcome, got {part}): play it with the version"
    with pytest.raises(WorldError, match=re.escape(told)):
        load_world(folder)
