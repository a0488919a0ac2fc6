"""Training from data to world, and what must hold when it is interrupted or shared out."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.codec.patch_autoencoder import AutoencoderConfig, PatchAutoencoder, decoder_loss
from models.training.codec import prepare
from models.training.config import TrainConfig
from models.training.recipe_far import SMOKE, DynamicsRun
from tests.support.commands import refused
from tests.support.torchrun import torchrun
from train_world import main
from worldsim.config import load_config
from worldsim.machine_speed import pick_precision
from worldsim.world.checkpoint import load_training, save_training
from worldsim.world.model import load_world

ROOT = Path(__file__).resolve().parents[3]
CONFIG = str(ROOT / "assets/configs/dmlab-far.yaml")


@pytest.fixture(scope="module")
def smoke(tmp_path_factory) -> Path:
    """A finished smoke run."""
    out = tmp_path_factory.mktemp("smoke")
    assert main([CONFIG, "--smoke", "--out", str(out)]) == 0
    return out


def config(smoke: Path, *changes: str) -> TrainConfig:
    cfg = load_config(CONFIG, TrainConfig, [*SMOKE, *changes])
    where = {name: str(smoke / "data" / name) for name in ("train", "heldout")}
    return replace(cfg, data=replace(cfg.data, cache=str(smoke / "latents"), **where))


def run_in(smoke: Path, out: Path, *changes: str) -> DynamicsRun:
    out.mkdir(exist_ok=True)
    (out / "codec.pt").write_bytes((smoke / "codec.pt").read_bytes())
    cfg = config(smoke, *changes)
    codec, cache = prepare(cfg, out, torch.device("cpu"))
    run = DynamicsRun(cfg, codec, cache, out, torch.device("cpu"))
    run.resume()
    return run


def losses(run: DynamicsRun, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(run.one_step()["flow"])
        run.step += 1
    return found


def test_smoke_run_makes_a_world_that_dreams(smoke):
    world = load_world(smoke / "world")
    spawn = world.spawns[0]
    state = world.reset(spawn.frames[None, :5], spawn.actions[None, :4], [0])
    state, frames = world.step(state, [0])
    assert frames.shape == (1, 64, 64, 3)
    assert frames.dtype == np.uint8


def test_smoke_run_logs_every_step_and_draws_a_sheet(smoke):
    lines = [json.loads(line) for line in (smoke / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "flow" in line] == list(range(1, 13))
    assert next(line["preview"]["psnr_first"] for line in lines if "preview" in line) > 0
    assert list(smoke.glob("sheet-*.png"))


@pytest.mark.parametrize("kind", ["dmlab-far", "dmlab"])
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--set", "data.train=nowhere/train"], "nowhere/train holds no episodes"),
        (["--set", "data.heldout=nowhere/heldout"], "nowhere/heldout holds no episodes"),
        (["--export"], "no checkpoint to export"),
        (["--fresh", "--export"], "no checkpoint to export"),
        (["--from", "no-such-world"], "there is no world"),
        (["--smoke", "--set", "engine=Nothing-v0"], "the setting engine"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_a_folder_is_made(
    smoke, tmp_path, capsys, kind, options, sentence
):
    """It left an empty folder, moved an older run aside, and printed the usage of `collect`."""
    where = [f"data.{name}={smoke / 'data' / name}" for name in ("train", "heldout")]
    sets = [word for setting in where for word in ("--set", setting)]
    out = tmp_path / "runs" / "new"
    said = refused(capsys, "train", kind, "--out", str(out), *sets, *options)
    assert sentence in said
    assert "usage:" not in said
    assert not out.parent.exists()


def test_killed_training_resumes_to_the_same_curve(smoke, tmp_path):
    """All stages are on: residuals, samplers and both optimisers must come back, or the curves
    part.
    """
    stages = [
        f"training.{name}_from=0" for name in ("shortcuts", "error_injection", "self_forcing")
    ]
    whole = losses(run_in(smoke, tmp_path / "whole", *stages), 6)
    first = run_in(smoke, tmp_path / "parts", *stages)
    begun = losses(first, 3)
    first.save()
    losses(first, 1)  # lost when the process is killed
    rest = losses(run_in(smoke, tmp_path / "parts", *stages), 3)
    assert begun + rest == whole


def test_another_number_of_shares_goes_on(smoke, tmp_path):
    """Two shares become three: those there were go on, smaller; a new one begins. Fewer than there
    were is what nobody gets.
    """
    first = run_in(smoke, tmp_path, "training.shares=2", "training.batch=6")
    losses(first, 2)
    first.save()
    stood = [first.shares[number].sampler.state_dict() for number in (0, 1)]
    more = run_in(smoke, tmp_path, "training.shares=3", "training.batch=6")
    assert [more.shares[number].sampler.state_dict() for number in (0, 1)] == stood
    assert [share.sampler.batch for share in more.shares.values()] == [2, 2, 2]
    fresh = run_in(smoke, tmp_path / "new", "training.shares=3", "training.batch=6")
    at = [run.shares[2].sampler.state_dict() for run in (more, fresh)]
    assert at[0] == at[1]
    assert len(run_in(smoke, tmp_path, "training.shares=1").shares) == 2


def test_a_checkpoint_of_before_there_were_shares_goes_on(smoke, tmp_path):
    """It has a state for each process, under another name."""
    run = run_in(smoke, tmp_path)
    losses(run, 2)
    run.save()
    state = load_training(run.path)
    state["processes"] = state.pop("shares")
    save_training(run.path, state)
    assert losses(run_in(smoke, tmp_path), 2) == losses(run, 2)


def test_shares_of_a_batch_are_its_gradient(smoke, tmp_path):
    """The mean over shares, whoever computes them; what is logged is their mean, too."""
    changes = "training.shares=2", "training.clip_norm=1e9", "training.precision=float32"
    run, told = run_in(smoke, tmp_path, *changes), []
    for share in run.shares.values():
        loss, measures = share.loss(run.average, share.draw(0), 0)
        (loss / 2).backward()
        told.append(measures["flow"])
    again = run_in(smoke, tmp_path, *changes)
    assert again.one_step()["flow"] == pytest.approx(sum(told) / 2)
    pairs = list(zip(again.network.parameters(), run.network.parameters(), strict=True))
    assert sum(weight.grad is not None for weight, _ in pairs) > 10
    for weight, other in pairs:
        torch.testing.assert_close(weight.grad, other.grad)


@pytest.mark.parametrize("shares", [0, 3])
def test_shares_that_no_batch_has_are_one_sentence(smoke, shares):
    with pytest.raises(ValueError, match=rf"shares must be in \[1, 2\], the batch, got {shares}"):
        config(smoke, f"training.shares={shares}")


def test_training_goes_on_from_a_world(smoke, tmp_path):
    """What a world ships is enough to train it further: same codec, nearly the same first loss."""
    out = tmp_path / "further"
    settings = [f"--set=data.{n}={smoke / 'data' / n}" for n in ("train", "heldout")]
    settings += [f"--set={setting}" for setting in (*SMOKE, f"data.cache={smoke / 'latents'}")]
    command = [CONFIG, "--out", str(out), "--from", str(smoke / "world"), *settings]
    assert main([*command, "--set", "training.steps=2"]) == 0
    ours, theirs = load_world(out / "world"), load_world(smoke / "world")
    assert torch.equal(ours.codec.basis, theirs.codec.basis)
    change = ours.dynamics.network.embed_fine.weight - theirs.dynamics.network.embed_fine.weight
    assert 0 < change.abs().max() < 0.02


def test_loss_falls(smoke, tmp_path):
    run = run_in(
        smoke, tmp_path / "falls", "training.warmup=5", "training.steps=200", "training.lr=3e-3"
    )
    found = losses(run, 60)
    assert np.mean(found[-10:]) < 0.7 * np.mean(found[:5])


def test_two_processes_train_together(smoke, tmp_path):
    (tmp_path / "codec.pt").write_bytes((smoke / "codec.pt").read_bytes())
    settings = [
        *SMOKE,
        "training.steps=3",
        *(f"data.{n}={smoke / 'data' / n}" for n in ("train", "heldout")),
    ]
    settings.append(f"data.cache={smoke / 'latents'}")
    torchrun(
        *(CONFIG, "--out", str(tmp_path), "--threads", "1"),
        *(f"--set={setting}" for setting in settings),
    )
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 3
    assert len(state["shares"]) == 2
    card = load_world(tmp_path / "world").card
    assert (card.training["steps"], card.continuous) == (3, None)


def test_missing_data_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="worldsim collect"):
        main([CONFIG, "--out", str(tmp_path), "--set", f"data.train={tmp_path / 'none'}"])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (["codec.frame_size=128", "codec.patch=16"], "has frames of 64 pixels, the codec of 128"),
        (["action_set=voxel"], "holds episodes with the actions dmlab"),
        (["data.cache=HERE"], "is not a cache of latents"),
        (["dynamics.network.layers=3"], "is of another network"),
    ],
)
def test_what_does_not_fit_is_one_sentence_and_nothing_is_lost(smoke, tmp_path, changes, sentence):
    (tmp_path / "mine").write_text("not to be deleted")
    for name in ("codec.pt", "checkpoint.pt"):
        if changes[0].startswith("dynamics"):
            (tmp_path / name).write_bytes((smoke / name).read_bytes())
    where = {name: smoke / "data" / name for name in ("train", "heldout")}
    where["cache"] = smoke / "latents" if changes[0].startswith("dynamics") else tmp_path / "new"
    settings = [*SMOKE, *(f"data.{name}={path}" for name, path in where.items()), *changes]
    words = [f"--set={word.replace('HERE', str(tmp_path))}" for word in settings]
    with pytest.raises(ValueError, match=sentence):
        main([CONFIG, "--out", str(tmp_path), *words])
    assert (tmp_path / "mine").read_text() == "not to be deleted"


def test_an_export_needs_a_checkpoint(smoke, tmp_path):
    words = [f"--set={setting}" for setting in SMOKE]
    words += [f"--set=data.{name}={smoke / 'data' / name}" for name in ("train", "heldout")]
    with pytest.raises(ValueError, match="no checkpoint to export"):
        main([CONFIG, "--out", str(tmp_path / "out"), "--export", *words,
              f"--set=data.cache={tmp_path / 'latents'}"])  # fmt: skip


def test_a_device_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="there is no device 'abacus' here"):
        main([CONFIG, "--out", str(tmp_path), "--device", "abacus"])


def test_the_decoder_learns_on_any_device():
    """Nothing in its loss stays behind on the CPU. (The device `meta` computes nothing, and refuses
    to be mixed with others all the same.)
    """
    meta = torch.device("meta")
    codec = PatchAutoencoder(AutoencoderConfig(frame_size=16, patch=4, channels=8, width=16))
    frames = torch.zeros(3, 16, 16, 3, dtype=torch.uint8, device=meta)
    loss = decoder_loss(codec.to(meta), frames, torch.Generator().manual_seed(0))
    assert loss.device == meta


def test_the_codec_is_trained_once(smoke, tmp_path):
    """Its steps are no multiple of the steps between two saves."""
    cfg = config(smoke, "codec_training.steps=7")
    prepare(cfg, tmp_path, torch.device("cpu"))
    before = (tmp_path / "codec.pt").read_bytes()
    prepare(cfg, tmp_path, torch.device("cpu"))
    assert torch.load(tmp_path / "codec.pt", weights_only=True)["step"] == 7
    assert (tmp_path / "codec.pt").read_bytes() == before


def test_precision_is_measured_or_as_wished():
    cpu = torch.device("cpu")
    assert pick_precision("float32", cpu) is torch.float32
    assert pick_precision("bfloat16", cpu) is torch.bfloat16
    assert pick_precision("auto", cpu) in (torch.float32, torch.bfloat16)
