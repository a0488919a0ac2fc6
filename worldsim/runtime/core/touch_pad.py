"""Keys on the screen, for tablets: which there are, where they lie, and which fingers hold them.
Draws nothing.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from worldsim.actions import ActionSet
from worldsim.runtime.core.intents import INTENTS, PAD, Intent
from worldsim.runtime.core.pane_layout import Rect

SHARE = 7  # a key is this part of the shorter side of the room,
SMALLEST, LARGEST = 48, 160  # but never so small that a finger misses it, nor larger than a thumb
GAP = 8  # pixels between keys
SIGNS = {"forward": "\u25b2", "back": "\u25bc", "backward": "\u25bc"}
LEFT, RIGHT, REWIND = "\u25c0", "\u25b6", "\u21b6"


class PadKey(NamedTuple):
    """A key on the screen.

    Attributes:
        key: of the tables of keys; what it means there it means here.
        label: what is drawn on it.
        left: whether the left thumb has it.
    """

    key: str
    label: str
    left: bool


def list_pad_keys(actions: ActionSet, intents: Sequence[Intent] = INTENTS) -> tuple[PadKey, ...]:
    """Turns for the left thumb; going back in time and every other action for the right one."""
    found = []
    for name, turn in zip(actions.names, actions.turns, strict=True):
        bound = (k for k, action in actions.keys.items() if action == name)
        key = next((k for k in bound if not k.startswith(PAD)), None)
        if key is None or name == actions.idle:
            continue
        sign = (LEFT if turn > 0 else RIGHT) if turn else SIGNS.get(name, name)
        found.append(PadKey(key, sign, left=bool(turn)))
    found.sort(key=lambda one: (not one.left, one.label == RIGHT))
    rewind = next((i for i in intents if i.name == "rewind" and i.keys), None)
    turns = [one for one in found if one.left]
    back = [] if rewind is None else [PadKey(rewind.keys[0], REWIND, left=False)]
    return (*turns, *back, *found[len(turns) :])


def lay_out_pad(keys: Sequence[PadKey], room: Rect) -> tuple[list[Rect], Rect]:
    """Where each key lies, at the lower corners of a room, and what is left of the room: between
    the keys where it is wide enough for a square picture as large as before, else above them.
    """
    if not keys:
        return [], room
    most = room.width // len(keys) - GAP
    side = max(1, min(max(min(room[2:]) // SHARE, SMALLEST), LARGEST, most))
    turns = sum(key.left for key in keys)
    top = room.y + room.height - side - GAP
    cells = []
    for at in range(len(keys)):
        steps = at if at < turns else at - len(keys)
        start = room.x + GAP if at < turns else room.x + room.width
        cells.append(Rect(start + steps * (side + GAP), top, side, side))
    wide = GAP + max(turns, len(keys) - turns) * (side + GAP)
    if room.width - room.height >= 2 * wide:
        return cells, room.less(left=wide, right=wide)
    return cells, room.less(bottom=side + 2 * GAP)


def find_cell(cells: Sequence[Rect], place: tuple[float, float]) -> int | None:
    """The number of the cell that a place lies in, or None."""
    for number, cell in enumerate(cells):
        inside = 0 <= place[0] - cell.x < cell.width and 0 <= place[1] - cell.y < cell.height
        if inside:
            return number
    return None


class Touches:
    """Which finger holds which key; one key may be held by several, and a finger may slide."""

    def __init__(self) -> None:
        self._keys: dict[Hashable, str | None] = {}

    @property
    def held(self) -> frozenset[str]:
        """The keys that are held."""
        return frozenset(key for key in self._keys.values() if key is not None)

    def has(self, finger: Hashable) -> bool:
        """Whether a finger came down on a key and is still down, wherever it slid."""
        return finger in self._keys

    def put(self, finger: Hashable, key: str | None) -> list[tuple[str, bool]]:
        """A finger is on a key now, or beside them all: which went down (True), which came up."""
        before = self.held
        self._keys[finger] = key
        return self._compare(before)

    def lift(self, finger: Hashable) -> list[tuple[str, bool]]:
        """A finger came up, the same way."""
        before = self.held
        self._keys.pop(finger, None)
        return self._compare(before)

    def _compare(self, before: frozenset[str]) -> list[tuple[str, bool]]:
        gone, new = before - self.held, self.held - before
        return [(one, False) for one in gone] + [(one, True) for one in new]

    def clear(self) -> None:
        """Forget all fingers."""
        self._keys.clear()
