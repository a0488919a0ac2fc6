"""Training of odometry: a run that resumes goes on where it stopped."""

import torch

from models.memory.odometry import Odometry, OdometryConfig
from models.memory.stood import nearest_places, no_places, remember_places
from models.training.spatial_odometry import OdometryTraining, list_places, train_odometry
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


def test_places_of_a_walk_are_those_that_play_holds():
    """On a walk with rests, turns about and steps back, whose end many places lie next to."""
    cfg = OdometryConfig(actions=4, radius=0.2)
    generator = torch.Generator().manual_seed(3)
    steps = (
        torch.rand(150, generator=generator) * 0.3 * (torch.rand(150, generator=generator) > 0.3)
    )
    headings = (torch.randn(150, generator=generator) * 0.8).cumsum(0)
    moves = torch.stack((steps * headings.cos(), steps * headings.sin()), dim=1)
    way = torch.cat((moves.cumsum(0), headings[:, None], torch.zeros(150, 1)), dim=1)
    stood = no_places(1, way.device)
    for number, (before, after) in enumerate(zip([way[0], *way], way, strict=False)):
        told = torch.tensor([number]), cfg.radius / 2, torch.tensor(0.3)
        stood = remember_places(stood, before[None], after[None], *told)
    found = list_places(way, cfg)[None]
    ours, wanted = (nearest_places(places, way[-1:])[0] for places in (found, stood))
    near = (wanted[:, :2] - way[-1, :2]).norm(dim=1) < cfg.reach
    assert near.sum() >= 4
    assert torch.equal(ours[near], wanted[near])
