"""The figures of an evaluation in the card of the world that was evaluated."""

import json
import shutil

import pytest

from worldsim.cli import main as cli
from worldsim.evaluate.card_figures import write_figures
from worldsim.world.checkpoint import check_world
from worldsim.world.model import load_world, world_folder


def test_the_card_tells_what_was_measured(tmp_path):
    world = tmp_path / "world"
    shutil.copytree(world_folder("dmlab"), world)
    before = check_world(world)
    command = ["evaluate", str(world), "--quick", "--only", "fidelity"]
    assert cli([*command, "--out", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out/evaluation.json").read_text())
    write_figures(world, report)
    figures = load_world(world).card.figures
    assert check_world(world) == before  # saves and recordings still belong to it
    assert figures["psnr, dream"] == report["fidelity"]["dream"]["psnr"]
    assert figures["context"] == report["protocol"]["context"]
    assert "action following" not in figures  # not measured
    with pytest.raises(ValueError, match="evaluate this one"):
        write_figures(world, report | {"hash": "0" * 64})
    assert cli([*command, "--card"]) != 0  # seconds of it tell too little
