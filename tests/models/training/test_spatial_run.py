"""Training of a world with a memory in space: from data to a world that is played."""

import json
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

import worldsim  # noqa: F401  registers the environments
from models.training import distributed
from models.training.loop import Run, start_folder
from models.training.spatial_config import SpatialConfig
from models.training.spatial_run import SMOKE, SpatialRecipe, prepare
from tests.support import second_device
from tests.support.second_device import SecondDevice
from tests.support.torchrun import torchrun
from train_world import main
from worldsim.config import load_config
from worldsim.data.store import EpisodeStore
from worldsim.world.model import load_world

ROOT = Path(__file__).resolve().parents[3]
CONFIG = str(ROOT / "assets/configs/dmlab.yaml")
STOPPED = ROOT / "tests/support/train_and_stop.py"


@pytest.fixture(scope="module")
def smoke(engine, tmp_path_factory) -> Path:
    """A finished smoke run."""
    out = tmp_path_factory.mktemp("smoke")
    assert main([CONFIG, "--smoke", "--out", str(out)]) == 0
    return out


def recipe_in(smoke: Path, out: Path, *changes: str) -> SpatialRecipe:
    """A recipe on the data, codec and depth network of the smoke run."""
    out.mkdir(exist_ok=True)
    for name in ("codec.pt", "depth.pt"):
        (out / name).write_bytes((smoke / name).read_bytes())
    cfg = load_config(CONFIG, SpatialConfig, [*SMOKE, *changes])
    where = {name: str(smoke / "data" / name) for name in ("train", "heldout")}
    cfg = replace(cfg, data=replace(cfg.data, cache=str(smoke / "depth"), **where))
    device = torch.device("cpu")
    return SpatialRecipe(cfg, *prepare(cfg, out, device), out, device)


