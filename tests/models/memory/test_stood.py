"""Places where a body has stood: a ring that is written once."""

import numpy as np
import torch

from models.memory.sizes import NEXT_PLACES, NOWHERE, PLACES
from models.memory.stood import nearest_places, no_places, remember_places
from models.onnx_runtime import poses as twin

FULL, APART = 0.38, 0.1
CPU = torch.device("cpu")


def pose(x: float, y: float = 0.0, heading: float = 0.0, height: float = 0.0) -> torch.Tensor:
    return torch.tensor([[x, y, heading, height]])


def walk(way: list[torch.Tensor], first: int = 0) -> torch.Tensor:
    """The ring after a walk through poses."""
    stood = no_places(1, CPU)
    for number, (before, after) in enumerate(zip(way[:1] + way, way, strict=False), first):
        told = torch.tensor([number]), APART, torch.tensor(FULL)
        stood = remember_places(stood, before, after, *told)
    return stood


def held(stood: torch.Tensor) -> torch.Tensor:
    """The places that are some, by x."""
    found = stood[0][stood[0, :, 0] != NOWHERE]
    return found[found[:, 0].argsort()]


def test_a_step_leaves_its_end_and_its_middle():
    found = held(walk([pose(0.0), pose(0.38, height=0.2)]))
    wanted = [[0.0, 0.0, 0.0], [0.19, 0.0, 0.1], [0.38, 0.0, 0.2]]
    assert torch.allclose(found, torch.tensor(wanted))


def test_standing_turning_and_going_back_add_nothing():
    there = [pose(0.0), pose(0.38), pose(0.76)]
    back = [pose(0.76, heading=3.1), pose(0.38, heading=3.1), pose(0.04, heading=3.1)]
    assert torch.equal(held(walk(there + back)), held(walk(there)))


def test_a_body_that_was_put_somewhere_did_not_go_there():
    found = held(walk([pose(0.0), pose(2.0)]))
    assert found[:, 0].tolist() == [0.0, 2.0]


def test_the_oldest_places_are_written_over():
    way = [pose(0.38 * i) for i in range(PLACES // 2 + 3)]
    found = held(walk(way))
    assert len(found) == PLACES
    assert found[0, 0] > 0.38
    assert torch.isclose(found[-1, 0], way[-1][0, 0])


def test_rows_are_what_they_are_alone():
    before, after = torch.randn(2, 5, 4) * 0.2
    stood, numbers = torch.randn(5, PLACES, 3), torch.arange(5) * 700
    told = APART, torch.tensor(FULL)
    together = remember_places(stood, before, after, numbers, *told)
    assert not torch.equal(together, stood)
    for row in range(5):
        at = slice(row, row + 1)
        alone = remember_places(stood[at], before[at], after[at], numbers[at], *told)
        assert torch.equal(alone, together[at])


def test_without_torch_places_are_the_same():
    generator = torch.Generator().manual_seed(0)
    way = torch.cumsum(0.3 * torch.randn(400, 4, generator=generator), dim=0)
    stood = np.full((PLACES, 3), NOWHERE, np.float32)
    poses = way.numpy()
    for number, (before, after) in enumerate(zip(poses[[0, *range(399)]], poses, strict=True)):
        twin.remember_places(stood, before, after, number, APART, FULL)
    ring = walk([way[i : i + 1] for i in range(400)])[0].numpy()
    assert np.array_equal(stood, ring)


def test_the_nearest_places_are_found():
    stood = walk([pose(0.38 * i) for i in range(40)])
    near = nearest_places(stood, pose(3.8))
    assert near.shape == (1, NEXT_PLACES, 3)
    assert (near[0, :, 0] - 3.8).abs().max() < 1.6
