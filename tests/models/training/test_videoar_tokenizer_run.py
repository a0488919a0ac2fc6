"""Training of a VideoAR tokenizer: from images to videos, interrupted, and used by the network."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.training.videoar_published_config import VideoARPublishedConfig
from models.training.videoar_published_config import small as small_network
from models.training.videoar_published_run import open_tokenizer
from models.training.videoar_tokenizer_run import (
    TokenizerConfig,
    TokenizerRun,
    begin_tokenizer,
    small,
)
from tests.support.published_clips import published_tree
from train_world import main
from worldsim.config import ConfigError, load_config
from worldsim.world.checkpoint import load_weights

FOLDER = Path(__file__).resolve().parents[3] / "assets/configs/videoar"
IMAGES, VIDEOS = (str(FOLDER / f"videoar-tokenizer-{name}.yaml") for name in ("images", "ucf101"))


@pytest.fixture(scope="module")
def where(tmp_path_factory) -> list[str]:
    """Settings that name the files of a data set."""
    tree = published_tree(tmp_path_factory.mktemp("ucf101"), "ucf101")
    return [f"data.{name}={path}" for name, path in tree.items()]


def train(path, where, out, *more):
    given = [part for setting in where for part in ("--set", setting)]
    assert main([path, "--smoke", "--out", str(out), "--threads", "1", *given, *more]) == 0
    return out / "tokenizer.safetensors"


def test_a_tokenizer_of_images_begins_one_of_videos(where, tmp_path):
    """And that is what the network's training reads."""
    image = train(IMAGES, where, tmp_path / "images")
    video = train(VIDEOS, where, tmp_path / "videos", "--from", str(image))
    lines = [json.loads(x) for x in (tmp_path / "videos/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert "judge" not in lines[0]
    assert all(line["judge"] > 0 and line["adversarial"] != 0 for line in lines[1:])
    cfg = small_network(load_config(FOLDER / "videoar-l-ucf101.yaml", VideoARPublishedConfig))
    tokenizer = open_tokenizer(replace(cfg, tokenizer=str(video)), untrained=False)
    told = json.loads((tmp_path / "videos/tokenizer.json").read_text())
    assert told["codec"]["time_stride"] == 4
    assert told["psnr"] > 0
    saved = load_weights(video)
    assert all(torch.equal(part, saved[name]) for name, part in tokenizer.state_dict().items())


def test_a_video_begins_as_its_images(where, tmp_path):
    image = train(IMAGES, where, tmp_path)
    cfg = replace(small(load_config(VIDEOS, TokenizerConfig, where)), image=str(image))
    begun, saved = begin_tokenizer(cfg), load_weights(image)
    name = "encoder.layers.0.weight"
    weight = dict(begun.autoencoder.named_parameters())[name]
    assert torch.equal(weight[:, :, -1:], saved[f"autoencoder.{name}"])
    assert (weight[:, :, :-1] == 0).all()
    with pytest.raises(ValueError, match="there are no tokenizer weights"):
        begin_tokenizer(replace(cfg, image=str(tmp_path / "nowhere")))


def test_an_interrupted_run_goes_on_with_the_same_losses(where):
    cfg = small(load_config(IMAGES, TokenizerConfig, where))
    whole, first, second = (TokenizerRun(cfg, torch.device("cpu")) for _ in range(3))
    expected = [whole.one_step() for _ in range(3)]
    assert [first.one_step() for _ in range(2)] == expected[:2]
    second.load_state(first.state())
    assert second.one_step() == expected[2]


def test_the_perceptual_loss_may_be_by_efficientnet(where):
    """Without a file of anyone's; it is a part of the loss, and its network learns nothing."""
    cfg = small(load_config(IMAGES, TokenizerConfig, [*where, "training.efficientnet=true"]))
    run = TokenizerRun(cfg, torch.device("cpu"))
    told = run.one_step()
    assert told["perceptual"] > 0
    assert not any(part.requires_grad for part in run.perceptual.parameters())
    assert "perceptual" not in run.state()
    without = TokenizerRun(small(load_config(IMAGES, TokenizerConfig, where)), torch.device("cpu"))
    assert without.one_step()["perceptual"] == 0


def test_one_perceptual_loss_is_enough():
    changes = [f"training.{name}=x.pth" for name in ("vgg", "linear")]
    with pytest.raises(ConfigError, match="there is one perceptual loss"):
        load_config(IMAGES, TokenizerConfig, [*changes, "training.efficientnet=true"])


def test_clips_must_fill_their_latents():
    with pytest.raises(ConfigError, match=r"data\.frames must be 1 \+ a multiple of 4"):
        load_config(VIDEOS, TokenizerConfig, ["data.frames=16"])
    with pytest.raises(ConfigError, match=r"quantizer\.channels must be 48"):
        load_config(VIDEOS, TokenizerConfig, ["quantizer.channels=32"])
