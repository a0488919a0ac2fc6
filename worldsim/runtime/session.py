"""The session: when what happens while a world is played, as a named state machine.

    session = Session(opening, Keyboard(), seed=0)
    session.run()

Everything happens in `tick()`, on one thread; other threads ask through `session.requests`. It
knows no screen, no file and no network: it is given them. Sinks watch and change nothing. What a
player may ask for besides moving is in wishes.py.
"""

import logging
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from worldsim.runtime.clock import Clock, Pacer
from worldsim.runtime.control import Choice, Controller
from worldsim.runtime.fan import Fan
from worldsim.runtime.game import Game
from worldsim.runtime.keys import check_keys
from worldsim.runtime.line import Move, Start
from worldsim.runtime.loop import Loop, State
from worldsim.runtime.opening import Opening, Stage
from worldsim.runtime.pace import Governor
from worldsim.runtime.record import NoRecorder, Recorder
from worldsim.runtime.requests import Ask
from worldsim.runtime.saves import NoSaves, Saves
from worldsim.runtime.sinks import Meter, Sink
from worldsim.runtime.teller import Teller, sentence
from worldsim.runtime.tiles import Tiles
from worldsim.runtime.travel import Travel
from worldsim.runtime.views import Views
from worldsim.runtime.wishes import Wishes

if TYPE_CHECKING:
    from worldsim.runtime.takes import Takes

ANYWHERE = ("new_start", "same_start", "load")  # can be asked for while time is travelled
ENDED = "The episode is over: Enter for a new start, U for the same one, Backspace to go back."

logger = logging.getLogger(__name__)


