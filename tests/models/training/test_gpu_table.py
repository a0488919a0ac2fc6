"""The table of a GPU's speed: all of it runs without one, on the smallest sizes."""

import json

import pytest
import torch

from models.training.gpu_table import attempt
from tests.support.commands import told
from tests.support.tiny_layout import PRESET
from worldsim.evaluate.bench.command import main


def test_every_part_is_measured_and_left_as_json(tiny_spatial_world, tmp_path, capsys):
    (tmp_path / "tiny.yaml").write_text(PRESET)
    sizes = ["--kind", str(tmp_path / "tiny.yaml"), "--context", "5"]
    where = ["--worlds", str(tiny_spatial_world), "--out", str(tmp_path / "gpu.json")]
    options = ["--gpu-table", "--device", "cpu", "--quick", *sizes, *where]
    status, printed, report = told(capsys, main, *options)
    assert status == 0
    assert [(row["part"], row.get("batch")) for row in report["rows"]] == [
        ("single dream", None),
        ("batch", 1),
        ("batch", 2),
        ("published layout", None),
        ("drawing, one process", None),
        ("training", 4),
        ("training, own frames", 4),
    ]
    assert all(row["ms"] > 0 and row["per_s"] > 0 for row in report["rows"])
    assert report["rows"][-1]["samples"] == "random"
    assert json.loads((tmp_path / "gpu.json").read_text()) == report
    assert any("training on random samples" in line for line in printed)


def test_what_would_begin_too_late_is_left_out(tiny_spatial_world, tmp_path, capsys):
    where = ["--worlds", str(tiny_spatial_world), "--out", str(tmp_path / "gpu.json")]
    options = ["--gpu-table", "--device", "cpu", "--quick", "--limit", "-1", *where]
    _, printed, report = told(capsys, main, *options)
    assert {row["skipped"] for row in report["rows"]} == {"after --limit"}
    assert sum("left out" in line for line in printed) == len(report["rows"])


def test_a_part_that_does_not_fit_is_left_out_and_other_failures_are_not():
    def too_large():
        raise torch.OutOfMemoryError("CUDA out of memory")

    def wrong():
        raise ValueError("the dream ran away")

    cpu = torch.device("cpu")
    assert attempt(too_large, cpu) == {"skipped": "out of memory"}
    with pytest.raises(ValueError, match="ran away"):
        attempt(wrong, cpu)
