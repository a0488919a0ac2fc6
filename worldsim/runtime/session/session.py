"""The session: when what happens while a world is played, as a named state machine.

    session = Session(opening, Keyboard(), seed=0)
    session.run()

Everything happens in `tick()`, on one thread; other threads ask through `session.command_queue`. It
knows no screen, no file and no network: it is given them. Sinks watch and change nothing. What a
player may ask for is in commands.py, what is shown in presenter.py.
"""

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from worldsim.controls import TURN, Action
from worldsim.runtime.core.click_walk import ClickWalk
from worldsim.runtime.core.clock import Clock, Pacer
from worldsim.runtime.core.control import Choice, Controller, choose_taken
from worldsim.runtime.core.exact_turn import ExactTurn
from worldsim.runtime.core.intents import check_keys
from worldsim.runtime.core.loading_stage import LoadingStage
from worldsim.runtime.core.moves import NO_NOISE, Move, Start
from worldsim.runtime.core.playthrough import Playthrough
from worldsim.runtime.core.scrub import Scrub
from worldsim.runtime.core.sinks import Meter, Sink
from worldsim.runtime.core.step_governor import StepGovernor
from worldsim.runtime.core.user_folder import shorten
from worldsim.runtime.panels.action_preview import ActionPreview
from worldsim.runtime.panels.overlays import Overlays
from worldsim.runtime.panels.picker import Picker
from worldsim.runtime.recording.recorder import NoRecorder, Recorder
from worldsim.runtime.recording.saves import NoSaves, Saves
from worldsim.runtime.recording.share import Sharer
from worldsim.runtime.session.command_queue import Command, CommandQueue
from worldsim.runtime.session.commands import Commands
from worldsim.runtime.session.loading import WorldLoader
from worldsim.runtime.session.presenter import Presenter, sentence
from worldsim.runtime.session.state import AWAY, State
from worldsim.told import tell

if TYPE_CHECKING:
    from worldsim.runtime.panels.comparison import ComparisonPanel

