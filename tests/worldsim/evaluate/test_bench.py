"""The benchmark's structure; how fast anything is, is no test's business."""

import numpy as np
import pytest

from tests.support.commands import refused, told
from worldsim.evaluate.bench.command import main, summary
from worldsim.evaluate.bench.play import rate
from worldsim.evaluate.bench.serve import Count, summarize_players
from worldsim.evaluate.bench.timing import WARM_UP, Point, measure_before, resident_mb, time_dream
from worldsim.world.model import load_world


def bench(tiny_world, capsys, *options):
    status, printed, report = told(capsys, main, str(tiny_world), *options)
    assert status == 0
    return printed, report


def test_a_table_comes_first_and_json_last(tiny_world, capsys):
    printed, report = bench(
        tiny_world, capsys, "--frames", "30", "--at", "20,30", "--steps", "1,2", "--batch", "2"
    )
    assert report["points"] == [20, 30]
    assert [(run["run"], run["steps"], run["batch"]) for run in report["runs"]] == [
        ("dream", 1, 2),
        ("dream", 2, 2),
    ]
    for run in report["runs"]:
        assert set(run["stages"]) == {"dynamics", "decode", "frame"}
        for at in ("20", "30"):
            ms = {stage: run["stages"][stage][at] for stage in run["stages"]}
            assert all(0 < value["p50_ms"] <= value["p99_ms"] for value in ms.values())
            assert ms["dynamics"]["p50_ms"] < ms["frame"]["p99_ms"]
        assert run["last_to_first"]["p99_ms"] > 0
    assert any("dream: dynamics" in line for line in printed)


def test_many_dreams_are_compared_with_one(tiny_world, capsys):
    options = ["--vector", "1,3", "--rounds", "3", "--steps", "1"]
    printed, report = bench(tiny_world, capsys, *options)
    one, three = report["vector"]["1"]
    assert (one["dreams"], three["dreams"]) == (1, 3)
    assert one["ratio"] == 1
    assert three["per_s"] == pytest.approx(3000 / three["ms"])
    assert three["ratio"] == pytest.approx(three["per_s"] / one["per_s"])
    assert any("frames/s" in line for line in printed)


def test_an_exported_world_is_timed_in_its_runtime(exported_world, capsys):
    how = ["--runtime", "onnx", "--steps", "1"]
    options = [*how, "--frames", "12", "--at", "12", "--record"]
    _, report = bench(exported_world, capsys, *options)
    dreamt, played = report["runs"]
    assert set(dreamt["stages"]) == {"dynamics", "frame"}
    assert set(played["stages"]) == {"world", "session"}
    _, report = bench(exported_world, capsys, *how, "--vector", "1,2", "--rounds", "1")
    assert [one["dreams"] for one in report["vector"]["1"]] == [1, 2]
    assert report["runtime"] == "onnx"


def test_players_of_a_server_are_timed(tiny_world, capsys):
    """Every frame is counted once, whoever got it."""
    options = ["--players", "3", "--rounds", "4", "--steps", "1"]
    printed, report = bench(tiny_world, capsys, *options)
    found = report["players"]["1"]
    assert found["players"] == 3
    assert 3 * 4 <= found["frames"] <= 3 * 4 + 2  # those under way when there are enough
    assert found["cpu_ms"] is None or found["cpu_ms"] > 0
    latency = found["latency"]
    assert 0 < latency["p50_ms"] <= latency["p95_ms"] <= latency["p99_ms"]
    assert any("fairness" in line for line in printed)


@pytest.mark.parametrize(("made", "fairness"), [([5, 5, 5, 5], 1), ([8, 0, 0, 0], 0.25)])
def test_fairness_is_one_where_all_get_the_same(made, fairness):
    counts = [Count([1.0] * number) for number in made]
    found = summarize_players(counts, 2.0)
    assert found["fairness"] == fairness
    assert found["per_s"] == sum(made) / 2
    assert (found["fewest"], found["most"]) == (min(made), max(made))


def test_points_beyond_the_run_are_left_out(tiny_world, capsys):
    _, report = bench(tiny_world, capsys, "--frames", "12", "--steps", "1")
    assert report["points"] == [12]


@pytest.mark.parametrize("how", [["--record"], ["--window"], ["--window", "--record"]])
def test_a_played_session_is_timed_too(tiny_world, capsys, how, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    _, report = bench(tiny_world, capsys, "--frames", "15", "--at", "15", "--steps", "1", *how)
    played = report["runs"][1]
    assert played["run"].startswith("played")
    world, session = (played["stages"][name]["15"]["p50_ms"] for name in ("world", "session"))
    assert 0 < world <= session
    assert ("window" in played) == ("--window" in how)
    if "--window" in how:
        assert played["window"]["fps"] > 0
        assert played["window"]["p99_ms"] > 0


def test_how_often_the_window_drew():
    beats = np.array([0.0, 0.01, 0.02, 0.03, 0.07])
    drawn = rate(beats)
    assert drawn["fps"] == pytest.approx(4 / 0.07, abs=0.01)
    assert 35 < drawn["p99_ms"] <= 40


def test_the_world_is_as_before_afterwards(tiny_world):
    """The stopwatches must not stay on: a world is timed once for every number of steps."""
    world = load_world(tiny_world)
    parts = world.dynamics, world.codec
    heard = []
    points = time_dream(world, [3, 6], steps=1, batch=1, told=heard.append)
    assert (world.dynamics, world.codec) == parts
    assert heard == [1, 2, 3, 4, 5, 6]
    assert [point.at for point in points] == [3, 6]
    assert all(len(ms) for point in points for ms in point.stages.values())


def test_the_first_frames_do_not_count():
    seconds = {"frame": [9.0] * WARM_UP + [0.001] * 500}
    assert measure_before(seconds, 100)["frame"].max() == 1
    assert len(measure_before(seconds, 500)["frame"]) == 200


def test_growth_is_of_the_last_point_to_the_first():
    points = [Point(1, {"frame": np.array([2.0])}, 5.0), Point(9, {"frame": np.array([3.0])}, None)]
    told = summary(points)
    assert told["last_to_first"] == {"p50_ms": 1.5, "p99_ms": 1.5}
    assert told["resident_mb"] == {"1": 5.0, "9": None}


def test_memory_is_a_number_where_it_is_known():
    assert resident_mb() is None or resident_mb() > 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--steps", "3"], "--steps must be among (1, 2, 4, 8), got [3]"),
        (["--steps", "two"], "must be whole numbers in [1, 2**63 - 1] such as 1,2,4, got 'two'"),
        (["--frames", "1" + "0" * 21], "whole number in [1, 2**63 - 1], got '1000000"),
        (["--at", "0"], "must be whole numbers in [1, 2**63 - 1] such as 1,2,4, got '0'"),
        (["--batch", "1,2"], "whole number in [1, 2**63 - 1], got '1,2'"),
    ],
)
def test_bad_options_get_one_sentence(tiny_world, capsys, options, sentence):
    assert sentence in refused(capsys, "bench", str(tiny_world), *options)


def test_an_unknown_world_gets_one_sentence(capsys):
    assert "there is no world 'nowhere'" in refused(capsys, "bench", "nowhere")
