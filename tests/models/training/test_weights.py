"""Sharded trainings: two processes that hold half of everything each train as one that holds all,
and go on as one, from its checkpoint, and the other way round.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models.training.weights import (
    add_tensors,
    copy_shape,
    fill_shape,
    load_whole,
    rename_parts,
    take_tensors,
    tell_state,
)
from tests.support.published_clips import published_tree
from tests.support.torchrun import torchrun
from train_world import main
from worldsim.world.checkpoint import load_training, save_training

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
STOPPED = ROOT / "tests/support/train_and_stop.py"
CONFIGS = {
    "far": (ROOT / "assets/configs/published/far-b-long-dmlab.yaml", "dmlab"),
    "videoar": (ROOT / "assets/configs/videoar/videoar-l-ucf101.yaml", "ucf101"),
}
EXACT = ("training.precision=float32", "training.lr=1e-2")
STOP, STEPS = 2, 3
SHARDS = [f"shard-0000{number}-model-00001-of-00001.safetensors" for number in (1, 2)]


@pytest.fixture(scope="module", params=CONFIGS)
def kind(request):
    """FAR, and VideoAR."""
    return request.param


@pytest.fixture(scope="module")
def data(kind, tmp_path_factory):
    """Settings that name the clips."""
    return write_data(kind, tmp_path_factory.mktemp(kind))


def write_data(kind, folder):
    tree = published_tree(folder, CONFIGS[kind][1])
    return [f"data.{name}={path}" for name, path in tree.items()]


def train(kind, data, out, *more, processes=1, stop=None):
    """A smoke run of one process, or of two sharded ones; to the end, or up to a step."""
    sharded = f"training.sharded={'true' if processes > 1 else 'false'}"
    settings = [x for part in (*data, *EXACT, sharded, *more) for x in ("--set", part)]
    arguments = [str(CONFIGS[kind][0]), "--smoke", "--out", str(out), "--threads", "1", *settings]
    if stop is None and processes == 1:
        assert main(arguments) == 0
    elif stop is None:
        torchrun(*arguments, processes=processes)
    else:
        torchrun(str(stop), *arguments, processes=processes, script=STOPPED)
    return out


@pytest.fixture(scope="module")
def whole(kind, data, tmp_path_factory, diffusers):
    """What one process does."""
    return train(kind, data, tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(scope="module")
def half(kind, data, tmp_path_factory, diffusers):
    """What two sharded processes leave when they are stopped."""
    return train(kind, data, tmp_path_factory.mktemp("half") / "run", processes=2, stop=STOP)


@pytest.fixture(scope="module")
def alone(kind, data, tmp_path_factory, diffusers):
    """What one process leaves."""
    return train(kind, data, tmp_path_factory.mktemp("alone") / "run", stop=STOP)


def curve(out):
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return np.array([(line["loss"], line["norm"]) for line in lines if "loss" in line])


def assert_alike(out, whole):
    """The same losses and gradient norms, weights and average."""
    assert len(curve(whole)) == STEPS
    assert np.ptp(curve(whole), axis=0).min() > 1e-3
    np.testing.assert_allclose(curve(out), curve(whole), rtol=1e-4)
    ours, theirs = (load_whole(path / "checkpoint.pt")[0] for path in (out, whole))
    for part in ("network", "average"):
        assert ours[part].keys() == theirs[part].keys()
        for name, weight in theirs[part].items():
            torch.testing.assert_close(ours[part][name], weight, rtol=0, atol=1e-3)


def optimisers(out):
    return load_whole(out / "checkpoint.pt")[0]["optimisers"]


def test_sharded_processes_go_on_as_one(kind, data, whole, half, tmp_path):
    out = shutil.copytree(half, tmp_path / "run")
    assert_alike(train(kind, data, out), whole)


def test_one_process_goes_on_sharded(kind, data, whole, alone, tmp_path):
    """Its sheet and its world are made of gathered weights."""
    out = shutil.copytree(alone, tmp_path / "run")
    assert_alike(train(kind, data, out, processes=2), whole)
    parts = {Path(f"checkpoint-{STEPS:07d}", name) for name in SHARDS}
    assert list_files(out) == list_files(whole) | parts  # and none of an earlier checkpoint


def list_files(out):
    return {path.relative_to(out) for path in out.rglob("*") if path.is_file()}


def test_a_sharded_checkpoint_is_one_process_own(half, alone):
    """Nothing in it tells who wrote it: not the names, not the numbers, not an optimiser's state of
    weights that had no gradient, not a setting.
    """
    ours, theirs = optimisers(half), optimisers(alone)
    assert len(ours) == len(theirs) == 1
    assert ours[0]["param_groups"] == theirs[0]["param_groups"]
    assert ours[0]["state"].keys() == theirs[0]["state"].keys()
    for number, told in theirs[0]["state"].items():
        assert ours[0]["state"][number].keys() == told.keys()
        for name, value in told.items():
            torch.testing.assert_close(ours[0]["state"][number][name], value, rtol=1e-3, atol=1e-5)


def test_each_process_writes_its_own_half(half):
    """Nothing big is in the checkpoint itself, and nothing is written twice."""
    folder = half / f"checkpoint-{STOP:07d}"
    assert sorted(path.name for path in folder.iterdir()) == SHARDS
    sizes = [(folder / name).stat().st_size for name in SHARDS]
    numbers = sum(t.numel() for t in read_shards(folder))
    assert max(sizes) < 0.55 * sum(sizes)
    assert 4 * numbers < sum(sizes) < 4.6 * numbers
    whole, found = load_whole(half / "checkpoint.pt")
    assert found == folder
    assert numbers == sum(t.numel() for t in take_tensors(whole)[1].values())
    assert not take_tensors(load_training(half / "checkpoint.pt"))[1]


def read_shards(folder):
    return [t for name in SHARDS for t in load_file(folder / name).values()]


def test_sharded_processes_go_on_sharded(kind, data, whole, half, tmp_path):
    """A second start reads the parts, each process its own."""
    out = shutil.copytree(half, tmp_path / "run")
    assert_alike(train(kind, data, out, processes=2), whole)


def test_a_save_that_was_killed_loses_nothing(kind, data, whole, half, tmp_path):
    """Before the checkpoint was written: what lies about is removed by the next save. After it: the
    folder is found.
    """
    out = shutil.copytree(half, tmp_path / "run")
    shutil.copytree(out / f"checkpoint-{STOP:07d}", out / "checkpoint-0000009.unfinished")
    folder = out / f"checkpoint-{STOP:07d}"
    folder.rename(f"{folder}.unfinished")
    assert_alike(train(kind, data, out, processes=2), whole)
    assert [path.name for path in out.glob("checkpoint-*")] == [f"checkpoint-{STEPS:07d}"]


@pytest.mark.parametrize("damage", ["flipped", "missing"])
def test_damaged_parts_are_refused(half, damage, tmp_path):
    out = shutil.copytree(half, tmp_path / "run")
    shard = out / f"checkpoint-{STOP:07d}" / SHARDS[1]
    if damage == "flipped":
        data = bytearray(shard.read_bytes())
        data[-1] ^= 1
        shard.write_bytes(data)
    else:
        shard.unlink()
    with pytest.raises(ValueError, match=f"{SHARDS[1]}.* (does not fit|is missing)"):
        load_whole(out / "checkpoint.pt")


def test_tensors_are_taken_and_added_again():
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    opt = torch.optim.AdamW(network.parameters())
    network(torch.ones(4, 2)).square().sum().backward()
    opt.step()
    state = tell_state(network, network, [opt])
    small, tensors = take_tensors(state)
    assert "network.1.num_batches_tracked" not in tensors
    assert set(small["optimisers"][0]["state"][0]) == {"step"}
    assert opt.state_dict()["state"][0].keys() == {"step", "exp_avg", "exp_avg_sq"}
    add_tensors(small, tensors)
    assert small["optimisers"] == state["optimisers"]
    assert small["network"].keys() == state["network"].keys()


def test_state_that_no_gradient_made_is_not_made_up(kind, data, half, tmp_path):
    """A weight that is used late would else begin with another step's bias correction."""
    out = shutil.copytree(half, tmp_path / "run")
    state, _ = load_whole(out / "checkpoint.pt")
    held = state["optimisers"][0]["state"]
    del held[min(held)]
    state["step"] = STEPS  # nothing is left to do but to save
    save_training(out / "checkpoint.pt", state)
    train(kind, data, out, processes=2)
    assert optimisers(out)[0]["state"].keys() == held.keys()


