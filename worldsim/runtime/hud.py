"""What the window says about the session: one Status, and the lines made from it.

Lays out text, draws nothing.
"""

from dataclasses import dataclass

from worldsim.actions import ActionSet
from worldsim.runtime.keys import help_rows


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
        seed: the seed of this start; None while the world is not open yet.
        runs_on: whether the world goes on when no key is pressed.
        recording: e.g. "REC 12"; empty when nothing is recorded.
        note: something to tell the player for a while.
        trouble: something to tell until it is mended.
        doing: what the player waits for, e.g. "loading the network".
        progress: how much of it is done, 0 to 1; None when nobody waits.
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
    seed: int | None = None
    runs_on: bool = False
    recording: str = ""
    note: str = ""
    trouble: str = ""
    doing: str = ""
    progress: float | None = None


def hud_lines(status: Status) -> list[str]:
    """The figures as short lines, top to bottom."""
    if status.seed is None:
        return [f"{status.title}  {status.state}"]
    photon = "-" if status.photon_ms is None else f"{status.photon_ms:.0f}"
    steps = f"  K {status.steps}" if status.steps else ""
    waits = "runs on" if status.runs_on else "waits for a key"
    lines = [
        f"{status.title}  {status.state}, {waits}",
        f"frame {status.number}  seed {status.seed}{steps}",
        f"{status.fps:.1f} fps made  {status.fps_shown:.1f} shown",
        f"{status.p50_ms:.0f} ms p50  {status.p99_ms:.0f} p99  key to picture {photon} ms",
        f"{status.driver}: {status.action or '-'}  {' '.join(status.held)}".rstrip(),
    ]
    return lines + ([status.recording] if status.recording else [])


def banner(status: Status, now: float) -> str:
    """The one sentence that must be seen now; empty when there is none.

    Args:
        status: what there is to say.
        now: the clock's time; dots walk with it, so that a wait is seen to be alive.
    """
    if status.trouble or status.note:
        return status.trouble or status.note
    if status.progress is None:
        return ""
    return f"{status.doing} {'.' * (1 + int(2 * now) % 3)}"


def help_lines(actions: ActionSet) -> list[str]:
    """The help overlay, from the tables of keys: keys, a tab, their meaning."""
    return [f"{keys}\t{meaning}" for keys, meaning in help_rows(actions)]
