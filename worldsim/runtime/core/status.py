"""What the window says about the session: one Status, and the lines made from it.

Lays out text, draws nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from worldsim.actions import ActionSet
from worldsim.runtime.core.intents import INTENTS, NOTHING_LACKS, Intent, build_help_rows
from worldsim.runtime.core.key_press import US, Layout
from worldsim.runtime.core.moves import NO_NOISE
from worldsim.runtime.core.pane_layout import NO_STRIP, Pane, Strip
from worldsim.told import Told, join, tell
from worldsim.world.depth_view import DepthView


@dataclass(frozen=True, kw_only=True)
class Status:
    """All the figures of one moment.

    Attributes:
        title: the world's name.
        state: the session's state, e.g. "running".
        driver: who drives.
        action: the newest action's name; empty before the first.
        held: the keys that are down.
        number: how many frames since the start.
        fps: frames a second that are made.
        fps_shown: frames a second that reached the screen.
        p50_ms: the median time of a frame.
        p99_ms: what 99 of 100 frames stay below.
        photon_ms: from the key press to its picture on the screen; None before the first.
        steps: sampler steps a frame (K); 0 where the world has none.
        noise: noise that frames are remembered with, in per cent; NO_NOISE where there is none.
        seed: the seed of this start; None while the world is not open yet.
        runs_on: whether the world goes on when no key is pressed.
        recording: e.g. "recording 0:12"; empty when nothing is recorded.
        note: something to tell the player for a while.
        trouble: something to tell until it is mended.
        doing: what the player waits for, e.g. "loading the network".
        progress: how much of it is done, 0 to 1; None when nobody waits.
        automatic: whether the sampler steps follow the pace.
        context: what the dream remembers, e.g. "fine 4, coarse 21"; empty where nobody knows.
        drift: sharpness of the picture relative to the start's; None where it has none.
        back: how far one can go back, e.g. "34 s, 0.4 s/MB".
        panes: pictures that are shown instead of the one; empty for the one.
        curve: dB of the dream against the truth, frame by frame since the start.
        strip: what the dream remembers, as thumbnails; empty when nobody asked.
        seen_share: 0 to 1, how much of the newest frame memory showed; None where nobody knows.
        invented: bool `[H,W]`, which pixels to colour as invented; None when nobody asked.
        view: how far away what the frame shows is; None where nobody knows.
        lacking: by the name of an intent, or CLICK, that cannot be had here, what it needs.
        copied: what the clipboard is to hold; empty for what it held before.
    """

    title: str = ""
    state: str = ""
    driver: str = ""
    action: str = ""
    held: tuple[str, ...] = ()
    number: int = 0
    fps: float = 0.0
    fps_shown: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    photon_ms: float | None = None
    steps: int = 0
    noise: int = NO_NOISE
    seed: int | None = None
    runs_on: bool = False
    recording: str = ""
    note: str = ""
    trouble: str = ""
    doing: str = ""
    progress: float | None = None
    automatic: bool = False
    context: str = ""
    drift: float | None = None
    back: str = ""
    panes: tuple[Pane, ...] = ()
    curve: tuple[float, ...] = ()
    strip: Strip = NO_STRIP
    seen_share: float | None = None
    invented: np.ndarray | None = None
    view: DepthView | None = None
    lacking: Mapping[str, str] = field(default_factory=dict)
    copied: str = ""


class Dimmed(Told):
    """A line about something that cannot be had, to be written in grey."""


STATES = {
    "warming up": tell("warming up"),
    "waiting": tell("waiting for a key"),
    "running": tell("playing"),
    "paused": tell("paused"),
    "rewinding": tell("going back"),
    "choosing": tell("pick a picture"),
    "closed": tell("closed"),
}
"""What a session does, by its states' names."""


def describe_plainly(status: Status) -> Told:
    """What anybody wants to know, in plain words."""
    state = STATES.get(status.state, status.state)
    goes = status.state == "running" and status.fps
    pace = tell("{fps:.1f} frames a second", fps=status.fps) if goes else ""
    parts = (tell(status.title), state, pace, status.recording)
    return join(filter(None, parts), by="   ")


