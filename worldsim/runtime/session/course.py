"""The course of play: who is asked for a move, what is made of it, the way back through time, and
what happens when a world fails. A loop's part of a Session; knows no opening, no wish and no file.
"""

import logging
from collections import deque
from collections.abc import Sequence

import numpy as np

from worldsim.runtime.core.clock import Clock
from worldsim.runtime.core.control import Choice, Controller
from worldsim.runtime.core.moves import NO_NOISE, Move, Start
from worldsim.runtime.core.playthrough import Game
from worldsim.runtime.core.scrub import Travel
from worldsim.runtime.core.step_governor import Governor
from worldsim.runtime.panels.action_preview import Fan
from worldsim.runtime.panels.picker import Tiles
from worldsim.runtime.session.loop import Loop, State
from worldsim.runtime.session.presenter import Teller, sentence

logger = logging.getLogger(__name__)


class Course(Loop):
    """A game in the loop.

    Args:
        controller: who drives.
        clock: where the time comes from.
        governor: chooses the sampler steps; None leaves them as they are.
        runs_on: whether the world goes on when nothing is asked; None for yes where it can.
        endless: nobody is there to answer: faults raise, and a new start follows every end.

    Attributes:
        game: what is played; None until the world is open.
        frame: the frame to be seen now; None before the first.
        steps: sampler steps of the next frame; 0 where the world has none.
        tiles: pictures to choose from; None when there is nothing to choose.
        plan: actions that were picked and are yet to be made.
        runs_on: whether the world goes on when nothing is asked.
        teller: tells the player and the sinks.
    """

    def __init__(
        self,
        controller: Controller,
        clock: Clock | None,
        *,
        governor: Governor | None,
        runs_on: bool | None,
        endless: bool,
    ) -> None:
        super().__init__(clock)
        self.controller = controller
        self.governor = governor or Governor(on=False)
        self.game: Game | None = None
        self.frame: np.ndarray | None = None
        self.steps, self.noise = 0, NO_NOISE
        self.runs_on = runs_on
        self.tiles: Tiles | Fan | None = None
        self.plan: deque[int] = deque()
        self.teller = Teller(self.clock)
        self._endless = endless
        self._back_to = State.WAITING
        self._travel: Travel | None = None
        self.ticks |= {
            State.WAITING: self._tick_play,
            State.RUNNING: self._tick_play,
            State.PAUSED: self._tick_paused,
            State.REWINDING: self._tick_rewinding,
        }

    @property
    def made(self) -> int:
        """How many frames were made in all."""
        return self.game.made if self.game is not None else 0

    @property
    def number(self) -> int:
        """The number of the frame to be seen now, counted from the start."""
        return self.game.track.number if self._travel is None else self._travel.cursor

    def new_start(self) -> None:
        """Begin elsewhere."""
        raise NotImplementedError

    def pause(self) -> None:
        """Stop the world, or let it go on."""
        self.state = State.WAITING if self.state is State.PAUSED else State.PAUSED

    def one_step(self) -> None:
        """Make one frame and pause: of the keys that are down, else of standing, else as before."""
        self.state = State.PAUSED
        try:
            choice = self._asked(run_on=True)
        except Exception as error:  # a policy of the player's own
            self._fail(error)
            return
        if choice is None and self.game.track.number:
            choice = Choice(action=self.game.track.moves[self.game.track.number - 1].action)
        if choice is None:
            self.teller.tell("Hold the key of a move, and step.")
        else:
            self._make(choice)

    def begin(self, start: Start, why: str) -> bool:
        """Leave the line and begin another; False where the world failed."""
        try:
            self.game.begin(start, why)
        except Exception as error:
            self._fail(error)
            return False
        self._arrive(State.WAITING)
        return True

    def rewind(self, frames: int) -> None:
        """Go back so many frames, or as far as is remembered; the next ticks bring it there."""
        if self._set_off():
            self._travel.back(frames)
            self._travel.follow()

    def go(self, actions: Sequence[int]) -> None:
        """Make these moves next, whoever drives."""
        self.state = State.WAITING
        self.plan.extend(actions)

    def leap(self, frames: int) -> None:
        """Make so many frames at once, as far as the controller goes."""
        for _ in range(frames):
            choice = None if self.game.ended else self._choice(run_on=False)
            if choice is not None:
                self._make(choice)

    # ---- one tick of each state ----

    def _tick_play(self) -> bool:
        if self.requests.holds.take():
            return self._start_scrub()
        if self.game.ended and self._endless:
            self.new_start()
        if self.pacer.remaining():
            return False
        choice = None if self.game.ended else self._choice(run_on=self.runs_on)
        if choice is None:
            if self.state is State.RUNNING:
                self.state = State.WAITING
            return False
        self.state = State.RUNNING
        self._make(choice)
        return True

    def _tick_paused(self) -> bool:
        self.controller.forget()
        return bool(self.requests.holds.take()) and self._start_scrub()

    def _tick_rewinding(self) -> bool:
        try:
            did = self._travel.tick()
        except Exception as error:
            self._fail(error)
            return True
        self.frame = self._travel.frame
        if self._travel.arrived:
            self._arrive(self._back_to)
        return did

    # ---- making frames ----

    def _choice(self, run_on: bool) -> Choice | None:
        try:
            return self._asked(run_on)
        except Exception as error:  # a policy of the player's own
            self._fail(error)
            return None

    def _asked(self, run_on: bool) -> Choice | None:
        if self.plan:
            return Choice(action=self.plan.popleft())
        choice = self.controller.choose(self.frame)
        actions = self.game.place.actions
        if choice is None and run_on and actions.idle is not None:
            return Choice(action=actions.id(actions.idle))
        return choice

    def _make(self, choice: Choice) -> None:
        if self.game.ended:
            return
        if self.game.lost:
            self.rewind(0)
            return
        self.pacer.beat()
        try:
            self.game.make(Move(choice.action, self.steps, self.noise), choice.pressed_at)
        except Exception as error:
            self._fail(error)
            return
        self.frame = self.game.frame
        self.steps = self.governor.steps(self.steps, self.pacer.period)

    def _arrive(self, state: State) -> None:
        self.state, self._travel, self.tiles = state, None, None
        self.frame = self.game.frame
        self.plan.clear()
        self.controller.forget()

    def _fail(self, error: Exception) -> None:
        """The world could not go on. What was played stays, and so does the way back to it."""
        if self._endless:
            raise error
        if self.state is State.CLOSED:  # left while the world was busy
            return
        if not isinstance(error, ValueError):
            logger.error("The world failed.", exc_info=error)
        self.state, self._travel, self.tiles = State.PAUSED, None, None
        self.plan.clear()
        self.frame = self.game.frame
        self.teller.tell(sentence(error))

    # ---- going through time ----

    def _start_scrub(self) -> bool:
        """Go a frame back, and on while the key is down."""
        if not self._set_off():
            return False
        self._travel.back(1)
        return True

    def _set_off(self) -> bool:
        self.plan.clear()
        if not self.game.place.rewinds:
            self.teller.tell("This world cannot go back in time.")
            return False
        self._leave_for()
        return True

    def _leave_for(self) -> Travel:
        """A journey that begins here; play goes on after it as it does now."""
        self._back_to = self._resting()
        self._travel = Travel(self.game, self.requests.holds, self.clock)
        self.state = State.REWINDING
        return self._travel

    def _resting(self) -> State:
        return State.PAUSED if self.state is State.PAUSED else State.WAITING
