"""The session: when what happens while a world is played, as a named state machine.

    session = Session(opening, Keyboard(), seed=0)
    session.run()

Everything happens in `tick()`, on one thread; other threads ask through `session.requests`. It
knows no screen, no file and no network: it is given them. Sinks watch and change nothing. How
frames are made and time is travelled is in course.py, what a player may ask for in wishes.py.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from worldsim.runtime.core.clock import Clock, Pacer
from worldsim.runtime.core.control import Controller
from worldsim.runtime.core.intents import check_keys
from worldsim.runtime.core.loading_stage import LoadingStage
from worldsim.runtime.core.moves import Start
from worldsim.runtime.core.playthrough import Game
from worldsim.runtime.core.sinks import Meter, Sink
from worldsim.runtime.core.step_governor import Governor
from worldsim.runtime.panels.action_preview import Fan
from worldsim.runtime.panels.overlays import Views
from worldsim.runtime.panels.picker import Tiles
from worldsim.runtime.recording.recorder import NoRecorder, Recorder
from worldsim.runtime.recording.saves import NoSaves, Saves
from worldsim.runtime.session.command_queue import Ask
from worldsim.runtime.session.commands import Wishes
from worldsim.runtime.session.course import Course
from worldsim.runtime.session.loading import Opening
from worldsim.runtime.session.loop import State
from worldsim.runtime.session.presenter import sentence

if TYPE_CHECKING:
    from worldsim.runtime.panels.comparison import Takes

logger = logging.getLogger(__name__)
# What can be done before the world is where it is seen.
AWAY = {State.WARMUP: (), State.REWINDING: ("new_start", "same_start", "load")}


class Session(Course):
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
        noise: noise that frames are remembered with, in per cent; NO_NOISE where there is none.
        speed: the pace, as a multiple of the world's.
        views: who else shows pictures: a ghost, the memory.
        takes: what can be shown beside a recording; None where none is played.
        tiles_name: which tiles there are to choose from.
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
        super().__init__(controller, clock, governor=governor, runs_on=runs_on, endless=endless)
        self.opening = opening
        self.recorder = recorder or NoRecorder()
        self.saves = saves or NoSaves()
        self.meter = Meter(clock=self.clock)
        self.views = Views()
        self.takes: Takes | None = None
        self.sinks += [self.meter, self.recorder, self.governor, self.views, *sinks]
        self.frame = opening.preview
        self.tiles_name = ""
        self.speed = 1.0
        self._rewind_bytes = rewind_bytes
        self._seed, self._seeds = seed, np.random.default_rng(seed)
        self._spawn, self._fps = spawn, fps
        self._stages = opening.stages(seed, spawn)
        self._opening_stage: LoadingStage | None = LoadingStage("starting", 0.0)
        self.ticks |= {State.WARMUP: self._tick_warmup, State.CHOOSING: self._tick_choosing}
        self._wishes = Wishes(self)

    @property
    def wait(self) -> LoadingStage | None:
        """What the player waits for, if anything."""
        return self._opening_stage if self._travel is None else self._travel.wait

    # ---- what a player may ask for ----

    def new_start(self) -> None:
        """Begin elsewhere."""
        self.begin(self.game.place.start(self.draw_seed()), "new start")

    def same_start(self) -> None:
        """Begin here again."""
        self.begin(self.game.track.start, "same start")

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
        way = self.saves.load(self.game.place, slot)
        self._leave_for().follow(self.game.load(way))

    def choose_from(self, tiles: Tiles | Fan, name: str) -> None:
        """Show pictures to pick one of, until one is picked or they are left."""
        self._back_to = self._resting()
        self.tiles, self.tiles_name, self.state = tiles, name, State.CHOOSING
        self.controller.forget()

    def leave_tiles(self) -> None:
        """Go on without picking."""
        if self.tiles is not None:
            self.tiles, self.state = None, self._back_to
            self.controller.forget()

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
        self.steps, self.noise = place.steps, place.noise
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

    def _tick_choosing(self) -> bool:
        if self.requests.holds.take():
            self.requests.holds.clear()  # still down, it would go back in time
            self.leave_tiles()
            return True
        player = getattr(self.controller, "keyboard", self.controller)  # no policy picks a picture
        choice = player.choose(self.frame)
        try:
            if choice is None or choice.pressed_at is None:  # a key held since before picks nothing
                return self.tiles.tick()
            if self.tiles.by_action:
                self.tiles.pick(choice.action + 1)
            else:
                self._steer(choice.action)
            return True
        except Exception as error:
            self.leave_tiles()
            self._fail(error)
            return True

    def _steer(self, action: int) -> None:
        """Among pictures, a turn goes to the next one, and any other move picks it."""
        actions = self.game.place.actions
        turn = actions.turns[action]
        if turn:
            self.tiles.turn(-1 if turn > 0 else 1)
        elif actions.names[action] != actions.idle:
            try:
                self.tiles.pick_marked()
            except ValueError as error:  # an empty slot, and the others are still there
                self.teller.tell(sentence(error))

    def begin(self, start: Start, why: str) -> bool:
        """Leave the line and begin another; what waited for the end of a journey is void."""
        if self.state is State.REWINDING:
            self.requests.take()
        return super().begin(start, why)

    def obey(self, ask: Ask) -> None:
        """Fulfil a wish, or say why not; while the world opens or time is travelled, most wait."""
        if self.state in AWAY and ask.name not in AWAY[self.state]:
            self.requests.ask(*ask)
            self.teller.tell("One moment.")
            return
        try:
            self._wishes.fulfil(ask)
        except Exception as error:
            if not isinstance(error, ValueError | OSError | ImportError):
                logger.error("A wish failed.", exc_info=error)
            self.teller.tell(sentence(error))
