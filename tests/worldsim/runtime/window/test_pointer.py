"""What events of the mouse and of fingers mean; SDL tells of the first finger as both."""

import numpy as np
import pytest

from worldsim.actions import load_actions
from worldsim.runtime.core.pane_layout import Rect
from worldsim.runtime.core.touch_pad import list_pad_keys
from worldsim.world.depth_view import DepthView

ACTIONS = load_actions("dmlab")
LEFT, RIGHT = 0, 1


@pytest.fixture
def pointing():
    """A pointer over a picture of 400 pixels, four keys below it, and what its events lead to."""
    from worldsim.runtime.window import pointer
    from worldsim.runtime.window.compose import Placed
    from worldsim.runtime.window.screen import pygame

    view = DepthView(np.full((2, 2), 0.5, np.float32), np.zeros(3, np.float32), 90.0, 30.0)
    cells = [Rect(100 * n, 400, 90, 90) for n in range(4)]
    pad = list_pad_keys(ACTIONS)
    scene = pointer.Scene(Rect(0, 0, 400, 500), Placed(Rect(0, 0, 400, 400), cells), pad, view)

    class Pointing(pointer.Pointer):
        pygame, here = pointer.pygame, scene

        def feel(self, kind, **told):
            event = pygame.event.Event(getattr(pygame, kind), **told)
            return (
                self.read_keys(event, self.here),
                self.read_turns(event, self.here, ACTIONS),
                self.read_click(event, self.here),
            )

        def down(self, x, y, **told):
            return self.feel("MOUSEBUTTONDOWN", button=1, pos=(x, y), **told)

        def move(self, x, y, rel, **told):
            return self.feel("MOUSEMOTION", buttons=(1, 0, 0), pos=(x, y), rel=rel, **told)

        def up(self, x, y, **told):
            return self.feel("MOUSEBUTTONUP", button=1, pos=(x, y), **told)

        def finger(self, kind, number, x, y):
            return self.feel(f"FINGER{kind}", finger_id=number, x=x / 400, y=y / 500)[0]

    return Pointing()


def test_a_click_names_the_place_that_is_seen_there(pointing):
    assert pointing.down(300, 100) == ([], (), None)
    keys, turns, click = pointing.up(302, 100)
    assert (keys, turns) == ([], ())
    ahead, left = click.target
    assert ahead == pytest.approx(2.0)
    assert left == pytest.approx(-1.0, abs=0.02)  # 45 degrees to the edge, half of that pixel-wise


def test_a_drag_turns_and_is_no_click(pointing):
    pointing.down(100, 100)
    assert pointing.move(210, 100, (110, 0))[1] == (RIGHT,)
    assert pointing.up(210, 100)[2] is None
    pointing.down(100, 100)
    pointing.move(110, 100, (10, 0))
    pointing.move(100, 100, (-10, 0))
    assert pointing.up(100, 100)[2] is None  # it came back, but it strayed


def test_a_finger_that_trembles_still_clicks(pointing):
    pointing.down(100, 100)
    for _ in range(9):
        pointing.move(104, 103, (4, 3))
        pointing.move(100, 100, (-4, -3))
    assert pointing.up(103, 100)[2].target is not None


def test_where_nobody_knows_distances_a_click_says_that(pointing):
    pointing.here = pointing.here._replace(view=None)
    pointing.down(300, 100)
    assert pointing.up(300, 100)[2].target is None


def test_the_sky_the_words_and_other_buttons_are_no_place(pointing):
    far = pointing.here.view._replace(inverse_depth=np.zeros((2, 2), np.float32))
    pointing.here = pointing.here._replace(view=far)
    pointing.down(300, 100)
    with pytest.raises(ValueError, match="too far to walk to"):
        pointing.up(300, 100)
    pointing.down(300, 495)
    assert pointing.up(300, 495)[2] is None
    pointing.feel("MOUSEBUTTONDOWN", button=3, pos=(300, 100))
    assert pointing.feel("MOUSEBUTTONUP", button=3, pos=(300, 100))[2] is None


def test_beside_the_dream_a_click_says_where_it_walks(pointing):
    """On the truth and on the map it did nothing, without a word."""
    placed = pointing.here.placed._replace(picture=Rect(0, 0, 200, 200))
    placed = placed._replace(beside=[Rect(200, 0, 200, 200), Rect(0, 200, 200, 200)])
    pointing.here = pointing.here._replace(placed=placed)
    pointing.down(150, 50)
    ahead, left = pointing.up(150, 50)[2].target
    assert (ahead, left) == (pytest.approx(2.0), pytest.approx(-1.0, abs=0.02))
    for x, y in ((250, 50), (50, 250)):
        pointing.down(x, y)
        with pytest.raises(ValueError, match="Only the dream can be walked in"):
            pointing.up(x, y)
    pointing.down(250, 250)
    assert pointing.up(250, 250)[2] is None
    pointing.here = pointing.here._replace(view=None)
    pointing.down(250, 50)
    assert pointing.up(250, 50)[2].target is None


def test_what_was_clicked_on_is_what_was_there_when_the_button_went_down(pointing):
    """The picture may move below a finger: its first touch brings the keys."""
    pointing.down(300, 100)
    pointing.here = pointing.here._replace(view=None)
    assert pointing.up(300, 100)[2].target is not None


def test_the_mouse_holds_a_key_on_the_screen_and_neither_turns_nor_walks(pointing):
    assert pointing.down(345, 450) == ([("w", True)], (), None)
    assert pointing.move(245, 450, (-100, 0)) == ([("w", False), ("backspace", True)], (), None)
    assert pointing.up(245, 450) == ([("backspace", False)], (), None)


def test_two_fingers_hold_two_keys_and_the_mouse_that_follows_the_first_does_nothing(pointing):
    assert not pointing.touched
    assert pointing.finger("DOWN", 7, 345, 450) == [("w", True)]
    assert pointing.touched
    assert pointing.down(345, 450, touch=True) == ([], (), None)
    assert pointing.finger("DOWN", 9, 45, 450) == [("a", True)]
    assert pointing.finger("MOTION", 9, 145, 450) == [("a", False), ("d", True)]
    assert pointing.finger("UP", 7, 345, 450) == [("w", False)]
    assert pointing.up(345, 450, touch=True) == ([], (), None)
    assert pointing.finger("UP", 9, 145, 450) == [("d", False)]


def test_a_finger_on_the_picture_drags_and_taps_as_a_mouse_does(pointing):
    assert pointing.finger("DOWN", 7, 300, 100) == []
    pointing.down(300, 100, touch=True)
    assert pointing.up(300, 100, touch=True)[2].target is not None
    pointing.down(300, 100, touch=True)
    assert pointing.move(190, 100, (-110, 0), touch=True)[1] == (LEFT,)


def test_what_is_held_is_let_go_when_the_window_is_left(pointing):
    pointing.down(345, 450)
    pointing.clear()
    assert pointing.touches.held == frozenset()
    assert pointing.up(345, 450) == ([], (), None)
