"""The session: when what happens while a world is played, as a named state machine.

    session = Session(opening, Keyboard(), seed=0)
    session.run()

Everything happens in `tick()`, on one thread; other threads ask through `session.requests`. It
knows no screen, no file and no network: it is given them. Sinks watch and change nothing.
"""

import enum
import logging
import threading
from collections.abc import Sequence

import numpy as np

from worldsim.runtime.clock import Clock, Pacer
from worldsim.runtime.control import Choice, Controller
from worldsim.runtime.game import Game
from worldsim.runtime.keys import check_keys
from worldsim.runtime.line import Move, Start
from worldsim.runtime.opening import Opening, Stage
from worldsim.runtime.record import NoRecorder, Recorder
from worldsim.runtime.requests import Requests
from worldsim.runtime.saves import NoSaves, Saves
from worldsim.runtime.sinks import Meter, Sink
from worldsim.runtime.teller import Teller, sentence
from worldsim.runtime.travel import Travel

STEPS = (1, 2, 4, 8)  # sampler steps a player can choose
LONGEST_SLEEP = 0.005  # a key is noticed within this time
ENDED = "The episode is over: Enter for a new start, U for the same one, Backspace to go back."

logger = logging.getLogger(__name__)


class State(enum.Enum):
    """What the session is doing."""

    WARMUP = "warming up"
    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    REWINDING = "rewinding"
    CLOSED = "closed"


