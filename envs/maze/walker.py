"""Walkers that play the maze to make training data.

`GoalWalker` walks as the published data does: it looks around, then takes shortest paths to the
farthest cell not yet seen, with a little noise. `RandomWalker` does what a player does who does
not care: it bumps, slides along walls, backs out. `Resting` makes any walker stand still at times.
All are pure functions of their generator and the poses they are given.
"""

import math
from typing import Protocol

import numpy as np

from envs.maze.layout import Cell, Layout, find_cell, find_centre, measure_distances
from worldsim.actions import ActionSet

LOOK_AROUND = 20
LOOK_AGAIN = 0.5
"""Chance to look around once more, either way, where a path ends."""
NOISE = 0.06
GOAL_SHARE = 0.75
RESTING_SHARE = 0.8
RESTS = "+rests"
_STUCK_AFTER = 25  # steps without a new cell


class Walker(Protocol):
    """Anything that chooses actions from poses."""

    kind: str

    def act(self, pose: np.ndarray) -> int:
        """The next action, from the pose float32 `[3]` it is taken at."""


def make_walker(layout: Layout, actions: ActionSet, rng: np.random.Generator) -> Walker:
    """Draw one of the walkers by its share of episodes."""
    kind, _, rests = draw_kind(rng).partition("+")
    goal = kind == GoalWalker.kind
    walker = GoalWalker(layout, actions, rng) if goal else RandomWalker(actions, rng)
    return Resting(walker, actions, rng) if rests else walker


def draw_kind(rng: np.random.Generator) -> str:
    """The kind of the walker that `make_walker` draws from the same generator."""
    kind = GoalWalker.kind if rng.random() < GOAL_SHARE else RandomWalker.kind
    return kind + RESTS * (rng.random() < RESTING_SHARE)


class GoalWalker:
    """Looks around, then walks to the farthest unvisited cell by the shortest path, and so on."""

    kind = "goal"

    def __init__(self, layout: Layout, actions: ActionSet, rng: np.random.Generator) -> None:
        self._layout, self._rng = layout, rng
        self._left, self._right = actions.id("left"), actions.id("right")
        self._forward = actions.id("forward")
        self._turn = actions.turns[self._left]
        self._look, self._looks = self._left, LOOK_AROUND
        self._unvisited: set[Cell] = set()
        self._path: list[Cell] = []
        self._cell: Cell | None = None
        self._waited = 0

    def act(self, pose: np.ndarray) -> int:
        """The next action; see Walker."""
        if self._looks:
            self._looks -= 1
            return self._look
        self._notice(find_cell(pose[0], pose[1]))
        if self._rng.random() < NOISE:
            return int(self._rng.choice([self._left, self._right, self._forward]))
        return self._steer(pose, self._waypoint())

    def _notice(self, cell: Cell) -> None:
        self._waited = self._waited + 1 if cell == self._cell else 0
        self._cell = cell
        self._unvisited.discard(cell)
        if self._path and cell == self._path[0]:
            self._path.pop(0)
        elif self._waited > _STUCK_AFTER:
            self._path, self._waited = [], 0

    def _waypoint(self) -> Cell:
        if not self._path:
            self._path = self._plan()
            if self._rng.random() < LOOK_AGAIN:
                self._look = int(self._rng.choice([self._left, self._right]))
                self._looks = int(self._rng.integers(2, LOOK_AROUND))
        return self._path[0]

    def _plan(self) -> list[Cell]:
        """The shortest path to the farthest unvisited cell, without the cell stood in."""
        steps = measure_distances(self._layout.walls, self._cell)
        if not self._unvisited:
            self._unvisited = set(steps) - {self._cell}
        far = max(steps[cell] for cell in self._unvisited)
        goals = sorted(cell for cell in self._unvisited if steps[cell] == far)
        goal = goals[self._rng.integers(len(goals))]
        back = measure_distances(self._layout.walls, goal)
        path, cell = [], self._cell
        while cell != goal:
            near = [c for c in back if abs(c[0] - cell[0]) + abs(c[1] - cell[1]) == 1]
            cell = min(near, key=lambda c: back[c])
            path.append(cell)
        return path

    def _steer(self, pose: np.ndarray, cell: Cell) -> int:
        x, y = find_centre(cell)
        error = math.atan2(y - pose[1], x - pose[0]) - pose[2]
        error = (error + math.pi) % math.tau - math.pi
        if abs(error) < 0.7 * self._turn:
            return self._forward
        return self._left if error > 0 else self._right


class RandomWalker:
    """Repeats a random action for a random while; often turns right round after walking."""

    kind = "random"

    def __init__(self, actions: ActionSet, rng: np.random.Generator) -> None:
        self._rng = rng
        self._turns = actions.id("left"), actions.id("right")
        self._forward = actions.id("forward")
        self._half_turn = round(math.pi / actions.turns[self._turns[0]])
        self._action, self._repeats = self._forward, 0

    def act(self, pose: np.ndarray) -> int:
        """The next action; see Walker. The pose is not looked at."""
        if not self._repeats:
            self._action, self._repeats = self._draw()
        self._repeats -= 1
        return self._action

    def _draw(self) -> tuple[int, int]:
        rng = self._rng
        turn = int(rng.choice(self._turns))
        if self._action != self._forward:
            return self._forward, int(rng.geometric(1 / 4))
        if rng.random() < 0.2:
            return turn, self._half_turn
        return turn, int(rng.geometric(1 / 4))


class Resting:
    """Another walker that now and then stands still, for a step or for a while."""

    _STEP, _LONG, _LENGTHS = 0.02, 0.002, (5, 31)

    def __init__(self, walker: Walker, actions: ActionSet, rng: np.random.Generator) -> None:
        self.kind = walker.kind + RESTS
        self._walker, self._rng = walker, rng
        self._stand = actions.id("stand")
        self._rest = 0

    def act(self, pose: np.ndarray) -> int:
        """The next action; see Walker."""
        if not self._rest:
            chance = self._rng.random()
            if chance < self._LONG:
                self._rest = int(self._rng.integers(*self._LENGTHS))
            elif chance < self._LONG + self._STEP:
                self._rest = 1
        if self._rest:
            self._rest -= 1
            return self._stand
        return self._walker.act(pose)
