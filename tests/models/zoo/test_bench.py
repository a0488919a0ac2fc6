"""The benchmark of the published layout: what is timed agrees; how fast is no test's business."""

import pytest

from models.zoo.bench import WAYS
from tests.support.commands import refused, told
from tests.support.tiny_layout import PRESET
from worldsim.evaluate.bench.command import main


@pytest.fixture
def bench(tmp_path, capsys):
    """Runs the benchmark on a tiny network; its exit status and report."""
    (tmp_path / "tiny.yaml").write_text(PRESET)

    def run(*options):
        kind = ["--kind", str(tmp_path / "tiny.yaml")]
        return told(capsys, main, "--reference-layout", *kind, "--frames", "3", *options)

    return run


def test_every_way_makes_the_same_frames(bench):
    status, printed, report = bench("--context", "5,20", "--precision", "float32", "--steps", "2")
    assert status == 0
    assert [(run["context"], run["way"]) for run in report["runs"]] == [
        (context, way) for context in (5, 20) for way in WAYS
    ]
    for run in report["runs"]:
        assert run["ms"] > 0
        assert run["way"] == "ours" or run["agrees"]
    assert any("published-uncached" in line for line in printed)


def test_what_would_take_too_long_is_skipped_and_said(bench):
    status, printed, report = bench("--context", "5", "--limit", "0")
    assert status == 0
    assert len(report["runs"]) == 2 * len(WAYS)
    assert all("more than --limit" in run["skipped"] for run in report["runs"])
    assert sum("skipped" in line for line in printed) > 2 * len(WAYS)


def test_bfloat16_is_measured_and_not_judged(bench):
    status, _, report = bench(
        "--context", "5", "--precision", "bfloat16", "--ways", "ours,uncached"
    )
    assert status == 0
    ours, twin = report["runs"]
    assert "agrees" not in ours
    assert twin["agrees"] is None
    assert 0 <= twin["difference"] < 1


def test_a_difference_fails(bench, monkeypatch):
    """Exit 0 must mean that what was timed is the same computation."""
    monkeypatch.setattr("models.zoo.bench.TOLERANCE", 0.0)
    status, _, report = bench("--context", "5", "--precision", "float32", "--ways", "ours,uncached")
    assert status == 1
    assert report["runs"][1]["agrees"] is False


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--kind", "far-b"], "has no long-term frames"),
        (["--context", "16"], "--context must be > 16 (the window's frames), got 16"),
        (["--context", "many"], "must be numbers like 40,144"),
        (["--ways", "fast"], "--ways must be among ours, uncached"),
        (["--precision", "int8"], "must be float32 or bfloat16, got 'int8'"),
    ],
)
def test_bad_options_get_one_sentence(capsys, options, sentence):
    said = refused(capsys, "bench", "--reference-layout", "--layers", "1", *options)
    assert sentence in said
