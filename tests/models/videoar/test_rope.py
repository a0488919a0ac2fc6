"""Multi-scale Temporal RoPE."""

import pytest
import torch

from models.nn.rope import rotate, rotation
from models.videoar.rope import cell_positions, frequencies, sections, token_positions


@pytest.mark.parametrize(
    ("head", "expected"), [(128, (22, 21, 21)), (80, (14, 13, 13)), (32, (6, 5, 5)), (6, (1, 1, 1))]
)
def test_sections_are_as_equal_as_possible(head, expected):
    assert sections(head) == expected


def test_a_shared_ladder_turns_text_as_rope_of_one_axis():
    """A token at (i, i, i) as one at i, to 1e-12."""
    table = frequencies(128, "shared", 10_000.0)
    plain = 10_000.0 ** -(torch.arange(64, dtype=torch.float64) / 64)
    for i in (0.0, 1.0, 17.0, 4096.0):
        angles = torch.full((3,), i, dtype=torch.float64) @ table
        torch.testing.assert_close(angles, i * plain, rtol=1e-12, atol=1e-12)


def test_a_ladder_each_begins_at_one():
    table = frequencies(128, "each", 10_000.0)
    assert [float(row.max()) for row in table] == [1.0, 1.0, 1.0]
    assert table[0, 1] == pytest.approx(10_000 ** -(1 / 22))
    assert table[1, 23] == table[0, 1]


def test_a_ladder_of_the_plane_does_not_turn_by_time():
    table = frequencies(32, "plane", 10_000.0)
    assert not table[0].any()
    assert torch.equal(table[1, :8], table[2, 8:])
    assert torch.equal(table[1:].sum(dim=0), torch.cat((table[1, :8], table[2, 8:])))
    assert table[1, 0] == 1
    assert frequencies(6, "plane", 10_000.0)[1:].sum(dim=0).tolist() == [1.0, 0.01, 1.0]


@pytest.mark.parametrize("ladder", ["shared", "each", "plane"])
def test_attention_knows_only_differences_of_time(ladder):
    table = frequencies(32, ladder, 10_000.0)
    cells = [cell_positions((2, 2), (4, 4), "finest")]
    q, k = torch.randn(2, 1, 4, 2, 32, dtype=torch.float64).float().unbind(0)
    products = []
    for start in (0, 100_000):
        turned = [
            rotate(x, rotation(token_positions(torch.tensor([[start + t]]), cells), table))
            for x, t in ((q, 5), (k, 2))
        ]
        assert turned[0].norm() == pytest.approx(float(q.norm()), rel=1e-5)
        products.append(torch.einsum("bnhd,bmhd->bhnm", *turned))
    torch.testing.assert_close(*products, rtol=1e-4, atol=1e-4)


def test_cells_on_the_finest_grid():
    """Infinity's: the index times the finest over the own size, rounded; own grids as in Eq. 7."""
    finest = cell_positions((4, 4), (6, 6), "finest")
    assert finest[:4, 1].tolist() == [0, 2, 3, 4]  # 1.5 and 4.5 round to even
    assert cell_positions((4, 4), (6, 6), "own")[:4, 1].tolist() == [0, 1, 2, 3]
    assert cell_positions((1, 1), (6, 6), "finest").tolist() == [[0, 0]]
    corner = cell_positions((2, 2), (8, 8), "finest")
    assert corner.tolist() == [[0, 0], [0, 4], [4, 0], [4, 4]]


def test_the_same_cells_in_every_frame():
    cells = [cell_positions(size, (4, 4), "own") for size in ((1, 1), (2, 2))]
    found = token_positions(torch.tensor([[3, 4]]), cells)
    assert found.shape == (1, 10, 3)
    assert torch.equal(found[0, :5, 1:], found[0, 5:, 1:])
    assert found[0, :, 0].tolist() == [3] * 5 + [4] * 5