def test_each_process_holds_half_of_everything(tmp_path):
    """A training that divided nothing would agree with one process all the better."""
    torchrun(str(tmp_path / "told.json"), script=ROOT / "tests/support/count_parts.py")
    one, other = json.loads((tmp_path / "told.json").read_text())
    assert set(one) == {"network", "average", "gradients", "moments", "variances"}
    for name, (whole, mine) in one.items():
        assert whole == 6 * 8 + 8 + 3 * (8 * 8 + 8) + 8 * 2 + 2
        assert mine == other[name][1] == whole / 2


def test_shares_must_divide(tmp_path, diffusers):
    """Processes with unequal numbers of shares would wait for each other for ever."""
    given = write_data("far", tmp_path), tmp_path / "run", "training.shares=3", "training.batch=3"
    with pytest.raises(AssertionError, match="multiple of 2, the processes of a sharded training"):
        train("far", *given, processes=2)


def test_weights_are_known_by_name_or_number():
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    opt = torch.optim.AdamW(network.parameters())
    network(torch.ones(4, 2)).square().sum().backward()
    opt.step()
    numbers = dict(enumerate(name for name, _ in network.named_parameters()))
    named = rename_parts(opt.state_dict(), numbers)
    assert set(named["state"]) == {"0.weight", "0.bias", "1.weight", "1.bias"}
    back = rename_parts(named, {name: number for number, name in numbers.items()})
    assert back == opt.state_dict()


def test_a_shape_is_filled_without_a_copy():
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    network[1].running_mean.fill_(7.0)
    shape = copy_shape(network)
    assert all(part.is_meta for part in shape.parameters())
    weights = network.state_dict()
    made = fill_shape(shape, weights, "the file")
    assert made[0].weight.data_ptr() == network[0].weight.data_ptr()
    assert bool((made[1].running_mean == 7.0).all())
    with pytest.raises(ValueError, match="the file is of another network"):
        fill_shape(shape, weights | {"0.weight": torch.zeros(2, 2)}, "the file")
