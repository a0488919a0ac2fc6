"""Open a window on a world and play it.

    python play.py                        choose a world and a start by their pictures
    python play.py --world dmlab          the bundled dream of a maze
    python play.py --env Maze-v0          the engine it was learnt from, in the same window
    python play.py --env Voxel-v0         a land of blocks
    python play.py --headless 100         no window: make 100 frames, print how fast

F1 in the window shows the keys. This file parses, builds and runs; the work is in worldsim.runtime.
"""

import argparse
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

from worldsim.arguments import at_most, hundredths, natural, parse_count_to
from worldsim.paths import asset_names

WORLD = "dmlab"
SIGNALLED = 128  # and its number: the status of a program that a signal ended
KEYS = "your own keys, as in {intents: {pause: [p]}, actions: {forward: [w, up]}}"
KEPT = "by default in the folder that the settings name; with --headless here"
DREAMS_ONLY = ("world", "steps", "context_noise", "device", "runtime")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line as options."""
    parser = argparse.ArgumentParser(description="Open a window on a world and play it.")
    add = parser.add_argument_group("which world").add_argument
    bundled = ", ".join(asset_names("worlds"))
    add("--world", metavar="NAME_OR_PATH", help=f"{bundled}, a name of `worldsim zoo`, or a folder")
    add("--env", metavar="ID", help="play an engine instead, e.g. Maze-v0 or Voxel-v0")
    add(
        "--seed", type=natural, metavar="N", help="of the first start; drawn and shown if not given"
    )
    add(
        "--start",
        "--spawn",
        dest="spawn",
        type=spawn,
        metavar="INDEX_OR_FILE",
        help="where to start: one of the world's contexts, or a picture, a clip, an episode",
    )
    add(
        "--fit",
        choices=("crop", "letterbox"),
        default="crop",
        help="how a picture of another shape is fitted (default: %(default)s)",
    )
    add(
        "--steps",
        type=natural,
        metavar="K",
        help="sampler steps a frame: more is finer, slower; by default what the pace allows",
    )
    add(
        "--context-noise",
        type=hundredths,
        metavar="X",
        help="noise that dreamt frames are remembered with, 0 to 0.99",
    )
    add("--policy", metavar="MODULE:FUNCTION", help="who else can drive: see worldsim rollout")
    add("--device", help="where the network runs: cpu (the default), cuda, mps, or auto")
    add(
        "--runtime",
        choices=("torch", "onnx"),
        help="what computes it: torch (the default), or onnx for what `worldsim export` wrote",
    )
    add = parser.add_argument_group("how it is shown").add_argument
    add("--zoom", type=parse_count_to(64), metavar="N", help="screen pixels a pixel")
    add("--fps", type=float, help="frames a second; 0 for as fast as possible")
    add("--keys", metavar="YAML", help=KEYS)
    add("--fullscreen", action="store_true", help="take the whole screen")
    add("--no-hud", action="store_true", help="begin without the figures")
    add(
        "--headless",
        type=at_most(10**9),
        metavar="N",
        help="no window: make N frames, print how fast",
    )
    add = parser.add_argument_group("what is kept").add_argument
    add("--record", nargs="?", const="", metavar="DIR", help="record from the start")
    add("--shares", metavar="DIR", help=f"where clips and screenshots go ({KEPT})")
    add("--saves", metavar="DIR", help=f"where quick saves and slots go ({KEPT})")
    add(
        "--rewind-mb",
        type=at_most(1 << 20),
        default=256,
        metavar="MB",
        help="memory for going back in time (default: %(default)s)",
    )
    parser.set_defaults(settings=None)  # a window reads the player's
    return parser.parse_args(argv)


def spawn(text: str) -> "int | Path":
    """The number of a context, or a file that is there."""
    if text.isascii() and text.isdigit():
        return int(text)
    if not Path(text).exists():
        raise argparse.ArgumentTypeError(f"must be a number, or a file that exists, got {text!r}")
    return Path(text)


def main(argv: list[str] | None = None) -> int:
    """Play.

    Returns:
        The exit status.

    Raises:
        ValueError: something that was asked for cannot be had; one sentence.
    """
    given = parse(argv)
    from worldsim.import_check import check_names

    check_names()
    chooses, said, status = wants_choice(given), "", 0
    while True:
        options = argparse.Namespace(**vars(given))
        if options.headless is None:
            from worldsim.runtime.core.settings import read_settings

            options.settings = read_settings()
        if chooses and not choose_start(options, said):
            return status
        apply_settings(options)
        status, chooses, said = play(options)
        if not chooses:
            return status
        given.world = given.env = given.spawn = given.seed = None
        given.fullscreen = options.fullscreen


class Played(NamedTuple):
    """How a session went: the exit status, whether the player goes back to the choice of worlds,
    and what is to be said there.
    """

    status: int
    chooses: bool
    said: str


def play(options: argparse.Namespace) -> Played:
    """Play what was asked for, until it is left."""
    session = build(options)
    recorder = session.recorder
    if recorder.on:
        recorder.check_folder()
    recorder.recover()
    try:
        with session.command_queue.stop_on_signals():
            if options.headless is not None:
                run_headless(session, options.headless)
            else:
                run_window(session, options)
    finally:
        session.close()
        tell_terminal(session)
    chooses, signal = session.chooses, session.command_queue.signal
    if recorder.trouble:
        print(recorder.trouble, file=sys.stderr)
        return Played(1, chooses, recorder.trouble)
    return Played(SIGNALLED + signal if signal else 0, chooses, describe_kept(session))


def tell_terminal(session) -> None:
    """Print where the session ran, and what it wrote."""
    recorder = session.recorder
    if session.opening.device_choice:
        print(session.opening.device_choice, flush=True)
    for folder in recorder.made + recorder.recovered:
        print(f"recorded: {folder}", flush=True)
    for folder in session.sharer.made:
        print(f"shared: {folder}; worldsim replay {shlex.quote(str(folder))}", flush=True)
    for journal in recorder.aside:
        advice = f"worldsim replay '{journal}' --headless tries again"
        print(f"set aside, it could not be finished: {journal}; {advice}", file=sys.stderr)


def describe_kept(session) -> str:
    """What to say of a session that was left for the choice of worlds: where its recording is."""
    from worldsim.runtime.core.user_folder import shorten
    from worldsim.told import tell

    made = session.recorder.made
    return tell("The recording is in {folder}.", folder=shorten(made[-1])) if made else ""


def wants_choice(options: argparse.Namespace) -> bool:
    """Whether the window opens on a choice of starts: nothing says where to begin."""
    said = (options.world, options.env, options.spawn, options.seed, options.headless)
    return all(option is None for option in said)


def apply_settings(options: argparse.Namespace) -> None:
    """Where a window opens, the player's settings say what the command line leaves open."""
    from worldsim.runtime.core.user_folder import (
        RECORDINGS,
        SAVES,
        SHARES,
        kept_folder,
        recordings_folder,
    )

    settings = options.settings
    kept = Path() if settings is None else kept_folder(settings.folder)
    options.saves = options.saves or kept / SAVES
    options.shares = options.shares or kept / SHARES
    if settings is None:
        options.recordings = options.record or kept / RECORDINGS
        return
    usual = recordings_folder(settings.recordings, settings.folder)
    options.recordings = options.record or usual
    options.keys = options.keys or settings.keys or None
    options.fps = settings.fps if options.fps is None else options.fps
    if not options.env:
        options.world = options.world or settings.world or None
        options.steps = settings.steps if options.steps is None else options.steps


