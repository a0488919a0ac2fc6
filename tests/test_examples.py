"""The examples run, on the bundled world and the engine; what they find is no test's business."""

import runpy
import sys
from pathlib import Path

import cv2
import pytest

from tests.support.commands import told

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.mark.slow
def test_agents_go_to_a_picture_and_are_judged(bundled_world, engine, tmp_path, capsys):
    main = runpy.run_path(str(EXAMPLES / "reach_picture.py"))["main"]
    out = tmp_path / "figures.json"
    status, printed, report = told(capsys, main, "--quick", "--out", str(out))
    assert status == 0
    assert out.read_text() == printed[-1] + "\n"
    dreamers = {"planned", "no memory", "other picture"}
    assert set(report["runs"]) == set(report["means"]) == dreamers | {"reversed", "random"}
    for who, runs in report["runs"].items():
        assert len(runs) == 2
        for run in runs:
            assert run["and looks"] <= run["arrived"] == (run["cells left"] <= 0.6)
            assert (run["dB of plans"] is not None) == (who in dreamers and run["moves"] > 0)
        mean, low, high = report["means"][who]["cells left"]
        assert mean == pytest.approx(sum(run["cells left"] for run in runs) / 2)
        assert low <= mean <= high
    assert all(run["moves"] == 4 for run in report["runs"]["random"])
    assert any(line.startswith("planned") for line in printed)


@pytest.mark.slow
def test_a_policy_of_the_dream_is_judged_in_the_engine(bundled_world, engine, agents, capsys):
    main = runpy.run_path(str(EXAMPLES / "dream_policy.py"))["main"]
    few = ["--steps", "8", "--dreams", "2", "--length", "4", "--mazes", "3", "--after", "3,4"]
    status, printed, report = told(capsys, main, *few)
    assert status == 0
    assert set(report["found"]) == {"random", "walk on", "PPO, dream", "PPO, engine"}
    # Four steps of 0.38 cells at most, and the one that walks on takes the first of them.
    assert all(0 <= row["mean"] <= 4 * 0.38 + 1e-6 for row in report["found"].values())
    assert report["found"]["walk on"]["mean"] > 0.1
    assert any(line.startswith("PPO, dream") for line in printed)


@pytest.mark.slow
def test_a_film_shows_the_dream_beside_its_map(bundled_world, tmp_path, capsys):
    main = runpy.run_path(str(EXAMPLES / "film_memory.py"))["main"]
    path = tmp_path / "walk.webp"
    few = ["dmlab", "--seconds", "0.8", "--side", "64", "--out", str(path)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["film_memory.py", *few])
        main()
    read, animation = cv2.imreadanimation(str(path))
    assert read
    assert len(animation.frames) == 6
    assert animation.frames[0].shape[:2] == (64, 136)
    assert animation.frames[-1][:, 72:].std() > 10  # the map is not empty


@pytest.mark.slow
def test_the_notebook_runs_top_to_bottom(bundled_world, capsys):
    cells = runpy.run_path(str(EXAMPLES / "first_dream.py"))
    assert cells["strip"].shape == (64, 8 * 64, 3)
    assert "the same frame again: True" in capsys.readouterr().out
