"""Comparing: the same episodes, paired differences, a page; stopped, it goes on."""

import json

import numpy as np
import pytest

from tests.support.browser import check_page
from tests.support.commands import refused
from worldsim.cli import main as cli
from worldsim.data.store import EpisodeStore
from worldsim.evaluate.compare import command, figures
from worldsim.evaluate.compare.contestants import Contestant, number_names, parse_contestant
from worldsim.types import Episode, EpisodeMeta


@pytest.fixture
def episodes(tmp_path):
    """Episodes of the size of the smallest world."""
    rng, meta = np.random.default_rng(0), EpisodeMeta(source="test", action_set="dmlab", fps=7.5)
    for _ in range(3):
        frames = rng.integers(0, 256, (20, 16, 16, 3)).astype(np.uint8)
        rewards = np.zeros(19, np.float32)
        one = Episode(frames=frames, actions=rng.integers(0, 3, 19), rewards=rewards, meta=meta)
        EpisodeStore(tmp_path / "episodes").append(one)
    return tmp_path / "episodes"


def options(episodes, out):
    few = ["--context", "6", "--predicted", "12", "--batch", "2", "--episodes", "3"]
    return ["--data", str(episodes), "--out", str(out), *few]


def test_a_world_is_as_good_as_itself_and_not_as_with_other_noise(
    tiny_world, browser, episodes, tmp_path
):
    world, out = str(tiny_world), tmp_path / "out"
    noisy = f"{world}@context_noise=0.9"
    assert cli(["compare", world, world, noisy, *options(episodes, out)]) == 0
    report = json.loads((out / "compare.json").read_text())
    same, other = report["differences"].values()
    assert same["psnr"]["all"] == {"mean": 0, "low": 0, "high": 0}
    assert other["psnr"]["all"]["mean"] != 0
    means = report["means"]
    assert set(means) == {f"{world} (1)", f"{world} (2)", noisy}
    apart = means[noisy]["psnr"]["all"]["mean"] - means[f"{world} (1)"]["psnr"]["all"]["mean"]
    assert other["psnr"]["all"]["mean"] == pytest.approx(apart, abs=2e-4)
    assert set(report["beside"]) == {"repeat last frame", "best of context", "codec"}
    assert {"p50", "p90", "p99"} == set(report["speed"][noisy])
    check_page(out / "compare.html")
    page = (out / "compare.html").read_text()
    assert page.count('"title": "episode') == 3
    assert "Choose blindly" in page


def test_a_comparison_that_was_stopped_goes_on(tiny_world, episodes, tmp_path, monkeypatch, capsys):
    world, out = str(tiny_world), tmp_path / "out"
    arguments = ["compare", world, f"{world}@threads=1", *options(episodes, out)]
    assert cli(arguments) == 0
    (out / "dreams" / "1-0.npz").unlink()
    dreamt, real = [], command.Comparison._dream
    monkeypatch.setattr(
        command.Comparison, "_dream", lambda self, *a: (dreamt.append(a[:2]), real(self, *a))
    )
    capsys.readouterr()
    assert cli(arguments) == 0
    assert dreamt == [(1, 0)]
    assert "3 of 4 batches of dreams are there already" in capsys.readouterr().err
    assert "comparison with other contestants" in refused(
        capsys, "compare", world, f"{world}@threads=2", *options(episodes, out)
    )


def test_beside_the_engine_what_is_seen_is_told(small_world, tmp_path, capsys):
    world = str(small_world)
    few = ["--context", "8", "--predicted", "10", "--episodes", "2", "--films", "1"]
    steps = f"{world}@steps=2"
    assert cli(["compare", world, steps, *few, "--tuning", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "compare.json").read_text())
    seen = {name: one["seen psnr"]["all"]["mean"] for name, one in report["means"].items()}
    seen |= {name: one["seen psnr"]["all"]["mean"] for name, one in report["beside"].items()}
    assert set(seen) == {world, steps, "bare warp", *report["beside"]}
    assert seen["bare warp"] > max(seen[world], seen[steps])
    assert "bare warp" in capsys.readouterr().out


def test_what_cannot_be_compared_gets_one_sentence(tiny_world, make_fake_world, tmp_path, capsys):
    world, out = str(tiny_world), ["--out", str(tmp_path)]
    for worlds, sentence in (
        ([world], "worlds to compare must be >= 2, got 1"),
        ([world, f"{world}@speed=3"], "must be WORLD or WORLD@NAME=VALUE"),
        ([world, f"{world}@steps=two"], "steps must be a number, got 'two'"),
        ([world, f"{world}@steps=0"], "steps must be at least 1"),
        ([world, f"{world}@context_noise=2"], "context_noise must be a number in "),
        ([world, "dmlab"], "only worlds of one frame_size can be compared"),
    ):
        assert sentence in refused(capsys, "compare", *worlds, *out)


def test_contestants_are_read_and_named_apart():
    one = parse_contestant("runs/a@steps=2,context_noise=0.3")
    assert one == Contestant("runs/a@steps=2,context_noise=0.3", "runs/a", 2, 0.3)
    assert [c.name for c in number_names([Contestant("a", "a")] * 2)] == ["a (1)", "a (2)"]


def test_differences_are_paired_and_sure_ones_marked():
    hard = np.arange(8.0)[:, None] * 10
    ours = {"psnr": np.repeat(hard, 3, 1)}
    theirs = {"psnr": ours["psnr"] + 1}
    told = figures.summary({"a": ours, "b": theirs}, {}, (1, 99))
    difference = told["differences"]["b - a"]["psnr"]["all"]
    assert difference == {"mean": 1, "low": 1, "high": 1}
    assert figures.format_figure(difference, "+").endswith("*")
    assert not figures.format_figure({"mean": 1.0, "low": -1.0, "high": 3.0}, "+").endswith("*")
    assert set(told["means"]["a"]["psnr"]) == {"all", "1"}
    assert figures.format_figure({"mean": None}) is None
