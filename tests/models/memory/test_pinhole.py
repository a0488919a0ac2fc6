"""Pixels to points in space and back."""

import math

import pytest
import torch

from models.memory.pinhole import pixel_grid, project, reproject, unproject

FOV = 90.0  # half the picture plane is as wide as it is far


def test_a_point_projects_where_it_is_seen_by_hand():
    """At (1, 2), looking along +y from height 3, at a point 4 ahead, 2 to the right and 1 up."""
    pose = torch.tensor([1.0, 2.0, math.pi / 2, 3.0])
    seen = project(torch.tensor([3.0, 6.0, 4.0]), pose, FOV)
    assert seen.depth == pytest.approx(4.0)
    assert seen.u == pytest.approx(0.5)  # 2 of 4 to the right
    assert seen.v == pytest.approx(-0.25)  # 1 of 4 upwards
    row, column = seen.pixels(64)
    assert (row.item(), column.item()) == (24, 48)


@pytest.mark.parametrize(
    "point",
    [(-1.0, 0.0, 0.0), (0.01, 0.0, 0.0), (1.0, 1.1, 0.0), (1.0, 0.0, 1.1)],
    ids=["behind", "too near", "beside", "above"],
)
def test_what_is_not_in_the_picture_is_not_visible(point):
    pose = torch.zeros(4)
    assert not project(torch.tensor(point), pose, FOV).visible()
    assert project(torch.tensor([1.0, 0.9, 0.9]), pose, FOV).visible()


def test_a_pixel_comes_back_to_itself():
    generator = torch.Generator().manual_seed(0)
    poses = torch.randn(5, 4, generator=generator)
    depth = 0.5 + torch.rand(5, 16, 16, generator=generator)
    seen = project(unproject(depth, poses, 73.0), poses[:, None, None], 73.0)
    rows, columns = seen.pixels(16)
    assert torch.allclose(seen.depth, depth, atol=1e-5)
    assert (rows == torch.arange(16)[:, None]).all()
    assert (columns == torch.arange(16)).all()


def test_another_camera_sees_a_depth_map_as_it_sees_its_points():
    generator = torch.Generator().manual_seed(0)
    poses, into = (
        torch.randn(2, 3, 4, generator=generator),
        torch.randn(2, 3, 4, generator=generator),
    )
    depth = 0.5 + 5 * torch.rand(2, 3, 16, 16, generator=generator)
    slow = project(unproject(depth, poses, 73.0), into[..., None, None, :], 73.0)
    fast = reproject(depth, poses, into, 73.0)
    ahead = slow.depth > 0.05
    assert 0.2 < ahead.float().mean() < 0.9
    for one, other in zip(fast, slow, strict=True):
        assert torch.allclose(one[ahead], other[ahead], rtol=1e-4, atol=1e-3)


def test_a_camera_in_the_same_place_sees_pixels_where_they_are():
    pose = torch.tensor([[0.3, -0.2, 2.1, 0.1]])
    depth = torch.linspace(0.1, 20, 64 * 64).view(1, 64, 64)
    rows, columns = reproject(depth, pose, pose, 73.0).pixels(64)
    assert (rows == torch.arange(64)[:, None]).all()
    assert (columns == torch.arange(64)).all()


def test_the_middle_of_the_picture_lies_ahead():
    points = unproject(torch.full((2, 2), 3.0), torch.tensor([0.0, 0.0, 0.0, 1.0]), FOV)
    left, right = points[0, 0], points[1, 1]
    assert left.tolist() == pytest.approx([3.0, 1.5, 2.5])
    assert right.tolist() == pytest.approx([3.0, -1.5, -0.5])
    assert pixel_grid(2, FOV).tolist() == pytest.approx([-0.5, 0.5])
