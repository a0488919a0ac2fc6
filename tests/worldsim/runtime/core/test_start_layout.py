"""Thumbnails of starts fit into any window, and arrows lead from each to each."""

import itertools

import pytest

from worldsim.runtime.core.pane_layout import Rect
from worldsim.runtime.core.start_layout import cell_at, lay_out_starts, step_to

LINE = 16


@pytest.mark.parametrize("size", [(640, 600), (1900, 1000), (300, 200), (400, 1000)])
@pytest.mark.parametrize("counts", [[8, 8], [1], [3, 8, 2], [9, 1, 1, 1]])
def test_nothing_overlaps_and_all_is_inside(size, counts):
    room = Rect(5, 30, *size)
    layout = lay_out_starts(counts, room, LINE)
    assert len(layout.headings) == len(counts)
    named = [cell._replace(height=cell.height + LINE) for cell in layout.cells]
    for one, other in itertools.combinations([*named, *layout.headings], 2):
        apart = one.x + one.width <= other.x or other.x + other.width <= one.x
        assert apart or one.y + one.height <= other.y or other.y + other.height <= one.y
    if min(size) > 250:
        assert all(cell.x >= 5 and cell.x + cell.width <= 5 + size[0] for cell in named)
        assert all(cell.y + cell.height <= 30 + size[1] for cell in named)


def test_arrows_reach_every_thumbnail():
    cells = lay_out_starts([3, 8, 2], Rect(0, 0, 640, 600), LINE).cells
    reached, new = set(), {0}
    while new:
        reached |= new
        ways = itertools.product(new, ("left", "right", "up", "down"))
        new = {step_to(cells, at, way) for at, way in ways} - reached
    assert reached == set(range(13))
    assert step_to(cells, 0, "left") == step_to(cells, 0, "up") == 0


def test_the_mouse_points_at_what_is_below_it():
    cells = lay_out_starts([2], Rect(0, 0, 640, 600), LINE).cells
    assert cell_at(cells, cells[1].x, cells[1].y) == 1
    assert cell_at(cells, cells[1].x - 1, cells[1].y) is None
