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
    kept = load_world("dmlab").card.figures["action following"]
    assert figures["action following"] == kept  # not measured, so what it was
    with pytest.raises(ValueError, match="evaluate this one"):
        write_figures(world, report | {"hash": "0" * 64})
    assert cli([*command, "--card"]) != 0  # seconds of it tell too little


def test_the_card_has_the_visibility_table_with_its_own_n(tmp_path):
    world = tmp_path / "world"
    shutil.copytree(world_folder("dmlab"), world)
    horizons = {"1": 30.0, "mean": 20.0}
    part = {
        "seen": {"dream": {"psnr": horizons}, "bare warp": {"psnr": horizons}},
        "share": {"context shows": {"share": {"mean": 0.5}}},
        "invented": {"first 20": {"sharpness": 0.8}},
        "two seeds": {"seen": 31.0},
        "return": {},
        "features": {"network": "a network"},
        "real or dreamt": {"dream": {"accuracy": {"1": 0.6}}, "skipped": "no"},
    }
    protocol = {"episodes": 7, "context": 144, "predicted": 156, "long": 1000}
    report = {"hash": check_world(world), "steps": 1, "protocol": protocol, "visibility": part}
    before = load_world(world).card.figures
    write_figures(world, report)
    figures = load_world(world).card.figures
    assert figures["visibility"]["episodes"] == 7
    assert figures["visibility"]["seen psnr"]["bare warp"] == horizons
    assert figures["visibility"]["real or dreamt"] == {"dream": {"1": 0.6}}
    assert {k: v for k, v in figures.items() if k != "visibility"} == {
        k: v for k, v in before.items() if k != "visibility"
    }
