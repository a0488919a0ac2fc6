"""Training of a world of VideoAR: from data to a world that is played."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.training.loop import Run
from models.training.videoar_config import VideoARConfig
from models.training.videoar_run import SMOKE, VideoARRecipe, check_origin, prepare
from train_world import main
from worldsim.config import ConfigError, load_config
from worldsim.data.store import EpisodeStore
from worldsim.world.model import load_world

ROOT = Path(__file__).resolve().parents[3]
CONFIG = str(ROOT / "assets/configs/videoar-dmlab.yaml")


@pytest.fixture(scope="module")
def smoke(engine, tmp_path_factory) -> Path:
    """A finished smoke run."""
    out = tmp_path_factory.mktemp("smoke")
    assert main(["videoar-dmlab", "--smoke", "--out", str(out)]) == 0
    return out


def run_in(smoke: Path, out: Path) -> Run:
    """A run on the data, features and tokenizer of the smoke run."""
    out.mkdir()
    (out / "codec.pt").write_bytes((smoke / "codec.pt").read_bytes())
    cfg = load_config(CONFIG, VideoARConfig, [*SMOKE])
    where = {name: str(smoke / "data" / name) for name in ("train", "heldout")}
    cfg = replace(cfg, data=replace(cfg.data, cache=str(smoke / "latents"), **where))
    device = torch.device("cpu")
    return Run(VideoARRecipe(cfg, *prepare(cfg, out, device), device), out, device)


def losses(run: Run, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(run.one_step()["loss"])
        run.step += 1
    return found


def test_a_smoke_run_makes_a_world_that_is_played(smoke):
    world = load_world(smoke / "world")
    assert world.card.training["steps"] == 8
    assert str(smoke) not in (smoke / "world" / "card.json").read_text()
    spawn = world.spawns[0]
    state = world.reset(spawn.frames[None], spawn.actions[None], [0])
    for action in (2, 0):
        state, frames = world.step(state, [action])
        assert frames.shape == (1, 64, 64, 3)
    lines = [json.loads(line) for line in (smoke / "log.jsonl").read_text().splitlines()]
    told = [line["bits"] for line in lines if "bits" in line]
    # A guess costs all of the frame's bits: 5 a token of 1 + 4 + 16 + 64 + 64.
    assert told[0] == pytest.approx(5 * 149, rel=0.1)
    assert list(smoke.glob("sheet-*.png"))


def test_a_tokenizer_shows_its_frames(smoke):
    """Codebooks are found from the data: nearer than a flat picture, even after ten steps."""
    world = load_world(smoke / "world")
    frames = torch.from_numpy(np.asarray(EpisodeStore(smoke / "data/heldout")[0].frames)[:40])
    made = world.codec.decode(world.codec.encode(frames))
    error = (made.float() - frames).square().mean()
    flat = frames.float() - frames.float().mean(dim=(0, 1, 2))
    assert error < 0.5 * flat.square().mean()


def test_an_interrupted_run_goes_on_with_the_same_losses(smoke, tmp_path):
    whole = run_in(smoke, tmp_path / "whole")
    expected = losses(whole, 4)
    first = run_in(smoke, tmp_path / "parts")
    assert losses(first, 2) == expected[:2]
    first.save()
    (tmp_path / "again").mkdir()
    second = run_in(smoke, tmp_path / "rest")
    second.path.write_bytes(first.path.read_bytes())
    assert second.resume()
    assert losses(second, 2) == expected[2:]


def test_a_world_begins_another(smoke, tmp_path, capsys):
    """`--from`: its tokenizer, and its network."""
    out, data = tmp_path / "next", str(smoke / "data")
    given = ["--set", "training.steps=0", "--from", str(smoke / "world")]
    for name in ("train", "heldout"):
        given += ["--set", f"data.{name}={data}/{name}"]
    given += ["--set", f"data.cache={smoke / 'latents'}"]
    given += [part for setting in SMOKE if "steps" not in setting for part in ("--set", setting)]
    assert main([CONFIG, "--out", str(out), *given]) == 0
    one, other = (load_world(folder / "world") for folder in (smoke, out))
    mine, theirs = (world.dynamics.network.state_dict() for world in (one, other))
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert torch.equal(one.codec.quantizer.codebooks, other.codec.quantizer.codebooks)


def test_a_world_of_another_kind_begins_none(smoke):
    """Before a folder is made, and not by a tensor's shape."""
    cfg = load_config(CONFIG, VideoARConfig)
    with pytest.raises(ValueError, match="must name a world of VideoAR"):
        check_origin(cfg, "dmlab")
    with pytest.raises(ValueError, match="codec must be as"):
        check_origin(cfg, str(smoke / "world"))
    check_origin(load_config(CONFIG, VideoARConfig, [*SMOKE]), str(smoke / "world"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("network.conditions=3", r"network\.conditions must be 4"),
        ("quantizer.channels=12", r"quantizer\.channels must be 48"),
        ("data.frames=1", r"data\.frames must be >= 2"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change, told):
    with pytest.raises(ConfigError, match=told):
        load_config(CONFIG, VideoARConfig, [change])
