"""The table of a GPU's speed: all of it runs without one, on the smallest sizes."""

import json

import torch

from models.training import gpu_table
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
    assert sum("skipped:" in line for line in printed) == len(report["rows"])


def test_a_part_that_does_not_fit_or_fails_leaves_the_others(monkeypatch, tmp_path, capsys):
    def measure_two(args, device):
        def too_large():
            raise torch.OutOfMemoryError("CUDA out of memory")

        def wrong():
            raise RuntimeError("CUDA error: invalid argument\nCompile with TORCH_USE_CUDA_DSA")

        yield {"part": "batch", "of": "a", "batch": 256}, too_large
        yield {"part": "training", "of": "b"}, wrong

    monkeypatch.setattr(gpu_table, "every_row", measure_two)
    options = ["--gpu-table", "--device", "cpu", "--out", str(tmp_path / "gpu.json")]
    status, printed, report = told(capsys, main, *options)
    assert status == 1
    assert report["rows"][0]["skipped"] == "out of memory"
    assert report["rows"][1]["failed"] == "CUDA error: invalid argument"
    assert "  failed: training, b: CUDA error: invalid argument" in printed
