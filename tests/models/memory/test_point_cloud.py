"""Coloured points of a bank, the map from above, and the PLY file."""

import numpy as np
import pytest
import torch

from models.memory.frame_bank import FrameBank, Insertion
from models.memory.point_cloud import PointCloud, draw_map, format_ply, remembered_points

SIZE, DEPTH_SIZE, FIELD_OF_VIEW, FAR = 16, 8, 90.0, 20.0


def bank_with_a_wall(first_hand, true=True):
    """A red wall two units ahead of a camera at the origin that looks along x."""
    bank = FrameBank.empty(1, 4, SIZE, DEPTH_SIZE)
    rgb = torch.zeros(1, SIZE, SIZE, 3, dtype=torch.uint8)
    rgb[..., 0] = 200
    wall = torch.full((1, DEPTH_SIZE, DEPTH_SIZE), 0.5)
    entry = Insertion(rgb, wall, torch.zeros(1, 4), first_hand)
    bank.insert(entry, torch.tensor([0]), torch.tensor([0]), true, FIELD_OF_VIEW)
    return bank


def test_points_lie_on_the_wall_and_carry_its_colour():
    bank = bank_with_a_wall(torch.ones(1, SIZE, SIZE, dtype=torch.bool))
    cloud = remembered_points(bank, 0, FIELD_OF_VIEW, FAR)
    assert len(cloud.points) == DEPTH_SIZE**2
    torch.testing.assert_close(cloud.points[:, 0], torch.full((64,), 2.0))
    assert cloud.points[:, 1].abs().max() < 2  # 90 degrees: as wide as it is far
    assert (cloud.colours == torch.tensor([200, 0, 0])).all()
    assert not cloud.invented.any()


def test_pixels_that_were_rendered_from_memory_are_no_points():
    """A copy of a surface would be drawn twice, a little beside itself."""
    first_hand = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    first_hand[:, :, : SIZE // 2] = True
    bank = bank_with_a_wall(first_hand, true=False)
    cloud = remembered_points(bank, 0, FIELD_OF_VIEW, FAR)
    assert len(cloud.points) == DEPTH_SIZE**2 // 2
    assert (cloud.points[:, 1] > 0).all()  # the left half
    assert cloud.invented.all()


def test_the_sky_is_no_surface():
    bank = bank_with_a_wall(torch.ones(1, SIZE, SIZE, dtype=torch.bool))
    bank.inverse_depth.fill_(1 / FAR)
    assert not len(remembered_points(bank, 0, FIELD_OF_VIEW, FAR).points)


@pytest.mark.parametrize(
    ("heading", "row", "column"), [(0.0, 24, 32), (np.pi / 2, 32, 40), (-np.pi / 2, 32, 24)]
)
def test_ahead_is_up_on_the_map(heading, row, column):
    """A point one unit along x: ahead, to the right of who looks along y, to the left."""
    blue = torch.tensor([[0, 0, 255]], dtype=torch.uint8)
    cloud = PointCloud(torch.tensor([[1.0, 0.0, 0.0]]), blue, torch.tensor([False]))
    picture = draw_map(cloud, torch.tensor([0.0, 0.0, heading, 0.0]), size=64, reach=4.0)
    rows, columns = np.nonzero((picture.numpy() == [0, 0, 255]).all(-1))
    assert abs(int(rows[0]) - row) <= 1
    assert abs(int(columns[0]) - column) <= 1


def test_a_ply_file_holds_every_point():
    cloud = PointCloud(
        torch.tensor([[1.0, 2.0, 3.0]]),
        torch.tensor([[9, 8, 7]], dtype=torch.uint8),
        torch.tensor([True]),
    )
    header, _, data = format_ply(cloud).partition(b"end_header\n")
    assert header.startswith(b"ply\nformat binary_little_endian 1.0\nelement vertex 1\n")
    assert np.frombuffer(data[:12], "<f4").tolist() == [1, 2, 3]
    assert list(data[12:]) == [9, 8, 7, 1]
