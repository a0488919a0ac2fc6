"""Training of a part of a world: the same weights whether it was interrupted or not."""

from types import SimpleNamespace

import pytest
import torch

from models.training import part
from models.training.part import PartTraining
from worldsim.world.checkpoint import load_training, save_training

PLAN = SimpleNamespace(steps=6, lr=0.1)


def make_network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Linear(3, 1)


def train(path, network: torch.nn.Module, stop_at: int | None = None) -> PartTraining:
    training = PartTraining("part", "weights", network, PLAN, path)

    def draw_loss():
        if training.step == stop_at:
            raise KeyboardInterrupt
        x = torch.randn(4, 3, generator=torch.Generator().manual_seed(training.step))
        return (network(x) - 1).square().mean()

    training.run(draw_loss, steepness=2)
    return training


def test_a_resumed_training_ends_as_one_that_was_not_interrupted(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(part, "SAVED", 1)
    whole, first, second = make_network(), make_network(), make_network()
    train(tmp_path / "whole.pt", whole)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken.pt", first, stop_at=3)
    assert load_training(tmp_path / "broken.pt")["step"] == 3
    torch.nn.init.zeros_(second.weight)  # what the file holds is what goes on
    train(tmp_path / "broken.pt", second)
    assert torch.equal(second.weight, whole.weight)
    assert "part 6/6" in capsys.readouterr().out


def test_the_rate_warms_up_and_ends_near_zero(tmp_path, monkeypatch):
    monkeypatch.setattr(part, "WARM_UP", 2)
    rates = []
    network = make_network()
    training = PartTraining("part", "weights", network, PLAN, tmp_path / "part.pt")

    def draw_loss():
        rates.append(training.optimiser.param_groups[0]["lr"])
        return network.weight.sum()

    training.run(draw_loss, steepness=2)
    assert rates == pytest.approx([0.05, 0.1, 0.1, 0.1, 0.2 / 3, 0.1 / 3])


def test_a_file_without_an_optimiser_opens(tmp_path):
    """Odometry was once saved without one."""
    network = make_network()
    save_training(tmp_path / "part.pt", {"weights": network.state_dict(), "step": 2})
    training = train(tmp_path / "part.pt", make_network())
    assert training.is_done
    assert not training.is_new
