"""Keys on the screen: which there are, that they lie clear of the picture, and who holds them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldsim.actions import load_actions
from worldsim.runtime.core.intents import REPLAY_INTENTS
from worldsim.runtime.core.pane_layout import Rect
from worldsim.runtime.core.touch_pad import (
    GAP,
    SMALLEST,
    Touches,
    find_cell,
    lay_out_pad,
    list_pad_keys,
)


@pytest.mark.parametrize("name", ["dmlab", "dmlab-published", "minecraft", "voxel"])
def test_every_move_and_the_way_back_have_a_key(name):
    """And standing still has none: it needs no finger."""
    found = list_pad_keys(load_actions(name))
    assert [key.key for key in found] == ["a", "d", "backspace", "w"]
    assert [key.left for key in found] == [True, True, False, False]
    assert len({key.label for key in found}) == 4


def test_a_recording_has_the_way_back_alone():
    found = list_pad_keys(load_actions("watch"), REPLAY_INTENTS)
    assert [key.key for key in found] == ["backspace"]


PAD = list_pad_keys(load_actions("dmlab"))


@given(st.integers(40, 3000), st.integers(40, 3000), st.integers(0, 50))
def test_keys_lie_in_the_room_apart_from_each_other_and_from_the_picture(width, height, top):
    room = Rect(0, top, width, height)
    cells, left = lay_out_pad(PAD, room)
    assert len(cells) == len(PAD)
    for at, cell in enumerate(cells):
        assert cell.x >= 0
        assert cell.x + cell.width <= width
        assert cell.y + cell.height <= top + height
        middle = cell.x + cell.width / 2, cell.y + cell.height / 2
        assert find_cell(cells, middle) == at
        if height > 4 * SMALLEST:
            assert find_cell([left], middle) is None
    if min(width, height) > 300:
        assert cells[0].width >= SMALLEST


def test_a_wide_screen_keeps_the_size_of_its_picture():
    cells, left = lay_out_pad(PAD, Rect(0, 0, 1280, 700))
    assert min(left[2:]) == 700
    assert left.x >= cells[1].x + cells[1].width
    assert left.x + left.width <= cells[2].x
    assert cells[0].x == GAP
    assert lay_out_pad((), Rect(0, 0, 9, 9)) == ([], Rect(0, 0, 9, 9))


def test_two_thumbs_hold_two_keys_and_one_key_is_let_go_by_the_last():
    touches = Touches()
    assert touches.put(1, "w") == [("w", True)]
    assert touches.put(2, "a") == [("a", True)]
    assert touches.put(3, "w") == []
    assert touches.lift(1) == []
    assert touches.held == {"w", "a"}
    assert touches.lift(3) == [("w", False)]
    assert touches.lift(3) == []
    assert touches.lift(2) == [("a", False)]


def test_a_finger_that_slides_takes_the_next_key_and_none_between_them():
    touches = Touches()
    touches.put(1, "a")
    assert touches.put(1, "d") == [("a", False), ("d", True)]
    assert touches.put(1, None) == [("d", False)]
    assert touches.has(1)
    assert touches.put(1, "a") == [("a", True)]
    touches.clear()
    assert not touches.has(1)