def format_hud(status: Status) -> list[Told]:
    """The figures as short lines, top to bottom: what anybody wants to know first."""
    title, state = tell(status.title), STATES.get(status.state, status.state)
    if status.seed is None:
        return [title, join([state])]
    waits = tell("runs on") if status.runs_on else tell("waits for a key")
    doing = tell(status.action) if status.action else "-"
    lines = [
        title,
        join(dict.fromkeys([state, waits]), by=", "),
        join([status.driver, ": ", doing, *(f"  {' '.join(status.held)}" if status.held else "")]),
        status.recording,
        *_list_paces(status),
        *_list_shares(status),
        *_list_settings(status),
    ]
    return [join([line]) for line in lines if line]


def _list_paces(status: Status) -> list[str]:
    """How fast it goes."""
    made, shown = status.fps, status.fps_shown
    return [
        tell("{made:.1f} frames a second, {shown:.1f} shown", made=made, shown=shown),
        tell("{ms:.0f} ms from key to picture", ms=status.photon_ms) if status.photon_ms else "",
        tell(
            "{p50:.0f} ms a frame, 99 of 100 within {p99:.0f}",
            p50=status.p50_ms,
            p99=status.p99_ms,
        ),
    ]


def _list_shares(status: Status) -> list[str]:
    """What is known of the picture, the memory, and the way back."""
    drift, seen, levels = status.drift, status.seen_share, status.context
    return [
        tell("{share:.0f} % as sharp as the start", share=100 * drift) if drift is not None else "",
        tell("{share:.0f} % of it remembered", share=100 * seen) if seen is not None else "",
        tell("in memory: {levels}", levels=levels) if levels else "",
        tell("can go back {reach}", reach=status.back) if status.back else "",
    ]


def _list_settings(status: Status) -> list[str]:
    """What the frames are made with."""
    steps = tell("{steps} sampler steps a frame", steps=status.steps) if status.steps else ""
    noise = status.noise
    return [
        join([steps, tell("by the pace")], by=", ") if steps and status.automatic else steps,
        tell("remembered with {noise} % noise", noise=noise) if noise != NO_NOISE else "",
        tell("frame {number} since the start, seed {seed}", number=status.number, seed=status.seed),
    ]


def banner(status: Status, now: float) -> str:
    """The one sentence that must be seen now; empty when there is none.

    Args:
        status: what there is to say.
        now: the clock's time; dots walk with it, so that a wait is seen to be alive.
    """
    if status.trouble or status.note:
        return status.note or status.trouble  # a note is gone soon, a trouble stays
    if status.progress is None:
        return ""
    return add_dots(status.doing, now)


def add_dots(doing: str, now: float) -> Told:
    """What is waited for, with dots that walk."""
    return join([doing, "." * (1 + int(2 * now) % 3)], by=" ")


def format_help(
    actions: ActionSet,
    intents: tuple[Intent, ...] = INTENTS,
    pads: bool = False,
    layout: Layout = US,
    lacking: Mapping[str, str] = NOTHING_LACKS,
    mouse: bool = False,
) -> list[Told]:
    """The help overlay, from the tables of keys: keys, a tab, their meaning.

    Args:
        actions: the world's.
        intents: everything else.
        pads: whether there is a gamepad, whose controls are listed too.
        layout: what is printed on the player's keys.
        lacking: by the name of an intent, or CLICK, that cannot be had here, what it needs.
        mouse: whether what the mouse does is listed too.
    """
    rows = build_help_rows(actions, intents, pads, layout, lacking, mouse)
    lacks = tuple(f"({what})" for what in lacking.values())
    kinds = [Dimmed if lacks and meaning.endswith(lacks) else Told for _, meaning in rows]
    return [join(row, by="\t", kind=kind) for kind, row in zip(kinds, rows, strict=True)]
