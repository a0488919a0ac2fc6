"""Training of a world of VideoAR with a memory in space: from data to a world that is played."""

import json
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

import worldsim  # noqa: F401  registers the environments
from models.build.networks import settings_to_dict
from models.build.videoar import weights_of as plain_weights_of
from models.training.loop import Run
from models.training.videoar_spatial_config import VideoARSpatialConfig
from models.training.videoar_spatial_init import check_origin, network_of, take_parts
from models.training.videoar_spatial_run import SMOKE, VideoARSpatialRecipe, prepare
from models.videoar.config import NetworkConfig
from models.videoar.network import VideoARNetwork
from train_world import main
from worldsim.config import ConfigError, load_config
from worldsim.world.checkpoint import load_training, save_world
from worldsim.world.model import load_world

ROOT = Path(__file__).resolve().parents[3]
CONFIG = str(ROOT / "assets/configs/videoar-dmlab-memory.yaml")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def smoke(engine, tmp_path_factory) -> Path:
    """A finished smoke run."""
    out = tmp_path_factory.mktemp("smoke")
    assert main(["videoar-dmlab-memory", "--smoke", "--out", str(out)]) == 0
    return out


def config_in(smoke: Path) -> VideoARSpatialConfig:
    cfg = load_config(CONFIG, VideoARSpatialConfig, [*SMOKE])
    where = {name: str(smoke / "data" / name) for name in ("train", "heldout")}
    return replace(cfg, data=replace(cfg.data, cache=str(smoke / "depth"), **where))


def run_in(smoke: Path, out: Path) -> Run:
    """A run on the data, tokenizer, depth and odometry of the smoke run; resumes."""
    out.mkdir(exist_ok=True)
    for name in ("codec.pt", "depth.pt", "odometry.pt"):
        (out / name).write_bytes((smoke / name).read_bytes())
    cfg = config_in(smoke)
    run = Run(VideoARSpatialRecipe(cfg, *prepare(cfg, out, CPU), out, CPU), out, CPU)
    run.resume()
    return run