def choose_start(options: argparse.Namespace, said: str = "") -> bool:
    """Let the player choose a world and a start, into the options; False when none was chosen.

    Args:
        options: of the command line.
        said: about what was played before, to be shown.
    """
    from worldsim.runtime.core.user_folder import read_last_start, write_last_start
    from worldsim.runtime.window.start_choice import StartChoice
    from worldsim.world.starts import list_worlds

    worlds = list_worlds(Path())
    if not worlds:
        return True  # the loader says what is missing
    last = read_last_start()
    if last is None and options.settings.world:
        last = options.settings.world, 0
    choice = StartChoice(
        worlds,
        last,
        zoom=options.zoom,
        fullscreen=options.fullscreen,
        settings=options.settings,
        said=said,
    )
    chosen = choice.run()
    if chosen is None:
        return False
    options.world, options.spawn = chosen
    options.fullscreen, options.settings = choice.fullscreen, choice.settings
    write_last_start(*chosen)
    return True


def build(options: argparse.Namespace):
    """The session that was asked for."""
    from worldsim.runtime.cli.rollout import Calls
    from worldsim.runtime.core.bindings import Bindings, read_bindings
    from worldsim.runtime.core.control import Keyboard, RandomWalk
    from worldsim.runtime.core.drivers import Drivers, Follower
    from worldsim.runtime.core.step_governor import StepGovernor
    from worldsim.runtime.recording.recorder import Recorder
    from worldsim.runtime.recording.saves import Saves
    from worldsim.runtime.recording.share import Sharer
    from worldsim.runtime.session.loading import open_engine, open_world
    from worldsim.runtime.session.session import Session
    from worldsim.tasks import load_function

    seed = draw_seed() if options.seed is None else options.seed
    bindings = read_bindings(options.keys) if options.keys else Bindings()
    file = options.spawn if isinstance(options.spawn, Path) else None
    number = None if file else options.spawn
    given = [name for name in DREAMS_ONLY if getattr(options, name) is not None]
    if options.env and given:
        option = "--" + given[0].replace("_", "-")
        raise ValueError(f"{option} is for a dream, --env plays {options.env}: leave one out.")
    if options.env:
        opening = open_engine(options.env, bindings)
    else:
        fetch_if_named(options.world)
        opening = open_world(
            options.world or WORLD,
            seed,
            number,
            options.steps,
            options.device or "cpu",
            bindings=bindings,
            context_noise=options.context_noise,
            runtime=options.runtime or "torch",
        )
    opening.file, opening.fit = file, options.fit
    opening.settle = options.headless is None  # without a window, bits matter more than speed
    follower, alone = Follower(), options.headless is not None
    others = [Calls(load_function(options.policy, "--policy"), seed)] if options.policy else []
    others.append(RandomWalk(seed))
    return Session(
        opening,
        others[0] if alone else Drivers(Keyboard(), [follower, *others]),
        seed=seed,
        spawn=number,
        fps=0.0 if options.fps is None and alone else options.fps,
        endless=alone,
        recorder=Recorder(options.recordings, on=options.record is not None),
        saves=Saves(options.saves),
        sharer=Sharer(options.shares),
        sinks=[follower],
        governor=StepGovernor(on=options.steps is None and not alone),
        rewind_bytes=options.rewind_mb << 20,
    )


