"""Walkers that play the land of blocks to make training data.

`PublishedWalker` is the random policy of the published Minecraft data: forward nine times in ten,
each action kept for five steps, a turn after fifty steps forward. It spends long against trunks and
cliffs. `Wanderer` notices when it no longer gets ahead, turns away, looks around, and comes back to
where it was. Both are pure functions of their generator and the poses they are given.
"""

import math
from typing import Protocol

import numpy as np

from worldsim.actions import ActionSet

REPEAT = 5
FORWARD_SHARE = 0.9
FORWARD_MOST = 50
WANDERER_SHARE = 0.75
RESTING_SHARE = 0.5
WANDERER, RESTS = "wanderer", "+rests"
_AHEAD = 0.1  # blocks a step forward that count as getting ahead


class Walker(Protocol):
    """Anything that chooses actions from poses."""

    kind: str

    def act(self, pose: np.ndarray) -> int:
        """The next action, from the pose float32 `[3]` it is taken at."""


def make_walker(actions: ActionSet, rng: np.random.Generator) -> Walker:
    """Draw one of the walkers by its share of episodes."""
    kind, _, rests = draw_kind(rng).partition("+")
    if kind == PublishedWalker.kind:
        return PublishedWalker(actions, rng)
    return Wanderer(actions, rng, rests=bool(rests))


def draw_kind(rng: np.random.Generator) -> str:
    """The kind of the walker that `make_walker` draws from the same generator."""
    wanders, rests = rng.random() < WANDERER_SHARE, rng.random() < RESTING_SHARE
    return WANDERER + RESTS * rests if wanders else PublishedWalker.kind


class PublishedWalker:
    """The random policy of the published data."""

    kind = "published"

    def __init__(self, actions: ActionSet, rng: np.random.Generator) -> None:
        self._rng = rng
        self._forward = actions.id("forward")
        self._turns = actions.id("left"), actions.id("right")
        self._action, self._repeats, self._walked = self._forward, 0, 0

    def act(self, pose: np.ndarray) -> int:
        """The next action; the pose is not looked at."""
        if not self._repeats:
            walk = self._walked < FORWARD_MOST and self._rng.random() < FORWARD_SHARE
            self._action = self._forward if walk else int(self._rng.choice(self._turns))
            self._repeats = REPEAT
        self._repeats -= 1
        self._walked = self._walked + 1 if self._action == self._forward else 0
        return self._action


class Wanderer:
    """Walks on, turns away from what stops it, looks around, turns back at times, and may rest."""

    def __init__(self, actions: ActionSet, rng: np.random.Generator, rests: bool = False) -> None:
        self.kind = WANDERER + RESTS * rests
        self._rng, self._rests = rng, rests
        self._forward, self._stand = actions.id("forward"), actions.id("stand")
        self._turns = actions.id("left"), actions.id("right")
        self._circle = round(math.tau / actions.turns[self._turns[0]])
        self._plan: list[int] = []
        self._last: np.ndarray | None = None
        self._stuck = 0

    def act(self, pose: np.ndarray) -> int:
        """The next action; see Walker."""
        self._notice(pose)
        if not self._plan:
            self._plan = self._draw()
        action = self._plan.pop()
        self._last = pose[:2].copy() if action == self._forward else None
        return action

    def _notice(self, pose: np.ndarray) -> None:
        """After two steps forward that led nowhere, turn away and take some steps there."""
        if self._last is None:
            return
        self._stuck = self._stuck + 1 if math.dist(pose[:2], self._last) < _AHEAD else 0
        if self._stuck >= 2:
            self._stuck = 0
            turns = int(self._rng.integers(3, 8))
            ahead = [self._forward] * int(self._rng.integers(4, 12))
            self._plan = ahead + [int(self._rng.choice(self._turns))] * turns

    def _draw(self) -> list[int]:
        """Some actions, the first of them last."""
        rng, turn = self._rng, int(self._rng.choice(self._turns))
        chance = rng.random()
        if self._rests and chance < 0.06:
            return [self._stand] * int(rng.integers(1, 16))
        if chance < 0.12:  # all the way round, and the same view again
            return [turn] * self._circle
        if chance < 0.22:  # about turn, and back along the way
            return [self._forward] * int(rng.integers(15, 50)) + [turn] * (self._circle // 2)
        if chance < 0.30:  # a look aside and back
            count = int(rng.integers(1, 6))
            back = self._turns[0] if turn == self._turns[1] else self._turns[1]
            return [back] * count + [turn] * count
        walk = [self._forward] * int(rng.integers(6, 40))
        return walk + [turn] * int(rng.geometric(0.45))
