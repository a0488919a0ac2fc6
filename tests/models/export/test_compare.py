"""Torch and ONNX Runtime side by side; how fast either is, is no test's business."""

import numpy as np
import pytest

from models.export.compare import compare_frames
from tests.support.commands import refused, told
from worldsim.evaluate.bench.command import main


def test_runtimes_make_the_same_frames_of_the_same_memory(
    tiny_spatial_world, exported_world, capsys
):
    """Frame by frame from what torch remembers, and at first also on its own."""
    options = [str(tiny_spatial_world), "--exported", str(exported_world), "--frames", "24"]
    status, printed, report = told(capsys, main, "--runtimes", *options)
    assert status == 0
    assert report["weights"] == "float32"
    assert report["together"]["within_1"]["mean"] > 0.99  # one last bit may change a small frame
    assert list(report["apart"]["error"]) == ["1", "2", "4", "8", "16", "24"]
    assert report["apart"]["error"]["8"] < 1
    assert all(one["p50_ms"] > 0 for one in report["speed"].values())
    assert any(line.split()[:1] == ["together"] for line in printed)


def test_an_export_of_another_world_is_refused(bundled_world, exported_world, capsys):
    said = refused(capsys, "bench", "--runtimes", "dmlab", "--exported", str(exported_world))
    assert f"must be an export of dmlab ({bundled_world.hash[:12]}), got one of" in said


def test_the_worst_frame_is_told():
    """A mean over all frames would hide one that is wrong."""
    theirs = np.zeros((10, 2, 2, 3), np.uint8)
    ours = theirs.copy()
    ours[3] = 2
    found = compare_frames(ours, theirs)
    assert found["within_1"] == {"worst": 0.0, "mean": 0.9}
    assert found["within_2"] == {"worst": 1.0, "mean": 1.0}
    assert found["mean_error"] == pytest.approx(0.2)
    assert found["error"] == {"1": 0.0, "2": 0.0, "4": 2.0, "8": 0.0, "10": 0.0}
