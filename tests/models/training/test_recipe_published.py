"""Published FAR's training: every config starts on data in the published layout, processes share a
global batch, and what comes out is a world.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import play
from models.far_published.loss import (
    Drawn,
    FlowConfig,
    draw,
    flow_loss,
    initialise_as_published,
    logit_normal_timesteps,
)
from models.far_published.network import FARReferenceConfig, FARReferenceNetwork
from models.training.config_published import PublishedConfig, PublishedTraining
from models.training.recipe_published import check_condition, row_seed
from models.zoo.golden import read_golden
from models.zoo.presets import zoo_entry
from tests.support.published_clips import published_tree
from tests.support.torchrun import torchrun
from train_world import main
from worldsim.config import load_config
from worldsim.data.command import main as data_command
from worldsim.data.published.clip_files import find_clips
from worldsim.data.published.formats import LAYOUTS
from worldsim.data.published.latents import open_published_latents
from worldsim.evaluate import report
from worldsim.world.model import load_world

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = sorted((ROOT / "assets/configs/published").glob("*.yaml"))
SMALL = {"width": 32, "layers": 2, "head_size": 16, "axes": (4, 6, 6), "latent_channels": 4}
SMALL |= {"latent_size": 4, "patch": 1}


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """The files of each data set, made once."""
    made = {}

    def tree(layout):
        if layout not in made:
            made[layout] = published_tree(tmp_path_factory.mktemp(layout), layout)
        return made[layout]

    return tree


def settings(layout, trees, *more):
    where = [f"data.{name}={path}" for name, path in trees(layout).items()]
    return [part for setting in (*where, *more) for part in ("--set", setting)]


def losses(out):
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


SETTINGS = ("far-b-long-dmlab", "far-m-long-minecraft", "far-b-ucf101", "far-b-bair")
SETTINGS += ("far-l-ucf101-128", "far-xl-ucf101-256-uncond")


@pytest.mark.parametrize("name", SETTINGS)
def test_every_published_setting_starts(name, trees, tmp_path, diffusers):
    """A smoke run on clips in the published layout, in bf16: from the files to the world."""
    path = next(path for path in CONFIGS if path.stem == name)
    cfg = load_config(path, PublishedConfig)
    out = tmp_path / "run"
    given = settings(cfg.data.layout, trees)
    assert main([str(path), "--smoke", "--out", str(out), "--threads", "1", *given]) == 0
    assert len(losses(out)) == 3
    assert all(0.1 < loss < 100 for loss in losses(out))
    assert list(out.glob("sheet-*.png"))
    world = load_world(out / "world")
    assert world.card.training["steps"] == 3
    assert str(tmp_path) not in (out / "world" / "card.json").read_text()
    size = world.card.frame_size
    assert world.spawns[0].frames.shape[1:] == (size, size, 3)
    spawn = world.spawns[0]
    state = world.reset(spawn.frames[None, :1], spawn.actions[None, :0], [0])
    _, frames = world.step(state, [0], steps=1)
    assert frames.shape == (1, size, size, 3)


def test_a_trained_world_is_played_and_measured(trees, tmp_path, monkeypatch, diffusers):
    out = tmp_path / "run"
    train(out, trees, "training.steps=1")
    monkeypatch.chdir(tmp_path)
    assert play.main(["--world", str(out / "world"), "--headless", "2"]) == 0
    data = ["--data", str(out / "world" / "spawns"), "--out", str(tmp_path / "figures")]
    given = ["--context", "4", "--predicted", "2", "--steps", "3"]
    assert report.main([str(out / "world"), *data, *given]) == 0
    figures = json.loads((tmp_path / "figures" / "evaluation.json").read_text())
    assert (figures["episodes"], figures["steps"]) == (2, 3)


SIZES = {"dmlab": 64, "bair": 64, "minecraft": 128, "ucf101": 64, "128": 128, "256": 256}


def test_the_configs_are_the_papers():
    """Its six settings: generation by two networks, two predictions, two long worlds."""
    found = {path.stem: load_config(path, PublishedConfig) for path in CONFIGS}
    assert len(found) == 10
    for name, cfg in found.items():
        entry = zoo_entry(cfg.kind, cfg.preset)
        check_condition(entry, LAYOUTS[cfg.data.layout])
        halvings = {"dcae-8x-c32": 3, "dcae-16x-c32": 4, "dcae-32x-c32": 5}[entry.autoencoder]
        said = name.removesuffix("-uncond").rpartition("-")[2]
        assert entry.network.latent_size * 2**halvings == SIZES[said]
        assert cfg.training.batch == 32
        assert cfg.training.lr == 1e-4
        assert cfg.training.ema == 0.9999
        assert cfg.loss == FlowConfig(clean_context=0.1, drop_condition=0.1)
        assert cfg.data.long == (entry.network.coarse_patch is not None)
        assert cfg.training.warmup == (10_000 if cfg.data.long else 0)
        assert (entry.network.condition == "none") == (
            name.endswith("uncond") or name.startswith(("far-b-ucf", "far-b-bair"))
        )


# ---- the loss ----


def network(**changes):
    torch.manual_seed(0)
    made = FARReferenceNetwork(FARReferenceConfig(**SMALL | changes))
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return made.train()


LONG = {"coarse_patch": 2, "window": 3, "condition": "action", "classes": 3}


def batch(net, frames=5, rows=4):
    rng = torch.Generator().manual_seed(1)
    latents = torch.randn(rows, frames, 4, 4, 4, generator=rng)
    conditions = torch.randint(0, 3, (rows, frames), generator=rng)
    return latents, conditions, draw(net.cfg, FlowConfig(), frames, range(rows))


def test_a_clean_frame_is_shown_and_not_predicted():
    """Otherwise a network learns to copy its input, and the loss looks good."""
    net = network(**LONG)
    latents, conditions, drawn = batch(net)
    drawn = drawn._replace(clean=torch.zeros_like(drawn.clean))
    all_noisy = flow_loss(net, latents, conditions, drawn)
    clean = drawn.clean.clone()
    clean[:, 1] = True
    some = drawn._replace(clean=clean)
    other = some._replace(
        noise=some.noise.clone().index_fill_(1, torch.tensor([1]), 9.0),
        timesteps=some.timesteps.clone().index_fill_(1, torch.tensor([1]), 500.0),
    )
    loss = flow_loss(net, latents, conditions, some)
    assert torch.equal(loss, flow_loss(net, latents, conditions, other))
    assert not torch.equal(loss, all_noisy)
    assert flow_loss(net, latents, conditions, drawn._replace(clean=~drawn.clean)).abs().max() == 0


def test_the_loss_is_the_velocitys():
    """A network that says noise minus truth has none, whatever the timesteps."""
    latents, conditions, drawn = batch(network(**LONG))

    class Oracle:
        cfg = network(**LONG).cfg

        def __call__(self, old, new):
            assert old.latents.shape[1] == 2
            assert bool((old.timesteps == -2).all())
            assert torch.equal(new.ids, torch.arange(2, 5))
            t = new.timesteps.clamp(min=0)[..., None, None, None] / 1000
            x0 = latents[:, 2:]
            expected = torch.where(
                drawn.clean[..., None, None, None], x0, (1 - t) * x0 + t * drawn.noise
            )
            torch.testing.assert_close(new.latents, expected)
            assert torch.equal(new.timesteps == -1, drawn.clean)
            return drawn.noise - x0

    assert flow_loss(Oracle(), latents, conditions, drawn).abs().max() < 1e-6


def test_timesteps_are_logit_normal():
    drawn = logit_normal_timesteps(torch.randn(20_000, generator=torch.Generator().manual_seed(0)))
    assert drawn.min() >= 1
    assert drawn.max() <= 1000
    assert torch.equal(drawn, drawn.round())
    assert abs(drawn.mean() - 500.5) < 5
    # sigmoid of a standard normal is within 1/4 and 3/4 in 72.8 % of the draws
    assert abs(((drawn > 250) & (drawn <= 750)).float().mean() - 0.728) < 0.02
    assert logit_normal_timesteps(torch.tensor([60.0, -60.0])).tolist() == [1, 1000]


def test_shares_are_as_published():
    cfg = network(**LONG).cfg
    drawn = draw(cfg, FlowConfig(), 6, range(400))
    assert abs(drawn.clean.float().mean() - 0.1) < 0.03
    assert abs(drawn.dropped.float().mean() - 0.1) < 0.03
    assert 0 < drawn.dropped.any(1).float().mean() < 0.7  # each frame's action by itself
    label = FARReferenceConfig(**SMALL | {"condition": "label", "classes": 3})
    dropped = draw(label, FlowConfig(), 6, range(400)).dropped
    assert bool((dropped.any(1) == dropped.all(1)).all())  # a label with all of its frames


def test_a_row_is_drawn_alike_in_any_batch():
    cfg = network(**LONG).cfg
    whole, half = draw(cfg, FlowConfig(), 5, [7, 8]), draw(cfg, FlowConfig(), 5, [8])
    assert all(torch.equal(a[1:], b) for a, b in zip(whole, half, strict=True))
    assert len({row_seed(0, step, row) for step in range(9) for row in range(9)}) == 81


@pytest.mark.parametrize("changes", [LONG, {}], ids=["long", "short"])
def test_checkpointing_changes_no_gradient(changes):
    grads = []
    for checkpointing in (False, True):
        net = network(**changes)
        net.checkpointing = checkpointing
        latents, conditions, drawn = batch(net)
        conditions = conditions if changes else torch.full_like(conditions, -1)
        flow_loss(net, latents, conditions, drawn).mean().backward()
        grads.append({n: p.grad for n, p in net.named_parameters() if p.grad is not None})
    assert grads[0].keys() == grads[1].keys()
    assert len(grads[0]) > 20
    for name, grad in grads[0].items():
        torch.testing.assert_close(grads[1][name], grad)


def test_a_training_begins_as_published():
    net = network(**LONG)
    initialise_as_published(net)
    latents, conditions, drawn = batch(net)
    assert net(*_pair(latents, conditions, drawn)).abs().max() == 0
    width = net.cfg.width
    bound = (6 / (2 * width)) ** 0.5  # Glorot's, for each of query, key and value
    largest = net.blocks[0].fine.qkv.weight.abs().max()
    assert 0.9 * bound < largest <= bound
    assert all(not block.adaln.linear.weight.any() for block in net.blocks)


def _pair(latents, conditions, drawn: Drawn):
    from models.far_published.network import ReferenceFrames

    ids = torch.arange(5)
    old = ReferenceFrames(latents[:, :2], ids[:2], torch.full((4, 2), -2.0), conditions[:, :2])
    return old, ReferenceFrames(latents[:, 2:], ids[2:], drawn.timesteps, conditions[:, 2:])


def test_the_rate_warms_up_and_stays():
    plan = PublishedTraining(steps=100, lr=1.0, warmup=4)
    assert [plan.rate(step) for step in (0, 1, 3, 4, 99)] == [0.25, 0.5, 1.0, 1.0, 1.0]
    assert PublishedTraining(steps=1, lr=0.5).rate(0) == 0.5
    assert plan.keep(0) == 0.9999
    assert PublishedTraining(steps=1, ema_warmup=True).keep(0) == 0.1


# ---- the run ----

DMLAB = str(ROOT / "assets/configs/published/far-b-long-dmlab.yaml")
EXACT = ("training.precision=float32", "training.batch=4", "training.steps=4", "training.lr=1e-2")


def train(out, trees, *more, processes=1):
    """A smoke run in one or several processes."""
    arguments = [DMLAB, "--smoke", "--out", str(out), "--threads", "1"]
    arguments += settings("dmlab", trees, *more)
    if processes == 1:
        return main(arguments)
    torchrun(*arguments, processes=processes)
    return 0


def weights(out, name="network"):
    return torch.load(out / "checkpoint.pt", weights_only=True)[name]


def test_two_processes_train_as_one(trees, tmp_path, diffusers):
    """On the same global batch, with the same losses, to the same weights."""
    train(tmp_path / "one", trees, *EXACT)
    train(tmp_path / "two", trees, *EXACT, processes=2)
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == 4
    assert max(one) - min(one) > 1e-3
    np.testing.assert_allclose(two, one, rtol=1e-4)
    after = weights(tmp_path / "two")
    for name, weight in weights(tmp_path / "one").items():
        torch.testing.assert_close(after[name], weight, rtol=0, atol=1e-3)


def test_a_stopped_training_goes_on_to_the_same_weights(trees, tmp_path, diffusers):
    train(tmp_path / "whole", trees, *EXACT)
    train(tmp_path / "parts", trees, *EXACT, "training.steps=2")
    train(tmp_path / "parts", trees, *EXACT)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    for name in ("network", "average"):
        ours, theirs = (weights(tmp_path / run, name) for run in ("parts", "whole"))
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_what_is_missing_is_one_sentence(trees, tmp_path, diffusers):
    out = ["--out", str(tmp_path / "run"), "--threads", "1"]
    with pytest.raises(ValueError, match="there are no autoencoder weights experiments/"):
        main([DMLAB, *out, *settings("dmlab", trees)])
    with pytest.raises(
        ValueError, match=r"there is no datasets/dmlab_latent/dmlab_train\.json: give"
    ):
        main([DMLAB, "--smoke", *out])
    with pytest.raises(ValueError, match="conditioned on a frame's action, bair has none"):
        main([DMLAB, "--smoke", *out, *settings("bair", trees, "data.layout=bair")])


PRESET = """
title: A tiny one
parameters: 0
autoencoder: tiny-dcae
network: {width: 32, layers: 2, head_size: 16, axes: [4, 6, 6], coarse_patch: 4, window: 3,
  condition: action, classes: 4}
