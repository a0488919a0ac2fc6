"""VideoAR's published sizes: every config starts on clips in the published layout."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.codec.multiscale_tokenizer import MultiscaleTokenizer
from models.training.videoar_published_config import (
    VideoARPublishedConfig,
    VideoARPublishedTraining,
    small,
)
from models.training.videoar_published_run import (
    PublishedVideoARRecipe,
    check_clips,
    open_tokenizer,
    weights_to_begin_with,
)
from models.videoar.network import VideoARNetwork
from tests.support.published_clips import published_tree
from train_world import main
from worldsim.config import ConfigError, load_config
from worldsim.world.checkpoint import load_weights

ROOT = Path(__file__).resolve().parents[3]
FOUND = sorted((ROOT / "assets/configs/videoar").glob("*.yaml"))
CONFIGS = [path for path in FOUND if "tokenizer" not in path.stem]
UCF = str(ROOT / "assets/configs/videoar/videoar-l-ucf101.yaml")


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> dict[str, str]:
    """The files of a data set."""
    return published_tree(tmp_path_factory.mktemp("ucf101"), "ucf101")


def given(tree, *more):
    settings = [*(f"data.{name}={path}" for name, path in tree.items()), *more]
    return [part for setting in settings for part in ("--set", setting)]


def losses(out):
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_size_starts(path, tree, tmp_path):
    """A smoke run in bf16, its blocks computed again in the backward pass."""
    out = tmp_path / "run"
    assert main([path.stem, "--smoke", "--out", str(out), "--threads", "1", *given(tree)]) == 0
    assert len(losses(out)) == 3
    assert all(0.3 < loss < 1.5 for loss in losses(out))  # about ln 2 a bit
    assert list(out.glob("sheet-*.png"))
    told = json.loads((out / "network" / "settings.json").read_text())
    assert told["steps"] == 3
    cfg = small(load_config(path, VideoARPublishedConfig))
    network = VideoARNetwork(cfg.network, cfg.quantizer)
    network.load_state_dict(load_weights(out / "network" / "weights.safetensors"))


def test_sizes_are_the_papers():
    """926 M, 2.0 B (2.18 B with every part counted) and 4 B parameters; 30 steps for 17 frames."""
    sizes = {}
    for path in CONFIGS:
        cfg = load_config(path, VideoARPublishedConfig)
        with torch.device("meta"):
            network = VideoARNetwork(cfg.network, cfg.quantizer)
        sizes[path.stem] = sum(weight.numel() for weight in network.parameters()) / 1e6
        assert cfg.codec.time_stride == 4
        assert cfg.training.betas == (0.9, 0.95)
        assert (cfg.training.lr, cfg.training.weight_decay) == (1e-4, 0.05)
    assert sizes["videoar-l-ucf101"] == pytest.approx(926, rel=1e-3)
    assert sizes["videoar-xl-ucf101"] == pytest.approx(2182, rel=1e-3)
    assert all(sizes[f"videoar-4b-stage{i}"] == pytest.approx(3829, rel=1e-3) for i in (1, 2, 3))
    ucf = load_config(UCF, VideoARPublishedConfig)
    assert len(ucf.quantizer.scales) * (1 + 16 // 4) == 30


def recipe(tree, *changes) -> PublishedVideoARRecipe:
    settings = [f"data.{name}={path}" for name, path in tree.items()]
    cfg = small(load_config(UCF, VideoARPublishedConfig, [*settings, *changes]))
    return PublishedVideoARRecipe(cfg, open_tokenizer(cfg, untrained=True), torch.device("cpu"))


def test_a_stage_begins_with_the_one_before(tree, tmp_path):
    """Stage II has more scales than stage I: the others begin as they were."""
    made = recipe(tree)
    assert main(["videoar-l-ucf101", "--smoke", "--out", str(tmp_path), *given(tree)]) == 0
    cfg = replace(made.cfg.quantizer, scales=((1, 1), (2, 2), (4, 4), (4, 4)))
    network = VideoARNetwork(made.cfg.network, cfg)
    weights = weights_to_begin_with(tmp_path / "network", network.levels.detach())
    fresh = network.levels[3].clone()
    network.load_state_dict(weights)
    assert torch.equal(network.levels[3], fresh)
    assert not torch.equal(network.levels[2], fresh)
    with pytest.raises(ValueError, match="--from takes a run"):
        weights_to_begin_with(tmp_path / "nowhere", network.levels)


def test_images_are_single_frames(tree):
    made = recipe(tree, "training.images=0.5")
    share = made.open_share(0, 1)
    lengths = [len(share.draw(step)[0].pictures) for step in range(12)]
    assert set(lengths) == {1, 9}
    loss, told = share.loss(made.network, share.draw(lengths.index(1)), 0)
    assert torch.isfinite(loss)
    assert set(told) == {"loss"}  # no frame after the first, so no bits of one


def test_memory_saved_changes_no_gradient(tree):
    """Blocks computed again in the backward pass."""
    made, pulls = recipe(tree), []
    share = made.open_share(0, 1)
    batch = share.draw(0)
    for checkpointing in (False, True):
        made.network.checkpointing = checkpointing
        made.network.zero_grad()
        share.loss(made.network, batch, 0)[0].backward()
        pulls.append([weight.grad.clone() for weight in made.network.parameters()])
    for one, other in zip(*pulls, strict=True):
        torch.testing.assert_close(one, other)


def test_the_rate_falls_to_zero():
    plan = VideoARPublishedTraining(steps=1000, warmup=10)
    assert plan.rate(0) == pytest.approx(1e-5)
    assert plan.rate(500) == pytest.approx(0.5e-4)
    assert plan.rate(1000) == pytest.approx(0)


def test_a_tokenizer_that_is_not_there_is_named(tree, tmp_path):
    settings = [f"data.{name}={path}" for name, path in tree.items()]
    cfg = small(load_config(UCF, VideoARPublishedConfig, settings))
    with pytest.raises(ValueError, match="there are no tokenizer weights"):
        open_tokenizer(cfg, untrained=False)
    assert isinstance(open_tokenizer(cfg, untrained=True), MultiscaleTokenizer)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("data.frames=16", r"data\.frames must be 1 \+ a multiple of 4"),
        ("data.predicted=3", r"data\.predicted must be a multiple of 4"),
        ("codec.frame_size=256", r"scales must be \(16, 16\)"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change, told):
    with pytest.raises(ConfigError, match=told):
        load_config(UCF, VideoARPublishedConfig, [change])


def test_actions_want_a_latent_a_frame(tmp_path):
    where = published_tree(tmp_path, "dmlab")
    settings = [f"data.{name}={path}" for name, path in where.items()]
    cfg = load_config(UCF, VideoARPublishedConfig, [*settings, "data.layout=dmlab"])
    with pytest.raises(ValueError, match=r"codec\.time_stride must be 1 for dmlab"):
        check_clips(cfg)