def fetch_if_named(world: "str | None") -> None:
    """Fetch a world of the zoo that is not here yet, before a window hides the progress."""
    from worldsim.world.base import world_folder
    from worldsim.zoo import read_released

    if world in read_released():
        world_folder(world)


def draw_seed() -> int:
    """A seed nobody asked for; the window and every recording say which it was."""
    import secrets

    return secrets.randbelow(2**31)


def run_headless(session, frames: int) -> None:
    """Make frames without a window, and print how fast."""
    from worldsim.runtime.core.sinks import Meter

    meter = Meter(window=max(1, frames))
    session.sinks.append(meter)
    session.run(frames)
    figures = meter.figures()
    print(
        f"{figures.frames} frames, {figures.fps:.1f} fps, "
        f"p50 {figures.p50_ms:.1f} ms, p99 {figures.p99_ms:.1f} ms",
        flush=True,
    )


def run_window(session, options: argparse.Namespace) -> None:
    """Show the session in a window until it is left."""
    from worldsim.runtime.session.command_queue import Keys
    from worldsim.runtime.window.window import Window

    size = session.opening.size
    window = Window(
        session.opening.title,
        size,
        zoom=options.zoom,
        hud=not options.no_hud,
        fullscreen=options.fullscreen,
        shares=options.shares,
        settings=options.settings,
    )
    session.sinks.append(window)
    session.returns = True
    keys = Keys(session.opening, session.controller.latch, session.command_queue)
    window.run(session.run, keys, stays=lambda: session.chooses)
    options.fullscreen = window.fullscreen


if __name__ == "__main__":
    from worldsim.cli import run

    sys.exit(run(main, sys.argv[1:]))