play: {classes: [0, 1, 2], action_delay: 1}
action_set: dmlab-published
fps: 7.5
steps: 1
"""


def test_frames_are_encoded_by_released_weights(trees, tmp_path, diffusers):
    """The whole way without --smoke: an autoencoder's file, latents of frames, a world with it."""
    golden = read_golden(ROOT / "tests/golden/dcae_8x.safetensors")
    torch.save({"ema": golden.weights}, tmp_path / "dcae.pth")
    (tmp_path / "tiny.yaml").write_text(PRESET)
    (tmp_path / "tiny-dcae.yaml").write_text(json.dumps(golden.meta["config"]))
    lists = trees("dmlab")
    layout, frames = LAYOUTS["dmlab"], lists["heldout"]
    packed = tmp_path / "latents"
    how = [
        "--autoencoder",
        str(tmp_path / "tiny-dcae.yaml"),
        "--weights",
        str(tmp_path / "dcae.pth"),
    ]
    assert data_command(["latents", frames, str(packed), *how]) == 0
    changed = {"kind": tmp_path / "tiny.yaml", "autoencoder": tmp_path / "dcae.pth"}
    changed |= {"data.train": frames, "data.heldout": frames, "data.latents": packed}
    changed |= {"data.frames": 6, "data.context": 4, "data.predicted": 2, "training.batch": 2}
    changed |= {"training.steps": 1, "training.warmup": 1}
    given = [part for name, value in changed.items() for part in ("--set", f"{name}={value}")]
    assert main([DMLAB, "--out", str(tmp_path / "run"), "--threads", "1", *given]) == 0
    world = load_world(tmp_path / "run" / "world")
    weights = {f"encoder.{name}" for name, _ in world.codec.model.encoder.named_parameters()}
    for name, tensor in world.codec.model.state_dict().items():
        if name in weights:
            assert torch.equal(tensor, golden.weights[name])
    clip = find_clips(frames, layout)[0]
    encoded = world.codec.encode(torch.from_numpy(clip.read_frames()))
    latents = open_published_latents(packed)
    np.testing.assert_allclose(latents.read(0, np.arange(14)), encoded, atol=2e-3)
    np.testing.assert_array_equal(latents.led[0], clip.read_led(layout, 14))
