"""Command dispatch: what a player may ask a session for, by the names of the table of keys.

Commands run on the session's thread. One that cannot run raises a ValueError with one sentence.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from worldsim.runtime.core.intents import find_view_key
from worldsim.runtime.core.moves import NO_NOISE, Move
from worldsim.runtime.core.step_governor import find_next_noise, find_next_steps
from worldsim.runtime.core.user_folder import shorten
from worldsim.runtime.panels.action_preview import ActionPreview
from worldsim.runtime.panels.picker import Picker
from worldsim.runtime.panels.space_memory import check_space
from worldsim.runtime.recording.saves import SLOTS
from worldsim.runtime.session.command_queue import Command
from worldsim.runtime.session.presenter import NOTE_SECONDS
from worldsim.runtime.session.state import State
from worldsim.told import join, tell

if TYPE_CHECKING:
    from worldsim.runtime.session.session import Session

SPEEDS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
PACE = ("slower", "faster")
PICKERS = ("gallery", "slots", "action_preview", "resample", "browse")
KEEP_PICKER = ("pick", "record", "turn", "walk", "truth_found", *PICKERS, *PACE)
FAR_SCRUB = 10


class Commands:
    """The table of commands of one session.

    Args:
        session: who fulfils them.
    """

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._asked_at = float("-inf")  # when the player wanted to go back to the choice of worlds
        self._table: dict[str, Callable[[Any], None]] = {
            "new_start": lambda _: session.new_start(),
            "same_start": lambda _: session.same_start(),
            "gallery": self._show_gallery,
            "worlds": self._return_to_choice,
            "pause": lambda _: session.pause(),
            "one_step": lambda _: session.one_step(),
            "run_on": self._run_on,
            "slower": lambda _: self._change_speed(-1),
            "faster": lambda _: self._change_speed(+1),
            "action_preview": self._show_action_preview,
            "ground_truth": self._show_ground_truth,
            "truth_found": self._bring_ground_truth,
            "ground": self._ground_dream,
            "driver": self._change_driver,
            "save": lambda _: session.save(),
            "load": lambda _: session.load(),
            "save_slot": lambda key: session.save(key + 1),
            "pick": self._pick,
            "slots": self._show_slots,
            "record": self._toggle_recording,
            "fewer_steps": lambda _: self._change_steps(-1),
            "more_steps": lambda _: self._change_steps(+1),
            "auto_steps": self._automate_steps,
            "less_noise": lambda _: self._change_noise(-1),
            "more_noise": lambda _: self._change_noise(+1),
            "memory": self._toggle_memory,
            "attention": self._toggle_attention,
            "tint": self._toggle_tint,
            "map": self._toggle_map,
            "points": self._save_points,
            "resample": self._show_samples,
            "walk_back": self._walk_back,
            "share": self._share_clip,
            "turn": lambda value: session.turn(value[1]),
            "walk": lambda value: session.walk_to(value[1]),
            "scrub": self._scrub,
            "comparison": self._compare_next,
            "browse": self._browse,
            "open": self._open,
            "leave": self._leave,
        }

    def run(self, command: Command) -> None:
        """Run a command.

        Raises:
            ValueError: it cannot be; one sentence.
            OSError: a file or a folder refused.
        """
        session = self._session
        if session.picker is not None and not self._keeps_picker(command.name):
            session.leave_picker()
        self._table[command.name](command.value)

    def _keeps_picker(self, name: str) -> bool:
        """Whether what can be picked stays: not beside what other pictures' key has to say."""
        own = name not in PICKERS or name == self._session.picker_name
        return name in KEEP_PICKER and own

    def _find_key(self, name: str) -> str:
        """The key of an intent, as it is printed."""
        return find_view_key(name, self._session.opening.bindings.intents)

    # ---- pictures to pick from ----

    def _leave(self, _: Any) -> None:
        self._session.leave_picker()

    def _pick(self, key: int) -> None:
        if self._session.picker is not None:
            self._session.picker.pick(key + 1)
        elif self._session.comparisons is not None:
            raise ValueError(tell("There is nothing to pick: B shows the other recordings."))
        else:
            self._session.load(key + 1)

    def _choose(self, name: str, make: Callable[[], Picker | ActionPreview]) -> None:
        """Show pictures to choose from; again: their next page, and after the last one none."""
        session = self._session
        if session.picker is not None and session.picker_name == name:
            if not session.picker.more():
                session.leave_picker()
            return
        session.leave_picker()
        session.choose_from(make(), name)

    def _show_gallery(self, _: Any) -> None:
        session, spawns = self._session, self._session.playthrough.place.spawns
        if not spawns:
            raise ValueError(
                tell("This world has no starts to choose from: Enter makes a new one.")
            )

        def begin(index: int) -> None:
            start = session.playthrough.place.start(session.playthrough.track.start.seed, index)
            session.begin(start, "another start")

        pictures = [(spawn.frames[-1], spawn.name) for spawn in spawns]
        title = tell("Pick a start: its number, or turn to it and walk. Tab: more. Esc: back.")
        self._choose("gallery", lambda: Picker(title, pictures, begin))

    def _return_to_choice(self, _: Any) -> None:
        """Leave for the choice of worlds: what that means is said first, and leaves with the second
        press.
        """
        session, now = self._session, self._session.clock.now()
        if not session.returns:
            raise ValueError(tell("There is no choice of worlds to go back to here."))
        asked, self._asked_at = self._asked_at, now
        if now < asked + NOTE_SECONDS or not session.made:
            session.chooses = True
            session.command_queue.stop()
            return
        keys = {name: self._find_key(name) for name in ("worlds", "save")}
        recording = tell("The recording is finished and kept.") if session.recorder.on else ""
        again = tell("{worlds} again goes back to the choice of worlds.", **keys)
        save = tell("{save} first saves where you are.", **keys)
        session.presenter.notify(join(filter(None, [again, recording, save]), by=" "))

    def _show_slots(self, _: Any) -> None:
        session = self._session
        found = session.saves.pictures(session.playthrough.place)
        if not found:
            raise ValueError(tell("All slots are empty: Ctrl+1 saves in the first."))
        pictures = [(found.get(slot), "" if slot in found else tell("empty")) for slot in SLOTS]
        title = tell("Pick a slot: its number, or turn to it and walk. Backspace leaves.")
        self._choose(
            "slots", lambda: Picker(title, pictures, lambda index: session.load(index + 1))
        )

    def _show_action_preview(self, _: Any) -> None:
        session = self._session
        playthrough = session.playthrough
        if playthrough.lost or playthrough.ended:
            raise ValueError(
                tell(
                    "Action preview is unavailable: the episode has ended. Press Enter for a new "
                    "start or Backspace to rewind."
                )
            )

        def go(actions: list[int]) -> None:
            session.leave_picker()
            session.go(actions)

        how = Move(0, session.steps, session.noise)
        self._choose(
            "action_preview", lambda: ActionPreview(playthrough.place, how, session.clock, go)
        )

    def _open(self, path: str) -> None:
        """Start from a picture, a clip or an episode."""
        from worldsim.runtime.recording.start_from_file import start_from

        session = self._session
        place, seed = session.playthrough.place, session.playthrough.track.start.seed
        start, said = start_from(Path(path), place, seed, session.opening.fit)
        if session.begin(start, "another start"):
            session.presenter.notify(said)

    # ---- how it goes ----

    def _run_on(self, _: Any) -> None:
        session = self._session
        if session.playthrough.place.actions.idle is None:
            session.presenter.notify(
                tell("This world knows no standing still, so it waits for a key.")
            )
            return
        session.runs_on = not session.runs_on
        runs, waits = tell("The world runs on."), tell("The world waits for a key.")
        session.presenter.notify(runs if session.runs_on else waits)

    def _change_speed(self, direction: int) -> None:
        session = self._session
        if not session.fps:
            raise ValueError(tell("It goes as fast as it can already."))
        at = SPEEDS.index(session.speed) + direction
        session.set_speed(SPEEDS[min(max(at, 0), len(SPEEDS) - 1)])
        session.presenter.notify(tell("{fps:g} frames a second.", fps=session.fps * session.speed))

    def _change_steps(self, direction: int) -> None:
        session = self._session
        if not session.playthrough.place.samples:
            session.presenter.notify(tell("This world has no sampler."))
            return
        session.governor.on = False
        own = session.playthrough.place.own_steps
        session.steps = find_next_steps(session.steps, direction, own)
        session.presenter.notify(tell("{steps} sampler steps a frame.", steps=session.steps))

    def _change_noise(self, direction: int) -> None:
        session = self._session
        if session.noise == NO_NOISE:
            raise ValueError(tell("This world remembers its frames as they are, without noise."))
        session.noise = find_next_noise(session.noise, direction)
        session.presenter.notify(
            tell("Frames are remembered with {noise} % noise.", noise=session.noise)
        )

    def _automate_steps(self, _: Any) -> None:
        session = self._session
        if not session.playthrough.place.samples:
            raise ValueError(tell("This world has no sampler."))
        session.governor.on = True
        session.presenter.notify(tell("As many sampler steps as the pace allows."))

    def _change_driver(self, _: Any) -> None:
        session = self._session
        if not hasattr(session.controller, "turn"):
            raise ValueError(tell("Only {who} can drive here.", who=session.controller.name))
        session.presenter.notify(tell("Now driving: {who}.", who=session.controller.turn()))

    def _toggle_recording(self, _: Any) -> None:
        session = self._session
        if session.recorder.on:
            session.recorder.stop()
            folder = session.recorder.folder
            session.presenter.notify(tell("The recording is in {folder}.", folder=shorten(folder)))
        else:
            session.recorder.start(session.playthrough.track.point())
            session.presenter.notify(tell("Recording; the same key stops it."))

    # ---- the truth, and the memory ----

    def _show_ground_truth(self, _: Any) -> None:
        from worldsim.runtime.panels.ground_truth import GroundTruthPanel

        session, overlays = self._session, self._session.overlays
        overlays.trouble = ""
        if overlays.panel is not None or overlays.coming is not None:
            overlays.drop_panel()
            return
        overlays.coming = panel = GroundTruthPanel(session.playthrough.place)
        found = panel.find(session.playthrough.track.start)
        # Of the panel that is coming then, which may be another one, or none any more.
        found.add_done_callback(lambda _: session.command_queue.put("truth_found"))

    def _bring_ground_truth(self, _: Any) -> None:
        """Show the truth, whose engine has started while play went on."""
        session, overlays = self._session, self._session.overlays
        panel = overlays.coming
        if panel is None or not panel.is_found:
            return
        overlays.coming = None
        try:
            if not panel.knows(session.playthrough.track.start):
                session.presenter.notify(
                    tell("The truth of this start is unknown: a new start was made.")
                )
                session.begin(panel.new_start(session.draw_seed()), "a start with its truth")
            panel.follow(session.playthrough.track)
        except Exception:
            panel.close()
            raise
        overlays.panel = panel

    def _ground_dream(self, _: Any) -> None:
        session, panel = self._session, self._session.overlays.panel
        if panel is None:
            raise ValueError(
                tell("Going back to the ground truth needs it on screen: press G to show it.")
            )
        if session.begin(panel.make_grounded_start(session.number), "grounded"):
            session.presenter.notify(tell("The dream stands in the true frames again."))

    def _toggle_memory(self, _: Any) -> None:
        from worldsim.runtime.panels.memory_strip import Memory

        overlays = self._session.overlays
        if overlays.memory is not None:
            overlays.memory.close()
            overlays.memory = None
        else:
            overlays.memory = Memory(self._session.playthrough)

    def _toggle_attention(self, _: Any) -> None:
        from worldsim.runtime.panels.memory_strip import Memory

        memory = self._session.overlays.memory
        if memory is None:
            Memory(self._session.playthrough)  # one that does not tell says so
            names = ("memory", "attention")
            raise ValueError(
                tell(
                    "{memory} first shows what the dream remembers; {attention} then marks on it "
                    "what a frame looks at.",
                    **{name: self._find_key(name) for name in names},
                )
            )
        on = memory.toggle_attention()
        self._session.presenter.notify(tell("What the next frame looks at.") if on else "")

    # ---- a memory in space ----

    def _toggle_tint(self, _: Any) -> None:
        session, space = self._session, self._session.overlays.space
        check_space(session.playthrough.place)
        space.tints = not space.tints
        session.presenter.notify(tell("What is coloured is invented.") if space.tints else "")

    def _toggle_map(self, _: Any) -> None:
        check_space(self._session.playthrough.place)
        space = self._session.overlays.space
        space.maps = not space.maps

    def _save_points(self, _: Any) -> None:
        session = self._session
        check_space(session.playthrough.place)
        path = session.saves.save_points(session.playthrough.place)
        session.presenter.notify(tell("What is remembered is in {path}.", path=shorten(path)))

    def _show_samples(self, _: Any) -> None:
        from worldsim.runtime.panels.resampling import compare_samples

        session = self._session
        check_space(session.playthrough.place)
        if session.playthrough.lost:
            raise ValueError(
                tell("The world failed: make a frame or go back before sampling again.")
            )
        track = session.playthrough.track
        self._choose("resample", lambda: compare_samples(track, session.leave_picker))

    def _walk_back(self, _: Any) -> None:
        from worldsim.runtime.panels.return_walk import ReturnWalk

        session = self._session
        if session.plan:
            raise ValueError(tell("One moment: moves are being made already."))
        walk = ReturnWalk(session.playthrough.track)
        session.go(walk.moves, then=lambda: walk.describe_error(session.playthrough.track))
        session.presenter.notify(tell("Walking {count} moves back ...", count=walk.count))

    def _share_clip(self, _: Any) -> None:
        session = self._session
        track, fps = session.playthrough.track, session.fps or session.playthrough.place.fps
        session.presenter.notify(tell("Writing the last ten seconds ..."))
        session.sharer.share(track, fps, session.presenter.notify)

    # ---- a recording ----

    def _scrub(self, key: int) -> None:
        session = self._session
        session.state = State.PAUSED
        frames = (-1, 1, -FAR_SCRUB, FAR_SCRUB, session.playthrough.place.left, -1, 1)[key]
        if frames < 0:
            session.rewind(-frames)
        else:
            session.fast_forward(frames)

    def _compare_next(self, _: Any) -> None:
        overlays = self._session.overlays
        overlays.trouble = ""
        overlays.drop_panel()
        overlays.panel = self._session.comparisons.turn()

    def _browse(self, _: Any) -> None:
        from worldsim.runtime.recording.recording import read_recording

        session, recording_env = self._session, self._session.playthrough.place
        found = recording_env.list_neighbours()
        if len(found) < 2:
            raise ValueError(tell("There is no other recording in this folder."))

        def show(index: int) -> None:
            recording = read_recording(found[index])
            session.overlays.drop_panel()
            recording_env.show(recording)
            session.opening.title = recording.name
            session.comparisons = session.comparisons.of(recording)
            session.begin(recording_env.start(0), "another recording")
            session.set_speed(session.speed)

        def picture(path: Path) -> tuple[np.ndarray | None, str]:
            try:
                frames = read_recording(path).episode.frames
            except ValueError:  # the others are still there
                return None, tell("{name} is damaged", name=path.name)
            return frames[len(frames) // 2].copy(), path.name

        def pictures() -> Picker:
            shown = [picture(path) for path in found]
            return Picker(tell("Pick a recording by its number. B turns the page."), shown, show)

        self._choose("browse", pictures)