def losses(run: Run, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(run.one_step()["loss"])
        run.step += 1
    return found


def test_a_smoke_run_makes_a_world_that_is_played(smoke):
    env = gymnasium.make("FARDMLab-v0", world=str(smoke / "world")).unwrapped
    _, info = env.reset(seed=0)
    assert info["seen_share"] == 1  # a true frame
    moment, shown = env.clone_state(), []
    for _ in range(2):
        env.restore_state(moment)
        frames = []
        for action in (2, 0, 2):
            frame, _, _, _, info = env.step(action)
            frames.append(frame)
            assert frame.shape == (64, 64, 3)
            assert info["seen_share"] == info["seen"].mean()
        shown.append(np.stack(frames))
    assert np.array_equal(*shown)
    env.close()
    card = load_world(smoke / "world").card
    assert card.builder == "videoar-spatial"
    assert card.training["steps"] == 8
    assert card.continuous == {"turn": 22.5, "stride": 1.0}
    assert 0 <= card.training["odometry"]["odometry_off"] <= 1
    assert str(smoke) not in (smoke / "world" / "card.json").read_text()


def test_a_smoke_run_says_what_a_frame_costs(smoke):
    lines = [json.loads(line) for line in (smoke / "log.jsonl").read_text().splitlines()]
    told = [line for line in lines if "bits" in line]
    assert [line["step"] for line in told] == list(range(1, 9))
    # A guess costs all of the frame's bits: 5 a token of 1 + 4 + 16 + 64 + 64.
    assert told[0]["bits"] == pytest.approx(5 * 149, rel=0.1)
    for name in ("seen", "unseen"):
        assert told[0][name] == pytest.approx(5, rel=0.1)


def test_a_sample_ends_with_its_target(smoke, tmp_path):
    """The frames before it in order, oldest first; what memory shows of it beside."""
    run = run_in(smoke, tmp_path / "run")
    try:
        samples = run.shares[0].draw(0)
        clip = run.recipe.make_clip(samples)
    finally:
        run.close()
    codec, window = run.recipe.tokenizer.autoencoder, 4
    assert clip.features.shape == (4, window + 1, 16, 8, 8)
    assert torch.equal(clip.features[:, -1], codec.encode(samples.frames))
    for age in range(window):
        assert torch.equal(clip.features[:, -2 - age], codec.encode(samples.fine[:, age]))
        assert torch.equal(clip.known[:, -1 - age], samples.fine_known[:, age])
    share = samples.view.mask.float().mean(dim=(1, 2))
    told = (clip.view[:, -1] + 0.5).mean(dim=(1, 2))
    torch.testing.assert_close(told, share, atol=1e-5, rtol=0)


def test_an_interrupted_run_goes_on_with_the_same_losses(smoke, tmp_path):
    whole = run_in(smoke, tmp_path / "whole")
    expected = losses(whole, 4)
    whole.close()
    first = run_in(smoke, tmp_path / "parts")
    assert losses(first, 2) == expected[:2]
    first.save()
    losses(first, 1)  # lost when the process is killed
    first.close()
    second = run_in(smoke, tmp_path / "parts")
    assert losses(second, 2) == expected[2:]
    second.close()


def test_a_preview_draws_truth_over_dream(smoke, tmp_path):
    run = run_in(smoke, tmp_path / "previewed")
    run.close()
    scores = run.recipe.preview(run.average, tmp_path / "sheet.png")
    assert np.isfinite(list(scores.values())).all()
    assert (tmp_path / "sheet.png").exists()


def test_a_world_of_its_own_kind_gives_everything(smoke, tmp_path):
    cfg, world = config_in(smoke), str(smoke / "world")
    check_origin(cfg, world)
    take_parts(cfg, world, tmp_path)
    for part, key in (("codec", "codec"), ("depth", "network"), ("odometry", "odometry")):
        state = load_training(tmp_path / f"{part}.pt")
        assert state["step"] == getattr(cfg, f"{part}_training").steps
        theirs = load_training(smoke / f"{part}.pt")[key]
        for name, tensor in state[key].items():
            torch.testing.assert_close(tensor, theirs[name].float(), rtol=1e-3, atol=1e-4)
    network = load_world(world).dynamics.scales.network.state_dict()
    taken = network_of(cfg, world)
    assert all(torch.equal(tensor, taken[name]) for name, tensor in network.items())


def test_a_world_without_a_memory_gives_tokenizer_and_network(smoke, tmp_path):
    """Views say nothing at first; depth and odometry are taught. It may have seen more frames."""
    cfg, out, world = config_in(smoke), tmp_path / "out", load_world(smoke / "world")
    told = json.loads((smoke / "world" / "card.json").read_text())
    parts = {**settings_to_dict(cfg.settings), "network": vars(plain_network(cfg))}
    plain = {name: parts[name] for name in ("codec", "quantizer", "network", "play")}
    network = VideoARNetwork(plain_network(cfg), cfg.quantizer)
    weights = plain_weights_of(world.codec, network)
    card = {**told, "builder": "videoar", "settings": plain}
    save_world(tmp_path / "plain", json.loads(json.dumps(card, default=vars)), weights)
    check_origin(cfg, str(tmp_path / "plain"))
    out.mkdir()
    take_parts(cfg, str(tmp_path / "plain"), out)
    assert [path.name for path in out.iterdir()] == ["codec.pt"]
    taken = network_of(cfg, str(tmp_path / "plain"))
    assert not any(taken[f"embed_view.{name}"].any() for name in ("weight", "bias"))
    run = run_in(smoke, tmp_path / "run")
    run.close()
    run.begin_with(taken)
    assert torch.equal(run.network.levels, network.levels.half().float())


def plain_network(cfg: VideoARSpatialConfig) -> NetworkConfig:
    return replace(cfg.network, view_scales=0, window=8)


def test_a_world_of_another_kind_gives_what_it_has_or_is_refused(smoke, tmp_path, tiny_world):
    """FAR's memory in space: depth network and odometry."""
    cfg = load_config(CONFIG, VideoARSpatialConfig)
    check_origin(cfg, "dmlab")
    take_parts(cfg, "dmlab", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"depth.pt", "odometry.pt"}
    assert network_of(cfg, "dmlab") is None
    with pytest.raises(ValueError, match="depth must be as dmlab has it"):
        check_origin(config_in(smoke), "dmlab")
    with pytest.raises(ValueError, match="must name a world of builder"):
        check_origin(cfg, str(tiny_world))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("network.conditions=3", r"odometry\.actions must be 3"),
        ("network.view_scales=0", r"network\.view_scales must be in \[1, 5\]"),
        ("samples.group=2", r"samples\.group must be 1"),
        ("samples.candidates=96", r"samples\.candidates must be >= 300"),
        ("memory.slots=8", "slots must be > 16"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change, told):
    with pytest.raises(ConfigError, match=told):
        load_config(CONFIG, VideoARSpatialConfig, [change])


def test_a_network_for_other_actions_is_refused():
    changes = ["network.conditions=3", "odometry.actions=3"]
    with pytest.raises(ConfigError, match=r"network\.conditions must be 4, the actions of dmlab"):
        load_config(CONFIG, VideoARSpatialConfig, changes)
