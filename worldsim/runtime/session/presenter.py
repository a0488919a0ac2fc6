"""Tells the sinks what is to be seen now, and the player what there is to say."""

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from worldsim.runtime.core.clock import Clock
from worldsim.runtime.core.moves import Start
from worldsim.runtime.core.pane_layout import Pane
from worldsim.runtime.core.status import Status
from worldsim.runtime.panels.lacking import find_lacking
from worldsim.runtime.panels.memory_strip import summarise_levels
from worldsim.runtime.session.state import State
from worldsim.told import Told, read_told

if TYPE_CHECKING:
    from worldsim.runtime.session.session import Session

NOTE_SECONDS = 4.0
HEARTBEAT = 0.1  # figures are shown this often when nothing happens


class Presenter:
    """Keeps the newest note for a while, and makes the Status of each moment.

    Args:
        clock: where the time comes from.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._note, self._note_until = "", 0.0
        self._due = float("-inf")

    def notify(self, note: str) -> None:
        """Say something to the player for a while."""
        self._note, self._note_until = note, self._clock.now() + NOTE_SECONDS

    def is_due(self) -> bool:
        """Whether the sinks have heard nothing for a while."""
        return self._clock.now() >= self._due

    def publish(self, session: "Session") -> None:
        """Show every sink the picture and the figures of this moment."""
        self._due = self._clock.now() + HEARTBEAT
        status = self.status(session)
        for sink in session.sinks:
            sink.show(session.frame, status)

    def status(self, session: "Session") -> Status:
        """The figures of this moment."""
        figures, wait = session.meter.figures(), session.wait
        # First, for a panel that fails here is a trouble to tell.
        position = {} if session.playthrough is None else _describe_position(session)
        return Status(
            title=session.opening.title,
            state=session.state.value,
            driver=session.controller.name,
            fps=figures.fps,
            p50_ms=figures.p50_ms,
            p99_ms=figures.p99_ms,
            steps=session.steps,
            noise=session.noise,
            runs_on=bool(session.runs_on),
            recording=session.recorder.label,
            note=(self._note if self._clock.now() < self._note_until else "")
            or session.overlays.doing
            or _choose_title(session),
            trouble=session.recorder.trouble or session.overlays.trouble,
            copied=session.sharer.command,
            automatic=session.governor.on and session.steps > 0,
            doing=wait.doing if wait else "",
            progress=wait.progress if wait else None,
            **position,
        )


def _describe_position(session: "Session") -> dict[str, Any]:
    track, number = session.playthrough.track, session.number
    names = track.place.actions.names
    action = names[track.moves[number - 1].action] if 0 < number <= track.number else ""
    overlays = session.overlays
    return {
        "number": number,
        "action": action,
        "seed": track.start.seed,
        "back": track.reach() if track.place.rewinds else "",
        "panes": panes(session),
        "curve": overlays.curve(number),
        "strip": overlays.strip(),
        "context": summarise_levels(session.playthrough),
        "drift": _measure_drift(session.frame, track.start),
        **_describe_space(session),
    }


def _describe_space(session: "Session") -> dict[str, Any]:
    """What is known of the newest frame only; while one goes back, another is shown."""
    place = session.playthrough.place
    lacking = find_lacking(place)
    if session.playthrough.lost or session.state is State.REWINDING:
        return {"lacking": lacking}
    told = {"lacking": lacking, "view": place.view}
    if "tint" in lacking:
        return told
    seen = place.seen
    return told | {
        "seen_share": None if seen is None else float(seen.mean()),
        "invented": session.overlays.space.invented(place),
    }


def panes(session: "Session") -> tuple[Pane, ...]:
    """Pictures to show instead of the frame; empty for the frame."""
    if session.picker is not None:
        return session.picker.panes()
    beside = session.overlays.panes(session.number, session.frame)
    moving = (
        session.state is State.REWINDING or session.playthrough is None or session.playthrough.lost
    )
    if beside or moving or session.frame is None:
        return beside
    return session.overlays.space.panes(session.playthrough.place, session.frame)


def _choose_title(session: "Session") -> str:
    if session.picker is not None:
        return session.picker.title
    playthrough = session.playthrough
    return playthrough.place.ended if playthrough is not None and playthrough.ended else ""


def _measure_drift(frame: np.ndarray, start: Start) -> float | None:
    """Sharpness of a dreamt frame relative to the true frame it began with."""
    if start.context_frames is None:
        return None
    before = sharpness(start.context_frames[-1])
    return sharpness(frame) / before if before else None


def sharpness(frame: np.ndarray) -> float:
    """The mean absolute Laplacian of a picture's brightness: how much there is to see in it."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean())


def sentence(error: Exception) -> str:
    """An error as one line for a player."""
    told = read_told(error)
    if isinstance(told, Told):
        return told
    text = " ".join(told.split()) or type(error).__name__
    return text if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {text}"