class Session:
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

    Attributes:
        state: what it is doing.
        requests: what was asked for from elsewhere.
        game: what is played; None until the world is open.
        frame: the frame to be seen now; None before the first.
        steps: sampler steps of the next frame; 0 where the world has none.
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
    ) -> None:
        self.state = State.WARMUP
        self.opening = opening
        self.controller = controller
        self.requests = Requests()
        self.recorder = recorder or NoRecorder()
        self.saves = saves or NoSaves()
        self.clock = clock or Clock()
        self.meter = Meter(clock=self.clock)
        self.sinks: list[Sink] = [self.meter, self.recorder, *sinks]
        self.game: Game | None = None
        self.frame = opening.preview
        self.steps = 0
        self.runs_on = runs_on
        self._seed, self._seeds = seed, np.random.default_rng(seed)
        self._spawn, self._fps, self._endless = spawn, fps, endless
        self._pacer = Pacer(0, self.clock)
        self._stages = opening.stages(seed, spawn)
        self._opening_stage: Stage | None = Stage("starting", 0.0)
        self._teller = Teller(self.clock)
        self._closing = threading.Lock()
        self._back_to = State.WAITING
        self._travel: Travel | None = None
        self._ticks = {
            State.WARMUP: self._tick_warmup,
            State.WAITING: self._tick_play,
            State.RUNNING: self._tick_play,
            State.PAUSED: self._tick_paused,
            State.REWINDING: self._tick_rewinding,
            State.CLOSED: lambda: False,
        }
        self._asks = {
            "new_start": self.new_start,
            "same_start": self.same_start,
            "pause": self.pause,
            "one_step": self.one_step,
            "run_on": self.toggle_run_on,
            "save": self.save,
            "load": self.load,
            "record": self.toggle_record,
            "fewer_steps": lambda: self.change_steps(-1),
            "more_steps": lambda: self.change_steps(+1),
        }

    # ---- the loop ----

    def run(self, frames: int | None = None) -> None:
        """Tick until closed, or until so many frames were made; then close."""
        try:
            while self.state is not State.CLOSED and (frames is None or self.made < frames):
                if not self.tick():
                    self.clock.sleep(min(self._pacer.remaining() or LONGEST_SLEEP, LONGEST_SLEEP))
        finally:
            self.close()

    def tick(self) -> bool:
        """Do the next thing; False when there was nothing to do just now."""
        if self.requests.stopped:
            self.close()
            return True
        asked = self.requests.take()
        for name in asked:
            self._obey(name)
        did = self._ticks[self.state]()
        if did or asked or self._teller.is_due():
            self._teller.publish(self)
        return did

    def close(self) -> None:
        """Finish everything; a second time is nothing.

        Another thread may call it too, when a world does not come back from a step.
        """
        if not self._closing.acquire(blocking=False):
            return
        self.state = State.CLOSED
        for sink in self.sinks:
            sink.end("closed")
        self._teller.publish(self)
        for sink in self.sinks:
            sink.close()
        if self.opening.place is not None:
            self.opening.place.close()

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
            self._teller.tell("Hold the key of a move, and step.")
        else:
            self._make(choice)

    def new_start(self) -> None:
        """Begin elsewhere."""
        self._begin(self.game.place.start(int(self._seeds.integers(2**31))), "new start")

    def same_start(self) -> None:
        """Begin here again."""
        self._begin(self.game.track.start, "same start")

    def rewind(self, frames: int) -> None:
        """Go back so many frames, or as far as is remembered; the next ticks bring it there."""
        if self._set_off():
            self._travel.back(frames)
            self._travel.follow()

    def save(self) -> None:
        """Write a quick save.

        Raises:
            ValueError: the world failed and is not where it is seen.
        """
        if self.game.lost:
            raise ValueError("The world failed: make a frame or go back before saving.")
        self._teller.tell(f"Saved as {self.saves.save(self.game.track)}.")

    def load(self) -> None:
        """Go to the newest quick save; the next ticks bring it there."""
        way = self.saves.load(self.game.place)
        self._travel = Travel(self.game, self.requests.holds, self.clock)
        self._travel.follow(self.game.load(way))
        self.state, self._back_to = State.REWINDING, State.WAITING

    def toggle_record(self) -> None:
        """Record from here on, or stop."""
        if self.recorder.on:
            self.recorder.stop()
        else:
            self.recorder.start(self.game.track.point())

    def toggle_run_on(self) -> None:
        """Let the world run on when no key is pressed, or wait."""
        if self.game.place.actions.idle is None:
            self._teller.tell("This world knows no standing still, so it waits for a key.")
            return
        self.runs_on = not self.runs_on
        self._teller.tell("The world runs on." if self.runs_on else "The world waits for a key.")

    def change_steps(self, direction: int) -> None:
        """Take the next higher or lower number of sampler steps."""
        if not self.game.place.samples:
            self._teller.tell("This world has no sampler.")
            return
        wanted = [k for k in STEPS if (k - self.steps) * direction > 0]
        self.steps = min(wanted, key=lambda k: abs(k - self.steps), default=self.steps)
        self._teller.tell(f"{self.steps} sampler steps a frame.")

    # ---- one tick of each state ----

    def _tick_warmup(self) -> bool:
        stage = next(self._stages, None)
        if stage is not None:
            self._opening_stage = stage
            return True
        place = self.opening.place
        check_keys(place.actions)
        self.controller.meet(place.actions)
        self.steps = place.steps
        self.runs_on = self.runs_on is not False and place.actions.idle is not None
        fps = place.fps if self._fps is None else self._fps
        self._pacer = Pacer(fps, self.clock)
        self.recorder.describe(place, fps)
        self._opening_stage = None
        self.game = Game(place, place.start(self._seed, self._spawn), self.sinks, self.clock)
        self._arrive(State.WAITING)
        return True

    def _tick_play(self) -> bool:
        if self.requests.holds.take():
            return self._start_scrub()
        if self.game.ended and self._endless:
            self.new_start()
        if self._pacer.remaining():
            return False
        choice = None if self.game.ended else self._choice(run_on=self.runs_on)
        if choice is None:
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

    def _obey(self, name: str) -> None:
        away = self.state is State.REWINDING and name not in ("new_start", "same_start", "load")
        if self.state is State.WARMUP or away:
            self._teller.tell("One moment.")
            return
        try:
            self._asks[name]()
        except (ValueError, OSError) as error:
            self._teller.tell(sentence(error))

    # ---- making frames ----

    def _choice(self, run_on: bool) -> Choice | None:
        choice = self.controller.choose(self.frame)
        actions = self.game.place.actions
        if choice is None and run_on and actions.idle is not None:
            return Choice(action=actions.id(actions.idle))
        return choice

    def _make(self, choice: Choice) -> None:
        if self.game.ended:
            self._teller.tell(ENDED)
            return
        if self.game.lost:
            self.rewind(0)
            return
        self._pacer.beat()
        try:
            self.game.make(Move(choice.action, self.steps), choice.pressed_at)
        except Exception as error:
            self._fail(error)
            return
        self.frame = self.game.frame
        if self.game.ended:
            self._teller.tell(ENDED)

    def _begin(self, start: Start, why: str) -> None:
        try:
            self.game.begin(start, why)
        except Exception as error:
            self._fail(error)
        else:
            self._arrive(State.WAITING)

    def _arrive(self, state: State) -> None:
        self.state, self._travel = state, None
        self.frame = self.game.frame
        self.controller.forget()

    def _fail(self, error: Exception) -> None:
        """The world could not go on. What was played stays, and so does the way back to it."""
        if self._endless:
            raise error
        if not isinstance(error, ValueError):
            logger.error("The world failed.", exc_info=error)
        self.state, self._travel = State.PAUSED, None
        self.frame = self.game.frame
        self._teller.tell(sentence(error))

    # ---- going through time ----

    def _start_scrub(self) -> bool:
        """Go a frame back, and on while the key is down."""
        if not self._set_off():
            return False
        self._travel.back(1)
        return True

    def _set_off(self) -> bool:
        if not self.game.place.rewinds:
            self._teller.tell("This world cannot go back in time.")
            return False
        self._back_to = State.PAUSED if self.state is State.PAUSED else State.WAITING
        self._travel = Travel(self.game, self.requests.holds, self.clock)
        self.state = State.REWINDING
        return True
