"""Pictures to pick one of: starts, slots. (Imagined actions are in action_preview.py.)"""

from collections.abc import Callable, Sequence

import numpy as np

from worldsim.runtime.core.pane_layout import Pane
from worldsim.told import join, tell

PAGE = 9  # as many as there are digits


class Picker:
    """A page of numbered pictures.

    Args:
        title: what to do, in a few words.
        pictures: uint8 `[H,W,3]` and a label each; None for an empty place.
        picked: what to do with the index of the one that was picked.

    Attributes:
        by_action: whether the key of an action picks too.
    """

    by_action = False

    def __init__(
        self,
        title: str,
        pictures: Sequence[tuple[np.ndarray | None, str]],
        picked: Callable[[int], None],
    ) -> None:
        self.title = title
        self._pictures, self._picked = list(pictures), picked
        self._first = self._at = 0

    def panes(self) -> tuple[Pane, ...]:
        """The pictures of this page, the one that is stood at marked."""
        return tuple(
            Pane(frame, join([f"{n + 1} ", tell(label)]), marked=n == self._at)
            for n, (frame, label) in enumerate(self._page())
        )

    def _page(self) -> list[tuple[np.ndarray | None, str]]:
        return self._pictures[self._first : self._first + PAGE]

    def turn(self, by: int) -> None:
        """Stand at the next picture of this page (+1), or at the one before (-1)."""
        self._at = (self._at + by) % len(self._page())

    def pick_marked(self) -> None:
        """Pick the one that is stood at.

        Raises:
            ValueError: there is no picture.
        """
        self.pick(self._at + 1)

    def tick(self) -> bool:
        """Do a little work; False when there is none just now."""
        return False

    def more(self) -> bool:
        """Turn the page; False when this was the last."""
        self._first, self._at = self._first + PAGE, 0
        return self._first < len(self._pictures)

    def pick(self, number: int) -> None:
        """Pick by number, from 1 on this page.

        Raises:
            ValueError: there is no such picture.
        """
        index = self._first + number - 1
        if index >= len(self._pictures) or self._pictures[index][0] is None:
            raise ValueError(tell("There is no picture {number} here.", number=number))
        self._picked(index)
