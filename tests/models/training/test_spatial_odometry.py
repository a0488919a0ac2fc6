"""Training of odometry: a run that resumes goes on where it stopped."""

import torch

from models.memory.odometry import Odometry, OdometryConfig
from models.training.spatial_odometry import OdometryTraining, train_odometry
from tests.support.room_walks import walk_room
from tests.support.rooms import FOV
from worldsim.actions import load_actions
from worldsim.world.checkpoint import load_training

ACTIONS = load_actions("dmlab")


def train(path, steps: int) -> tuple[Odometry, dict]:
    torch.manual_seed(0)
    cfg = OdometryConfig(actions=4, width=16, prototypes=4)
    odometry = Odometry(cfg, ACTIONS.turns, FOV)
    episodes = [walk_room(21, 32, seed) for seed in range(3)]
    plan = OdometryTraining(steps=steps, batch=4)
    return odometry, train_odometry(odometry, episodes, ACTIONS, plan, path, 0)


def test_a_resumed_training_keeps_its_optimiser(tmp_path):
    path = tmp_path / "odometry.pt"
    begun, _ = train(path, 2)
    assert load_training(path)["step"] == 2
    resumed, figures = train(path, 4)
    state = load_training(path)
    assert state["step"] == 4
    assert {int(part["step"]) for part in state["optimiser"]["state"].values()} == {4}
    assert torch.equal(resumed.motions, begun.motions)  # the same prototypes
    assert not torch.equal(resumed.first.weight, begun.first.weight)
    assert 0 <= figures["odometry_off"] <= 1


def test_a_finished_training_is_read_as_it_is(tmp_path):
    path = tmp_path / "odometry.pt"
    done, figures = train(path, 2)
    again, same = train(path, 2)
    assert torch.equal(again.first.weight, done.first.weight)
    assert same == figures
