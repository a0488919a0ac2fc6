"""Training the published autoencoder: its recipe, resuming, and what comes of it."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models.codec.patch_discriminator import balance, hinge_loss, patch_discriminator
from models.training.recipe_autoencoder import AutoencoderConfig, preset
from tests.support.metric_weights import write_backbone
from train_world import main
from worldsim.config import load_config
from worldsim.data.store import EpisodeStore
from worldsim.evaluate.lpips import heads_path, read_perceptual
from worldsim.types import Episode, EpisodeMeta

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = sorted((ROOT / "assets/configs/autoencoder").glob("*.yaml"))
META = EpisodeMeta(source="test", action_set="dmlab", fps=7.5)


@pytest.fixture(scope="module")
def episodes(tmp_path_factory):
    """Folders of episodes that look like something: gradients that move."""
    folder = tmp_path_factory.mktemp("episodes")
    ramp = np.linspace(0, 1, 32)
    for i, split in enumerate(("train", "train", "heldout")):
        at = np.stack([ramp[:, None] + ramp + 0.1 * t + i for t in range(12)])
        waves = [128 + 100 * np.sin(at * (3 + colour)) for colour in range(3)]
        frames = np.stack(waves, -1).astype(np.uint8)
        actions, rewards = np.zeros(11, np.int64), np.zeros(11, np.float32)
        episode = Episode(frames=frames, actions=actions, rewards=rewards, meta=META)
        EpisodeStore(folder / split).append(episode)
    return folder


def train(episodes, out, *settings, config=CONFIGS[0], options=()):
    settings = [f"data.{name}={episodes / name}" for name in ("train", "heldout")] + [*settings]
    sets = [part for s in ("data.frame_size=32", *settings) for part in ("--set", s)]
    assert main([str(config), "--smoke", "--out", str(out), *options, *sets]) == 0
    return load_file(out / "autoencoder.safetensors")


@pytest.fixture(scope="module")
def trained(episodes, tmp_path_factory):
    """A finished smoke run of the f8 config: its folder, and its weights."""
    if find_spec("diffusers") is None:
        pytest.skip("no diffusers")
    out = tmp_path_factory.mktemp("run")
    return out, train(episodes, out)


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_configs_are_of_published_autoencoders(path):
    """Eight latent cells on a side: what every FAR was trained on."""
    cfg = load_config(path, AutoencoderConfig)
    halvings = len(preset(cfg.model)["encoder_block_out_channels"]) - 1
    assert cfg.data.frame_size == 8 * 2**halvings


def test_the_f16_autoencoder_trains(episodes, tmp_path, diffusers):
    config = next(path for path in CONFIGS if "minecraft" in path.name)
    weights = train(episodes, tmp_path, "training.steps=2", config=config)
    assert all(bool(tensor.isfinite().all()) for tensor in weights.values())


def test_a_stopped_run_goes_on_to_the_same_end(episodes, trained, tmp_path):
    """Across the step from which the discriminator plays."""
    train(episodes, tmp_path, "training.steps=2")
    weights = train(episodes, tmp_path)
    for name, tensor in trained[1].items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-4, atol=1e-6)


def test_the_encoder_rests_once_the_discriminator_plays(trained, episodes, tmp_path):
    out, _ = trained
    state = torch.load(out / "checkpoint.pt", weights_only=True)
    train(episodes, tmp_path, "training.steps=3")
    before = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    named = {name: (tensor, before["model"][name]) for name, tensor in state["model"].items()}
    weights = {n: p for n, p in named.items() if "running" not in n and "num_batches" not in n}
    still = {name for name, (after, then) in weights.items() if torch.equal(after, then)}
    assert still >= {name for name in weights if name.startswith("encoder.")}
    assert not any(name.startswith("decoder.conv_out") for name in still)
    judges = zip(state["judge"].values(), before["judge"].values(), strict=True)
    assert not all(torch.equal(after, then) for after, then in judges)


def test_it_learns(episodes, tmp_path, diffusers):
    settings = ("training.steps=40", "training.lr=2e-3", "training.discriminator_from=40")
    train(episodes, tmp_path, *settings)
    lines = [line for line in (tmp_path / "log.jsonl").read_text().splitlines() if "l1" in line]
    l1 = [float(line.split('"l1": ')[1].split(",")[0]) for line in lines]
    assert np.mean(l1[-5:]) < 0.7 * np.mean(l1[:5])


def test_what_comes_of_it_is_a_worlds_codec(trained, tmp_path):
    """The trained file goes where a released one goes."""
    from models.zoo.convert import main as convert
    from models.zoo.golden import read_golden
    from worldsim.world.model import load_world

    far = read_golden(ROOT / "tests/golden/far_long.safetensors")
    torch.save(far.weights, tmp_path / "far.pth")
    (tmp_path / "tiny.yaml").write_text(
        "{title: Tiny, parameters: 0, autoencoder: autoencoder, fps: 7.5, steps: 2,"
        " network: {width: 64, layers: 2, head_size: 32, axes: [8, 12, 12], coarse_patch: 4,"
        " window: 4, latent_size: 4, condition: action, classes: 4}, play: {classes: [0, 1, 2]},"
        " action_set: dmlab-published}"
    )
    (tmp_path / "autoencoder.yaml").write_bytes((trained[0] / "autoencoder.yaml").read_bytes())
    files = ["--far", str(tmp_path / "far.pth"), "--kind", str(tmp_path / "tiny.yaml")]
    files += ["--autoencoder", str(trained[0] / "autoencoder.safetensors")]
    assert convert(["import", *files, "--out", str(tmp_path / "world")]) == 0
    world = load_world(tmp_path / "world")
    weights = world.codec.model.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in trained[1].items())
    state = world.reset(np.zeros((1, 1, 32, 32, 3), np.uint8), np.zeros((1, 0), int), [0])
    _, frames = world.step(state, [2])
    assert frames.shape == (1, 32, 32, 3)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("data.train=nowhere", "nowhere holds no episodes"),
        ("data.frame_size=64", "must have >= 7 frames of 64 pixels"),
        ("training.vgg=a.pth", "give both vgg and linear"),
        ("model=dcae-9x", "no autoencoder 'dcae-9x': there is dcae-16x-c32"),
    ],
)
def test_a_wrong_setting_gets_one_sentence(episodes, tmp_path, diffusers, setting, sentence):
    with pytest.raises(ValueError, match=sentence):
        train(episodes, tmp_path, setting)


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    """Weight files of the published names and shapes; LPIPS' own weights are the real ones."""
    backbone = write_backbone(tmp_path_factory.mktemp("vgg") / "vgg.pth", "vgg")
    return backbone, heads_path("vgg")


