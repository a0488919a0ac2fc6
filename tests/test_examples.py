"""The examples run, on the bundled world and the engine; what they find is no test's business."""

import json
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@pytest.mark.slow
def test_planning_prints_its_table(bundled_world, engine, capsys):
    main = runpy.run_path(str(EXAMPLES / "plan.py"))["main"]
    assert main(["--tasks", "1", "--moves", "2", "--dreams", "4", "--depth", "2"]) == 0
    printed = capsys.readouterr().out.splitlines()
    report = json.loads(printed[-1])
    assert set(report["means"]) == {"planned", "random", "standing"}
    assert report["means"]["standing"]["after"] == report["means"]["standing"]["before"]
    assert any(line.startswith("planned") for line in printed)
