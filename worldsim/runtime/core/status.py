"""What the window says about the session: one Status, and the lines made from it.

Lays out text, draws nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from worldsim.actions import ActionSet
from worldsim.runtime.core.intents import INTENTS, NOTHING_LACKS, Intent, build_help_rows
from worldsim.runtime.core.key_press import US, Layout
from worldsim.runtime.core.language import ENGLISH, Words, translate
from worldsim.runtime.core.moves import NO_NOISE
from worldsim.runtime.core.pane_layout import NO_STRIP, Pane, Strip
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
        recording: e.g. "REC 12"; empty when nothing is recorded.
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


class Dimmed(str):
    """A line about something that cannot be had, to be written in grey."""


STATES = {"running": "playing", "waiting": "waiting for a key", "choosing": "pick a picture"}


def describe_plainly(status: Status) -> str:
    """What anybody wants to know, in plain words."""
    state = STATES.get(status.state, status.state)
    pace = f"{status.fps:.1f} frames a second" if status.fps else ""
    recorded = status.recording.replace("REC", "recording", 1)
    return "   ".join(filter(None, (status.title, state, pace, recorded)))


def format_hud(status: Status) -> list[str]:
    """The figures as short lines, top to bottom."""
    if status.seed is None:
        return [f"{status.title}  {status.state}"]
    photon = "-" if status.photon_ms is None else f"{status.photon_ms:.0f}"
    automatic = " by the pace" if status.automatic else ""
    steps = f"  K {status.steps}{automatic}" if status.steps else ""
    noise = f"  noise {status.noise} %" if status.noise != NO_NOISE else ""
    waits = "runs on" if status.runs_on else "waits for a key"
    lines = [
        f"{status.title}  {status.state}, {waits}",
        f"frame {status.number}  seed {status.seed}{steps}{noise}",
        f"{status.fps:.1f} fps made  {status.fps_shown:.1f} shown",
        f"{status.p50_ms:.0f} ms p50  {status.p99_ms:.0f} p99  key to picture {photon} ms",
        f"{status.driver}: {status.action or '-'}  {' '.join(status.held)}".rstrip(),
    ]
    memory = f"remembers {status.context}" if status.context else ""
    drift = f"sharpness {100 * status.drift:.0f} %" if status.drift is not None else ""
    seen = f"remembered {100 * status.seen_share:.0f} %" if status.seen_share is not None else ""
    back = f"back {status.back}" if status.back else ""
    more = ["  ".join(filter(None, (drift, seen, back))), memory, status.recording]
    return lines + [line for line in more if line]


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
    return f"{status.doing} {'.' * (1 + int(2 * now) % 3)}"


def format_help(
    actions: ActionSet,
    intents: tuple[Intent, ...] = INTENTS,
    pads: bool = False,
    layout: Layout = US,
    lacking: Mapping[str, str] = NOTHING_LACKS,
    mouse: bool = False,
    words: Words = ENGLISH,
) -> list[str]:
    """The help overlay, from the tables of keys: keys, a tab, their meaning.

    Args:
        actions: the world's.
        intents: everything else.
        pads: whether there is a gamepad, whose controls are listed too.
        layout: what is printed on the player's keys.
        lacking: by the name of an intent, or CLICK, that cannot be had here, what it needs.
        mouse: whether what the mouse does is listed too.
        words: of the player's language.
    """
    lacking = {name: _translate_need(what, words) for name, what in lacking.items()}
    rows = build_help_rows(actions, intents, pads, layout, lacking, mouse, words)
    lacks = tuple(f"({what})" for what in lacking.values())
    kinds = [Dimmed if lacks and meaning.endswith(lacks) else str for _, meaning in rows]
    return [kind(f"{keys}\t{meaning}") for kind, (keys, meaning) in zip(kinds, rows, strict=True)]


def _translate_need(what: str, words: Words) -> str:
    """What something needs; what follows a colon may be a command, which stays."""
    return ": ".join(translate(part, words) for part in what.split(": "))
