"""The last moves walked back: half a turn, their inverses in reverse, half a turn; and how far from
where they began that ends.
"""

import math
from collections.abc import Sequence

import numpy as np

from worldsim.actions import ActionSet
from worldsim.controls import Action
from worldsim.evaluate.metrics import psnr
from worldsim.evaluate.scripted_actions import count_turns, find_forward, find_turn, undo_moves
from worldsim.runtime.core.track import Track
from worldsim.told import join, tell

MOST = 16  # moves


class ReturnWalk:
    """The way back from where a track is.

    Args:
        track: of which the last moves are undone.
        most: how many of them.

    Attributes:
        moves: what to do.
        count: how many moves are undone.

    Raises:
        ValueError: nothing can be undone.
    """

    def __init__(self, track: Track, most: int = MOST) -> None:
        actions = track.place.actions
        check_turns(actions)
        left, right = find_turn(actions, +1), find_turn(actions, -1)
        out = _undoable(track, {left, right, find_forward(actions)}, most)
        if not out:
            raise ValueError(tell("There is nothing to walk back: walk forward or turn first."))
        half = [left] * (count_turns(actions) // 2)
        undone = undo_taken(out, left, right)
        self.moves: list[Action] = [*half, *undone, *half]
        self.count = len(out)
        self._home = track.history[track.number - len(out)]
        self._arrives = track.number + len(self.moves)

    def describe_error(self, track: Track) -> str:
        """How far off it ended; empty before that, or where something else was done."""
        if track.number != self._arrives:
            return ""
        here = track.history[track.number]
        told = tell(
            "{count} moves walked back: the picture agrees to {decibels:.1f} dB",
            count=self.count,
            decibels=float(psnr(here.frame, self._home.frame)),
        )
        if here.pose is None or self._home.pose is None:
            return join([told, "."])
        cells = math.dist(here.pose[:2], self._home.pose[:2])
        return tell("{told}, {cells:.2f} cells off.", told=told, cells=cells)


def undo_taken(taken: Sequence[Action], left: int, right: int) -> list[Action]:
    """What leads back from the end of a way, for one who looks back: of a continuous action first
    its turn and then its stride, for it strode before it turned.
    """
    undone: list[Action] = []
    for action in reversed(taken):
        if isinstance(action, tuple):
            turn, stride = action
            undone += [(-turn, 0.0)] * bool(turn) + [(0.0, stride)] * bool(stride)
        else:
            undone += undo_moves(np.array([action]), left, right).tolist()
    return undone


def check_turns(actions: ActionSet) -> None:
    """Refuse actions that cannot be undone by turning round.

    Raises:
        ValueError: they do not turn both ways in steps that make half a turn, or do not walk.
    """
    try:
        left = actions.turns[find_turn(actions, +1)]
        even = math.isclose(actions.turns[find_turn(actions, -1)], -left)
        find_forward(actions)
    except ValueError:
        even = False
    if not even or not math.isclose(round(math.pi / left) * left, math.pi):
        raise ValueError(tell("This world's moves cannot be walked back: they do not turn round."))


def _undoable(track: Track, known: set[int], most: int) -> list[Action]:
    """The newest moves that are turns, steps ahead or standing still, the oldest first."""
    idle = track.place.actions.idle
    known = known | ({track.place.actions.id(idle)} if idle is not None else set())
    out: list[Action] = []
    for number in range(track.number, track.history.first, -1):
        action = track.moves[number - 1].taken
        if not (isinstance(action, tuple) or action in known) or len(out) == most:
            break
        out.insert(0, action)
    return out