def losses(run: Run, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(run.one_step()["norm"])
        run.step += 1
    return found


def test_training_leaves_small_numbers_as_they_were(smoke):
    """A process that has trained still counts below float32's normal range."""
    assert (torch.full((4,), 1e-40) * 0.5 > 0).all()


def test_smoke_run_makes_a_world_that_is_played(smoke):
    env = gymnasium.make("FARDMLab-v0", world=str(smoke / "world"))
    frame, info = env.reset(seed=0)
    assert info["seen_share"] == 1  # a true frame
    for action in (2, 0, 2):
        frame, _, _, _, info = env.step(action)
        assert frame.shape == (64, 64, 3)
        assert info["seen"].shape == (64, 64)
        assert info["seen_share"] == info["seen"].mean()
    env.close()


def test_smoke_run_logs_every_step_and_learns_odometry(smoke):
    lines = [json.loads(line) for line in (smoke / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "norm" in line] == list(range(1, 13))
    assert load_world(smoke / "world").card.continuous == {"turn": 22.5, "stride": 1.0}
    trained = load_world(smoke / "world").card.training
    assert trained["episodes"] == len(EpisodeStore(smoke / "data" / "train")) == 6
    assert 0 <= trained["odometry"]["odometry_off"] <= 1
    assert "data" not in trained["config"]


def test_killed_training_resumes_to_the_same_curve(smoke, tmp_path):
    """Drawers, generator and residuals come back; all stages are on."""
    stages = ["training.shortcuts_from=0", "training.error_injection_from=0", "samples.workers=2"]

    def run_in(name: str) -> Run:
        recipe = recipe_in(smoke, tmp_path / name, *stages)
        run = Run(recipe, tmp_path / name, torch.device("cpu"))
        run.resume()
        return run

    run = run_in("whole")
    whole = losses(run, 4)
    run.close()
    run = run_in("parts")
    begun = losses(run, 2)
    run.save()
    losses(run, 1)  # lost when the process is killed
    run.close()
    run = run_in("parts")
    assert begun + losses(run, 2) == whole
    run.close()


def test_a_training_goes_on_with_another_number_of_processes(smoke, tmp_path):
    """One, two, and one again draw the same batches: the curve is that of one that never stopped.
    All stages are on.
    """
    changes = ["training.shares=2", "training.steps=6", "training.precision=float32"]
    changes += [f"training.{name}_from=0" for name in ("shortcuts", "error_injection")]

    def go_on(name: str, steps: int) -> list[float]:
        run = Run(recipe_in(smoke, tmp_path / name, *changes), tmp_path / name, torch.device("cpu"))
        run.resume()
        found = losses(run, steps)
        run.save()
        run.close()
        return found

    whole, found = go_on("whole", 6), go_on("parts", 2)
    out = tmp_path / "parts"
    where = {name: smoke / "data" / name for name in ("train", "heldout")}
    where["cache"] = smoke / "depth"
    words = [*SMOKE, *changes, *(f"data.{name}={path}" for name, path in where.items())]
    options = [f"--set={word}" for word in words]
    torchrun("4", CONFIG, "--out", str(out), "--threads", "1", *options, script=STOPPED)
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    found += [line["norm"] for line in lines] + go_on("parts", 2)
    assert found == pytest.approx(whole, rel=1e-4)
    assert len(set(found)) == 6


def train_on_data_of(smoke: Path, out: Path) -> list[float]:
    """The gradients' norms of a whole training like the smoke run, on the same episodes."""
    where = {name: smoke / "data" / name for name in ("train", "heldout")}
    where["cache"] = out / "depth"
    changes = [*SMOKE, "training.precision=float32", "training.steps=3"]
    changes += ["depth_training.steps=3", "odometry_training.steps=3"]
    changes += [f"data.{name}={path}" for name, path in where.items()]
    options = [option for change in changes for option in ("--set", change)]
    assert main([CONFIG, "--out", str(out), *options]) == 0
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line["norm"] for line in lines if "norm" in line]


def test_all_of_it_runs_on_a_second_device(smoke, tmp_path, monkeypatch):
    """As on a GPU: no tensor is left on the CPU, and the curve is the CPU's."""
    with sdpa_kernel(SDPBackend.MATH):  # which any other device than the CPU gets here
        here = train_on_data_of(smoke, tmp_path / "here")
    there = torch.device(second_device.NAME)
    monkeypatch.setattr(distributed, "own_device", lambda name: there)
    with SecondDevice():
        assert train_on_data_of(smoke, tmp_path / "there") == pytest.approx(here, rel=1e-3)
    assert load_world(tmp_path / "there" / "world").card.training["steps"] == 3


def test_preview_draws_truth_over_dream(smoke, tmp_path):
    recipe = recipe_in(smoke, tmp_path / "previewed")
    average = recipe.network
    assert recipe.preview(average, tmp_path / "sheet.png") == {}  # no odometry yet
    (tmp_path / "previewed" / "odometry.pt").write_bytes((smoke / "odometry.pt").read_bytes())
    scores = recipe.preview(average, tmp_path / "sheet.png")
    assert np.isfinite(list(scores.values())).all()
    assert (tmp_path / "sheet.png").exists()


def test_a_fresh_start_moves_all_that_was_learnt_aside(tmp_path):
    names = ("checkpoint.pt", "codec.pt", "depth.pt", "odometry.pt")
    for name in names:
        (tmp_path / name).write_text(name)
    start_folder(tmp_path, fresh=True)
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.old" for name in names}


def test_missing_data_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"worldsim collect .*--depth"):
        main([CONFIG, "--out", str(tmp_path), "--set", f"data.train={tmp_path / 'none'}"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("network.latent_channels=8", "network.latent_channels must be 48, .* got 8"),
        ("network.latent_size=16", "network.latent_size must be 8, .* got 16"),
        ("depth.frame_size=32", "depth.frame_size must be 64, .* got 32"),
        ("odometry.actions=5", "odometry.actions must be 4, .* got 5"),
        ("memory.slots=16", "slots must be > 16"),
        ("samples.workers=0", r"workers must be in \[1, 256\], got 0"),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        load_config(CONFIG, SpatialConfig, [change])