class Session(Loop):
    """A world being played.

    Args:
        opening: makes the world, in stages.
        controller: who drives.
        seed: seed of the first start, and of the seeds of later ones.
        spawn: the first start's context; None lets the seed choose.
        fps: frames a second, 0 for as fast as possible; None for the world's own pace.
        runs_on: whether the world goes on when nothing is asked; None for yes where it can.
        endless: nobody is there to answer: faults raise, and a new start follows every end.
        recorder: keeps what happens.
        saves: where quick saves go.
        sinks: who else watches.
        clock: where the time comes from.
        governor: chooses the sampler steps; None leaves them as they are.
        rewind_bytes: memory that going back may take; None for the usual.

    Attributes:
        state: what it is doing.
        requests: what was asked for from elsewhere.
        game: what is played; None until the world is open.
        frame: the frame to be seen now; None before the first.
        steps: sampler steps of the next frame; 0 where the world has none.
        tiles: pictures to choose from; None when there is nothing to choose.
        plan: actions that were picked and are yet to be made.
        speed: the pace, as a multiple of the world's.
        views: who else shows pictures: a ghost, the memory.
        takes: what can be shown beside a recording; None where none is played.
        runs_on: whether the world goes on when nothing is asked.
    """

    def __init__(
        self,
        opening: Opening,
        controller: Controller,
        *,
        seed: int,
        spawn: int | None = None,
        fps: float | None = None,
        runs_on: bool | None = None,
        endless: bool = False,
        recorder: Recorder | NoRecorder | None = None,
        saves: Saves | NoSaves | None = None,
        sinks: Sequence[Sink] = (),
        clock: Clock | None = None,
        governor: Governor | None = None,
        rewind_bytes: int | None = None,
    ) -> None:
        super().__init__(clock)
        self.opening = opening
        self.controller = controller
        self.recorder = recorder or NoRecorder()
        self.saves = saves or NoSaves()
        self.meter = Meter(clock=self.clock)
        self.views = Views()
        self.takes: Takes | None = None
        self.governor = governor or Governor(on=False)
        self.sinks += [self.meter, self.recorder, self.governor, self.views, *sinks]
        self.game: Game | None = None
        self.frame = opening.preview
        self.steps = 0
        self.runs_on = runs_on
        self.tiles: Tiles | Fan | None = None
        self.tiles_name = ""
        self.plan: deque[int] = deque()
        self.speed = 1.0
        self._rewind_bytes = rewind_bytes
        self._seed, self._seeds = seed, np.random.default_rng(seed)
        self._spawn, self._fps, self._endless = spawn, fps, endless
        self._stages = opening.stages(seed, spawn)
        self._opening_stage: Stage | None = Stage("starting", 0.0)
        self.teller = Teller(self.clock)
        self._back_to = State.WAITING
        self._travel: Travel | None = None
        self.ticks |= {
            State.WARMUP: self._tick_warmup,
            State.WAITING: self._tick_play,
            State.RUNNING: self._tick_play,
            State.PAUSED: self._tick_paused,
            State.REWINDING: self._tick_rewinding,
            State.CHOOSING: self._tick_choosing,
        }
        self._wishes = Wishes(self)

    @property
    def made(self) -> int:
        """How many frames were made in all."""
        return self.game.made if self.game is not None else 0

    @property
    def number(self) -> int:
        """The number of the frame to be seen now, counted from the start."""
        return self.game.track.number if self._travel is None else self._travel.cursor

    @property
    def wait(self) -> Stage | None:
        """What the player waits for, if anything."""
        return self._opening_stage if self._travel is None else self._travel.wait

    # ---- what a player may ask for ----

    def pause(self) -> None:
        """Stop the world, or let it go on."""
        self.state = State.WAITING if self.state is State.PAUSED else State.PAUSED

    def one_step(self) -> None:
        """Make one frame and pause: of the keys that are down, else of standing, else as before."""
        self.state = State.PAUSED
        choice = self._choice(run_on=True)
        if choice is None and self.game.track.number:
            choice = Choice(action=self.game.track.moves[self.game.track.number - 1].action)
        if choice is None:
            self.teller.tell("Hold the key of a move, and step.")
        else:
            self._make(choice)

    def new_start(self) -> None:
        """Begin elsewhere."""
        self.begin(self.game.place.start(self.draw_seed()), "new start")

    def same_start(self) -> None:
        """Begin here again."""
        self.begin(self.game.track.start, "same start")

    def begin(self, start: Start, why: str) -> None:
        """Leave the line and begin another."""
        try:
            self.game.begin(start, why)
        except Exception as error:
            self._fail(error)
        else:
            self._arrive(State.WAITING)

    def rewind(self, frames: int) -> None:
        """Go back so many frames, or as far as is remembered; the next ticks bring it there."""
        if self._set_off():
            self._travel.back(frames)
            self._travel.follow()

    def save(self, slot: int = 0) -> None:
        """Write a quick save, or a slot from 1 to 9.

        Raises:
            ValueError: the world failed and is not where it is seen.
        """
        if self.game.lost:
            raise ValueError("The world failed: make a frame or go back before saving.")
        self.teller.tell(f"Saved as {self.saves.save(self.game.track, slot)}.")

    def load(self, slot: int = 0) -> None:
        """Go to the newest quick save, or to a slot; the next ticks bring it there."""
        back_to = State.PAUSED if self.state is State.PAUSED else State.WAITING
        way = self.saves.load(self.game.place, slot)
        self._travel = Travel(self.game, self.requests.holds, self.clock)
        self._travel.follow(self.game.load(way))
        self.state, self._back_to = State.REWINDING, back_to

    def choose_from(self, tiles: Tiles | Fan, name: str) -> None:
        """Show pictures to pick one of, until one is picked or they are left."""
        self._back_to = State.PAUSED if self.state is State.PAUSED else State.WAITING
        self.tiles, self.tiles_name, self.state = tiles, name, State.CHOOSING
        self.controller.forget()

    def leave_tiles(self) -> None:
        """Go on without picking."""
        if self.tiles is not None:
            self.tiles, self.state = None, self._back_to
            self.controller.forget()

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

    def draw_seed(self) -> int:
        """The seed of the next new start."""
        return int(self._seeds.integers(2**31))

    def set_speed(self, speed: float) -> None:
        """Play at a multiple of the world's pace."""
        self.speed = speed
        self.pacer = Pacer(self.fps * speed, self.clock)

    @property
    def fps(self) -> float:
        """The pace that was asked for, without `speed`; 0 for as fast as possible."""
        return self.game.place.fps if self._fps is None else self._fps

    def publish(self) -> None:
        """Show every sink the picture and the figures of this moment."""
        self.teller.publish(self)

    def is_due(self) -> bool:
        """Whether the sinks have heard nothing for a while."""
        return self.teller.is_due()

    def let_go(self) -> None:
        """Close the world."""
        if self.opening.place is not None:
            self.opening.place.close()

    # ---- one tick of each state ----

    def _tick_warmup(self) -> bool:
        stage = next(self._stages, None)
        if stage is not None:
            self._opening_stage = stage
            return True
        place = self.opening.place
        check_keys(place.actions, self.opening.bindings.intents)
        self.controller.meet(place.actions)
        self.steps = place.steps
        self.runs_on = self.runs_on is not False and place.actions.idle is not None
        if self._rewind_bytes is not None:
            place.budget = self._rewind_bytes
        start, said = self.opening.first_start(self._seed, self._spawn)
        self.teller.tell(said)
        self.game = Game(place, start, self.sinks, self.clock)
        self.recorder.describe(place, self.fps)
        self.set_speed(self.speed)
        self._opening_stage = None
        self._arrive(State.WAITING)
        return True

    def _tick_play(self) -> bool:
        if self.requests.holds.take():
            return self._start_scrub()
        if self.game.ended and self._endless:
            self.new_start()
        if self.pacer.remaining():
            return False
        choice = None if self.game.ended else self._choice(run_on=self.runs_on)
        if choice is None:
            self.state = State.WAITING
            return False
        self.state = State.RUNNING
        self._make(choice)
        return True

    def _tick_choosing(self) -> bool:
        if self.requests.holds.take():
            self.leave_tiles()
            return True
        choice = self.controller.choose(self.frame) if self.tiles.by_action else None
        try:
            if choice is not None:
                self.tiles.pick(choice.action + 1)
                return True
            return self.tiles.tick()
        except Exception as error:
            self.leave_tiles()
            self._fail(error)
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

    def obey(self, ask: Ask) -> None:
        """Fulfil a wish, or say why not."""
        away = self.state is State.REWINDING and ask.name not in ANYWHERE
        if self.state is State.WARMUP or away:
            self.teller.tell("One moment.")
            return
        try:
            self._wishes.fulfil(ask)
        except (ValueError, OSError, ImportError) as error:
            self.teller.tell(sentence(error))

    # ---- making frames ----

    def _choice(self, run_on: bool) -> Choice | None:
        if self.plan:
            return Choice(action=self.plan.popleft())
        choice = self.controller.choose(self.frame)
        actions = self.game.place.actions
        if choice is None and run_on and actions.idle is not None:
            return Choice(action=actions.id(actions.idle))
        return choice

    def _make(self, choice: Choice) -> None:
        if self.game.ended:
            self.teller.tell(ENDED)
            return
        if self.game.lost:
            self.rewind(0)
            return
        self.pacer.beat()
        try:
            self.game.make(Move(choice.action, self.steps), choice.pressed_at)
        except Exception as error:
            self._fail(error)
            return
        self.frame = self.game.frame
        self.steps = self.governor.steps(self.steps, self.pacer.period)
        if self.game.ended:
            self.teller.tell(ENDED)

    def _arrive(self, state: State) -> None:
        self.state, self._travel, self.tiles = state, None, None
        self.frame = self.game.frame
        self.plan.clear()
        self.controller.forget()

    def _fail(self, error: Exception) -> None:
        """The world could not go on. What was played stays, and so does the way back to it."""
        if self._endless:
            raise error
        if not isinstance(error, ValueError):
            logger.error("The world failed.", exc_info=error)
        self.state, self._travel = State.PAUSED, None
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
        self._back_to = State.PAUSED if self.state is State.PAUSED else State.WAITING
        self._travel = Travel(self.game, self.requests.holds, self.clock)
        self.state = State.REWINDING
        return True