logger = logging.getLogger(__name__)
MOST_TURNS = 16  # that wait to be made
RECALLED = 64  # moves that a stride is measured by
LONGEST_SLEEP = 0.005  # a key is noticed within this time


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
        sharer: writes clips to show around; None for none.
        sinks: who else watches.
        clock: where the time comes from.
        governor: chooses the sampler steps; None leaves them as they are.
        rewind_bytes: memory that going back may take; None for the usual.

    Attributes:
        state: what it is doing.
        command_queue: commands from other threads.
        sinks: who watches.
        ticks: what is done in each state; each says whether there was anything to do.
        pacer: says when the next frame is due.
        playthrough: what is played; None until the world is open.
        frame: the frame to be seen now; None before the first.
        steps: sampler steps of the next frame; 0 where the world has none.
        picker: pictures to choose from; None when there is nothing to choose.
        plan: actions that were picked and are yet to be made.
        walk: the way to a place that was clicked on; None when there is none.
        presenter: tells the player and the sinks.
        noise: noise that frames are remembered with, in per cent; NO_NOISE where there is none.
        speed: the pace, as a multiple of the world's.
        overlays: pictures beside the frame: ground truth, the memory.
        comparisons: what can be shown beside a recording; None where none is played.
        picker_name: what there is to choose from.
        returns: whether there is a choice of worlds to go back to.
        chooses: whether the player left for it.
    """

    def __init__(
        self,
        opening: WorldLoader,
        controller: Controller,
        *,
        seed: int,
        spawn: int | None = None,
        fps: float | None = None,
        runs_on: bool | None = None,
        endless: bool = False,
        recorder: Recorder | NoRecorder | None = None,
        saves: Saves | NoSaves | None = None,
        sharer: Sharer | None = None,
        sinks: Sequence[Sink] = (),
        clock: Clock | None = None,
        governor: StepGovernor | None = None,
        rewind_bytes: int | None = None,
    ) -> None:
        self.state = State.WARMUP
        self.clock = clock or Clock()
        self.pacer = Pacer(0, self.clock)
        self.opening, self.controller = opening, controller
        self.governor = governor or StepGovernor(on=False)
        self.recorder, self.saves = recorder or NoRecorder(), saves or NoSaves()
        self.command_queue, self.presenter = CommandQueue(), Presenter(self.clock)
        self.meter, self.overlays = Meter(clock=self.clock), Overlays()
        self.sharer = sharer or Sharer(None)
        own = [self.meter, self.recorder, self.governor, self.overlays, self.sharer]
        self.sinks: list[Sink] = [*own, *sinks]
        self.playthrough: Playthrough | None = None
        self.frame: np.ndarray | None = opening.preview
        self.steps, self.noise, self.speed, self.runs_on = 0, NO_NOISE, 1.0, runs_on
        self.picker: Picker | ActionPreview | None = None
        self.picker_name = ""
        self.returns = self.chooses = False
        self.comparisons: ComparisonPanel | None = None
        self.plan: deque[Action] = deque()
        self.exact_turn = ExactTurn()
        self.walk: ClickWalk | None = None
        self._then: Callable[[], str] | None = None
        self._endless, self._rewind_bytes = endless, rewind_bytes
        self._seed, self._seeds = seed, np.random.default_rng(seed)
        self._spawn, self._fps = spawn, fps
        self._stages = opening.stages(seed, spawn)
        self._loading_stage: LoadingStage | None = LoadingStage(tell("starting"), 0.0)
        self._back_to = State.WAITING
        self._travel: Scrub | None = None
        self._closing = threading.Lock()
        self._commands = Commands(self)
        self.ticks: dict[State, Callable[[], bool]] = {
            State.WARMUP: self._tick_warmup,
            State.WAITING: self._tick_play,
            State.RUNNING: self._tick_play,
            State.PAUSED: self._tick_paused,
            State.REWINDING: self._tick_rewinding,
            State.CHOOSING: self._tick_choosing,
            State.CLOSED: lambda: False,
        }

    def run(self, frames: int | None = None) -> None:
        """Tick until closed, or until so many frames were made; then close."""
        try:
            while self.state is not State.CLOSED and (frames is None or self.made < frames):
                if not self.tick():
                    self.clock.sleep(min(self.pacer.remaining() or LONGEST_SLEEP, LONGEST_SLEEP))
        finally:
            self.close()

    def tick(self) -> bool:
        """Do the next thing; False when there was nothing to do just now."""
        if self.command_queue.stopped:
            self.close()
            return True
        commands = self.command_queue.take()
        for command in commands:
            self.handle(command)
        did = self.ticks[self.state]()
        if did or commands or self.presenter.is_due():
            self.publish()
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
        with suppress(Exception):  # another thread may be in the middle of a step
            self.publish()
        for sink in self.sinks:
            sink.close()
        if self.opening.place is not None:
            self.opening.place.close()

    def handle(self, command: Command) -> None:
        """Run a command, or say why not; while the world loads or is rewound, most wait."""
        if self.state in AWAY and command.name not in AWAY[self.state]:
            self.command_queue.put(*command)
            self.presenter.notify(tell("One moment."))
            return
        try:
            self._commands.run(command)
        except Exception as error:
            if not isinstance(error, ValueError | OSError | ImportError):
                logger.error("Command %r failed.", command.name, exc_info=error)
            self.presenter.notify(sentence(error))

    def publish(self) -> None:
        """Show every sink the picture and the figures of this moment."""
        self.presenter.publish(self)

    @property
    def made(self) -> int:
        """How many frames were made in all."""
        return self.playthrough.made if self.playthrough is not None else 0

    @property
    def number(self) -> int:
        """The number of the frame to be seen now, counted from the start."""
        return self.playthrough.track.number if self._travel is None else self._travel.cursor

    @property
    def wait(self) -> LoadingStage | None:
        """What the player waits for, if anything."""
        return self._loading_stage if self._travel is None else self._travel.wait

    @property
    def fps(self) -> float:
        """The pace that was asked for, without `speed`; 0 for as fast as possible."""
        return self.playthrough.place.fps if self._fps is None else self._fps

    # ---- what a player may ask for ----

    def new_start(self) -> None:
        """Begin elsewhere."""
        self.begin(self.playthrough.place.start(self.draw_seed()), "new start")

    def same_start(self) -> None:
        """Begin here again."""
        self.begin(self.playthrough.track.start, "same start")

    def begin(self, start: Start, why: str) -> bool:
        """Leave the line and begin another; what waited for the end of a rewind is void.

        Returns:
            False where the environment failed.
        """
        if self.state is State.REWINDING:
            self.command_queue.take()
        try:
            self.playthrough.begin(start, why)
        except Exception as error:
            self._fail(error)
            return False
        self._arrive(State.WAITING)
        return True

    def save(self, slot: int = 0) -> None:
        """Write a quick save, or a slot from 1 to 9.

        Raises:
            ValueError: the world failed and is not where it is seen.
        """
        if self.playthrough.lost:
            raise ValueError(tell("The world failed: make a frame or go back before saving."))
        folder = self.saves.save(self.playthrough.track, slot)
        self.presenter.notify(
            tell("Saved in {folder}; the key to load goes back to it.", folder=shorten(folder))
        )

    def load(self, slot: int = 0) -> None:
        """Go to the newest quick save, or to a slot; the next ticks bring it there."""
        way = self.saves.load(self.playthrough.place, slot)
        self._leave_for().follow(self.playthrough.load(way))
        told = (
            tell("Slot {slot} is loaded: going back begins here.", slot=slot)
            if slot
            else tell("The quick save is loaded: going back begins here.")
        )
        self.presenter.notify(told)

    def pause(self) -> None:
        """Stop the world, or let it go on; a walk that a click began ends."""
        self.walk = None
        self.state = State.WAITING if self.state is State.PAUSED else State.PAUSED

    def one_step(self) -> None:
        """Make one frame and pause: of the keys that are down, else of standing, else as before.
        A walk that a click began ends.
        """
        self.state, self.walk = State.PAUSED, None
        try:
            choice = self._next_choice(run_on=True)
        except Exception as error:  # a policy of the player's own
            self._fail(error)
            return
        if choice is None and self.playthrough.track.number:
            last = self.playthrough.track.moves[self.playthrough.track.number - 1]
            choice = Choice(action=last.action, control=last.control)
        if choice is None:
            self.presenter.notify(tell("Hold the key of a move, and step."))
        else:
            self._make(choice)

    def rewind(self, frames: int) -> None:
        """Go back so many frames, or as far as is remembered; the next ticks bring it there."""
        if self._start_journey():
            self._travel.back(frames)
            self._travel.follow()

    def go(self, actions: Sequence[Action], then: Callable[[], str] | None = None) -> None:
        """Make these moves next, whoever drives; what `then` says after the last is shown."""
        self.state, self.walk = State.WAITING, None
        self.plan.extend(actions)
        self._then = then

    def turn(self, actions: Sequence[Action]) -> None:
        """Make these turns next; where play rests, or they pile up, they are nothing. Those told in
        degrees are made beside whatever else is done.
        """
        if self.state not in (State.WAITING, State.RUNNING) or self._then is not None:
            return
        self.walk = None
        ids = [action for action in actions if not isinstance(action, tuple)]
        self.plan.extend(ids[: max(0, MOST_TURNS - len(self.plan))])
        limits = self.playthrough.place.limits
        if limits is not None:
            angles = (action[TURN] for action in actions if isinstance(action, tuple))
            self.exact_turn.add(sum(angles), limits)

    def walk_to(self, target: tuple[float, float] | None) -> None:
        """Walk to a place next, until a key is pressed; where play rests, that is nothing.

        Args:
            target: x and y in the frame of reference of poses; None where nobody knows it.

        Raises:
            ValueError: nobody knows it, or this world's moves lead nowhere.
        """
        if self.state not in (State.WAITING, State.RUNNING) or self._then is not None:
            return
        self._drop_plan()
        track = self.playthrough.track
        recent = range(max(track.history.first, track.number - RECALLED), track.number + 1)
        poses = [track.history[number].pose for number in recent]
        places = [pose[:2] for pose in poses if pose is not None]
        if target is None or len(places) < len(poses):
            raise ValueError(tell("This world does not know how far things are: walk by the keys."))
        self.walk = ClickWalk(target, track.place.actions, map(math.dist, places, places[1:]))

    def fast_forward(self, frames: int) -> None:
        """Make so many frames at once, as far as the controller goes."""
        for _ in range(frames):
            choice = None if self.playthrough.ended else self._choose(run_on=False)
            if choice is not None:
                self._make(choice)

    def choose_from(self, picker: Picker | ActionPreview, name: str) -> None:
        """Show pictures to pick one of, until one is picked or they are left; a walk that a click
        began ends.
        """
        self._back_to, self.walk = self._choose_rest_state(), None
        self.picker, self.picker_name, self.state = picker, name, State.CHOOSING
        self.controller.forget()

    def leave_picker(self) -> None:
        """Go on without picking."""
        if self.picker is not None:
            self.picker, self.state = None, self._back_to
            self.controller.forget()

    def draw_seed(self) -> int:
        """The seed of the next new start."""
        return int(self._seeds.integers(2**31))

    def set_speed(self, speed: float) -> None:
        """Play at a multiple of the world's pace."""
        self.speed = speed
        self.pacer = Pacer(self.fps * speed, self.clock)

    # ---- one tick of each state ----

    def _tick_warmup(self) -> bool:
        stage = next(self._stages, None)
        if stage is not None:
            self._loading_stage = stage
            return True
        place = self.opening.place
        check_keys(place.actions, self.opening.bindings.intents)
        self.controller.meet(place.actions)
        self.steps, self.noise = place.steps, place.noise
        self.runs_on = self.runs_on is not False and place.actions.idle is not None
        if self._rewind_bytes is not None:
            place.budget = self._rewind_bytes
        start, said = self.opening.first_start(self._seed, self._spawn)
        self.presenter.notify(said)
        self.playthrough = Playthrough(place, start, self.sinks, self.clock)
        self.recorder.describe(place, self.fps)
        self.set_speed(self.speed)
        self._loading_stage = None
        self._arrive(State.WAITING)
        return True

    def _tick_play(self) -> bool:
        if self.command_queue.holds.take():
            return self._start_scrub()
        if self.playthrough.ended and self._endless:
            self.new_start()
        if self.pacer.remaining():
            return False
        choice = None if self.playthrough.ended else self._choose(run_on=self.runs_on)
        if choice is None:
            if self.state is State.RUNNING:
                self.state = State.WAITING
            return False
        self.state = State.RUNNING
        self._make(choice)
        return True

    def _tick_paused(self) -> bool:
        self.controller.forget()
        return bool(self.command_queue.holds.take()) and self._start_scrub()

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

    def _tick_choosing(self) -> bool:
        if self.command_queue.holds.take():
            self.command_queue.holds.clear()  # still down, it would go back in time
            self.leave_picker()
            return True
        player = getattr(self.controller, "keyboard", self.controller)  # no policy picks a picture
        choice = player.choose(self.frame)
        try:
            if choice is None or choice.pressed_at is None:  # a key held since before picks nothing
                return self.picker.tick()
            if self.picker.by_action:
                self.picker.pick(choice.action + 1)
            else:
                self._steer(choice.action)
            return True
        except Exception as error:
            self.leave_picker()
            self._fail(error)
            return True

    def _steer(self, action: int) -> None:
        """Among pictures, a turn goes to the next one, and any other move picks it."""
        actions = self.playthrough.place.actions
        turn = actions.turns[action]
        if turn:
            self.picker.turn(-1 if turn > 0 else 1)
        elif actions.names[action] != actions.idle:
            try:
                self.picker.pick_marked()
            except ValueError as error:  # an empty slot, and the others are still there
                self.presenter.notify(sentence(error))

    # ---- making frames ----

    def _choose(self, run_on: bool) -> Choice | None:
        try:
            return self._next_choice(run_on)
        except Exception as error:  # a policy of the player's own
            self._fail(error)
            return None

    def _next_choice(self, run_on: bool) -> Choice | None:
        place = self.playthrough.place
        actions = place.actions
        if self.plan:
            return choose_taken(self.plan.popleft(), actions)
        choice = self._walk_on() or self.controller.choose(self.frame)
        choice = self.exact_turn.join(choice, actions, place.limits)
        if choice is None and run_on and actions.idle is not None:
            return Choice(action=actions.id(actions.idle))
        return choice

    def _walk_on(self) -> Choice | None:
        """The next move to the place that was clicked on; a key of the player's ends that."""
        if self.walk is None:
            return None
        choice = self.controller.choose_by_player(self.frame)
        track = self.playthrough.track
        action = self.walk.choose(track.history[track.number].pose) if choice is None else None
        if action is not None:
            return Choice(action=action)
        if self.walk.blocked:
            self.presenter.notify(tell("Something is in the way."))
        self.walk = None
        return choice

    def _make(self, choice: Choice) -> None:
        if self.playthrough.ended:
            return
        if self.playthrough.lost:
            self.rewind(0)
            return
        self.pacer.beat()
        try:
            move = Move(choice.action, self.steps, self.noise, choice.control)
            self.playthrough.make(move, choice.pressed_at)
        except Exception as error:
            self._fail(error)
            return
        self.frame = self.playthrough.frame
        self._end_plan()
        self.steps = self.governor.steps(self.steps, self.pacer.period)

    def _end_plan(self) -> None:
        """After the last move of a plan, say what came of it."""
        if self._then is not None and not self.plan:
            self.presenter.notify(self._then())
            self._then = None

    def _drop_plan(self) -> None:
        self.plan.clear()
        self.exact_turn.drop()
        self._then = self.walk = None

    def _arrive(self, state: State) -> None:
        self.state, self._travel, self.picker = state, None, None
        self.frame = self.playthrough.frame
        self._drop_plan()
        self.controller.forget()

    def _fail(self, error: Exception) -> None:
        """The world could not go on. What was played stays, and so does the way back to it."""
        if self._endless:
            raise error
        if self.state is State.CLOSED:  # left while the world was busy
            return
        if not isinstance(error, ValueError):
            logger.error("The environment failed while it made a frame.", exc_info=error)
        self.state, self._travel, self.picker = State.PAUSED, None, None
        self._drop_plan()
        self.frame = self.playthrough.frame
        self.presenter.notify(sentence(error))

    # ---- going through time ----

    def _start_scrub(self) -> bool:
        """Go a frame back, and on while the key is down."""
        if not self._start_journey():
            return False
        self._travel.back(1)
        return True

    def _start_journey(self) -> bool:
        self._drop_plan()
        if not self.playthrough.place.rewinds:
            self.presenter.notify(tell("This world cannot go back in time."))
            return False
        self._leave_for()
        return True

    def _leave_for(self) -> Scrub:
        """A journey that begins here; play goes on after it as it does now."""
        self._back_to = self._choose_rest_state()
        self._travel = Scrub(self.playthrough, self.command_queue.holds, self.clock)
        self.state = State.REWINDING
        return self._travel

    def _choose_rest_state(self) -> State:
        return State.PAUSED if self.state is State.PAUSED else State.WAITING
