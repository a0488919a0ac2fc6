"""Ours against the published networks: every output in every golden file, whole and frame by
frame.
"""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.zoo.convert import main
from models.zoo.golden import TOLERANCE, differences, read_golden

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
FILES = sorted(path.stem for path in GOLDEN.glob("*.safetensors"))


@pytest.mark.parametrize("stem", FILES)
def test_every_output_agrees(stem, request):
    if stem.startswith("dcae"):
        request.getfixturevalue("diffusers")
    golden = read_golden(GOLDEN / f"{stem}.safetensors")
    found = {difference.output: difference.largest for difference in differences(golden)}
    assert max(found.values()) < TOLERANCE, found
    names = {name.partition(" ")[0] for name in found}
    assert names >= {n for n in golden.tensors if n.startswith(("velocity", "rollout", "latent_"))}


def test_there_are_files_to_check():
    assert len(FILES) == 6


@pytest.fixture
def altered(tmp_path):
    """A golden file in which one tensor is another."""

    def alter(stem, name, change):
        golden = read_golden(GOLDEN / f"{stem}.safetensors")
        tensors = dict(golden.tensors)
        tensors[name] = change(tensors.get(name, torch.zeros(1)))
        meta = {key: json.dumps(value) for key, value in golden.meta.items()}
        save_file(tensors, tmp_path / "altered.safetensors", metadata=meta)
        return str(tmp_path / "altered.safetensors")

    return alter


def test_a_difference_is_told_and_fails(altered, capsys):
    """Exit 0 must mean agreement: a wrong output, however slightly, is named and refused."""
    path = altered("far_label", "velocity_last_T6", lambda x: x + 2e-4)
    assert main(["check", path]) == 1
    shown = capsys.readouterr().out
    assert shown.count("DIFFERS") == 2
    assert "velocity_last_T6 cached" in shown
    assert "not all agree" in shown


def test_not_a_number_is_no_agreement(altered):
    path = altered("far_label", "velocity_all", lambda x: x * float("nan"))
    assert main(["check", path]) == 1


def test_an_unknown_output_is_not_passed_over(altered):
    with pytest.raises(ValueError, match="'surprise', which is not known"):
        main(["check", altered("far_label", "surprise", lambda x: x)])


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="is not a golden file"):
        main(["check", str(tmp_path / "x.safetensors")])