def test_the_perceptual_distance_grows_with_what_one_sees(vgg):
    generator = torch.Generator().manual_seed(0)
    distance = read_perceptual(*vgg)
    pictures = torch.rand(2, 3, 32, 32, generator=generator) * 2 - 1
    noise = torch.randn(pictures.shape, generator=generator)
    found = [float(distance(pictures, pictures + amount * noise)) for amount in (0.0, 0.1, 0.4)]
    assert found[0] == 0
    assert 0 < found[1] < found[2]
    # The definition, once by hand: the first stage alone.
    one, other = (distance.features(p)[0] for p in (pictures, pictures + noise))
    assert one.square().sum(1).mean() == pytest.approx(1, abs=1e-3)
    by_hand = ((one - other) ** 2 * distance.weights[0]).sum(1).mean()
    assert 0 < float(by_hand) < float(distance(pictures, pictures + noise))


def test_training_with_the_perceptual_loss(episodes, vgg, tmp_path, diffusers):
    files = (f"training.vgg={vgg[0]}", f"training.linear={vgg[1]}", "training.steps=2")
    train(episodes, tmp_path, *files)
    assert '"lpips": 0.' in (tmp_path / "log.jsonl").read_text()


def test_a_file_of_something_else_is_no_perceptual_loss(vgg):
    with pytest.raises(ValueError, match="not a weight file of LPIPS"):
        read_perceptual(vgg[1], vgg[0])


def test_the_discriminator_learns_to_tell_apart():
    torch.manual_seed(0)
    judge, real, made = patch_discriminator(8), torch.ones(2, 3, 32, 32), torch.zeros(2, 3, 32, 32)
    opt = torch.optim.AdamW(judge.parameters(), 1e-3)
    losses = []
    for _ in range(20):
        loss = hinge_loss(judge(real), judge(made))
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(1, abs=0.3)
    assert losses[-1] < 0.5 * losses[0]


def test_both_losses_pull_equally():
    weight = torch.ones(3, requires_grad=True)
    factor = balance((6 * weight).sum(), (2 * weight).sum(), weight)
    assert float(factor) == pytest.approx(3, abs=1e-3)
