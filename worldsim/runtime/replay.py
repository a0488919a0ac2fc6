"""Show a recording again, or make it again and compare, bit for bit.

    worldsim replay recordings/dmlab-20261121-120000-1
    worldsim replay recordings/dmlab-20261121-120000-1 --verify

In the window: P pauses, N steps, Backspace goes back, U begins again, Esc leaves.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worldsim.runtime.place import Place
    from worldsim.runtime.recording import Recording


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line as options."""
    parser = argparse.ArgumentParser(description="Show a recording again, or verify it.")
    add = parser.add_argument
    add("recording", type=Path, metavar="DIR", help="a recording's folder, or a left-over .journal")
    add("--verify", action="store_true", help="make the frames again and compare; status 0 or 1")
    add("--world", metavar="NAME_OR_PATH", help="where the world is now, if it was moved")
    add("--device", help="where the network runs; by default where it ran")
    add("--fps", type=float, help="frames a second; 0 for as fast as possible")
    add("--zoom", type=int, metavar="N", help="screen pixels a pixel")
    add("--headless", action="store_true", help="no window: read it through, print what it is")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Replay or verify.

    Returns:
        The exit status: 1 where frames differ.

    Raises:
        ValueError: no recording, or a world that cannot be had; one sentence.
    """
    options = parse(argv)
    from worldsim.runtime.recording import read_recording

    recording = read_recording(options.recording)
    if options.verify:
        return _verify(recording, options)
    if options.headless:
        print(describe(recording))
        return 0
    _show(recording, options)
    return 0


def describe(recording: "Recording") -> str:
    """What a recording holds, in one line."""
    frames, height, width, _ = recording.episode.frames.shape
    begun = len(recording.point.lead_in)
    after = f", begun {begun} moves after it" if begun else ""
    return (
        f"{recording.name}: {frames} frames of {width}x{height} in {recording.identity}, "
        f"seed {recording.point.start.seed}{after}, {recording.fps:g} fps"
    )


def first_difference(recording: "Recording", place: "Place") -> int | None:
    """Make a recording again in a place.

    Returns:
        The number of the first frame that differs; None where every pixel is equal.

    Raises:
        ValueError: it is another world.
    """
    from worldsim.runtime.line import Moves
    from worldsim.runtime.recording import frame_hash

    if not place.identity.same_world(recording.identity):
        raise ValueError(f"this was recorded in {recording.identity}, and not in {place.identity}.")
    frames, hashes = recording.episode.frames, recording.hashes
    frame = place.reset(recording.point.start).frame
    for move in Moves(recording.point.lead_in):
        frame = place.step(move).frame
    for number, (kept, digest) in enumerate(zip(frames, hashes, strict=True)):
        if number:
            frame = place.step(recording.moves[number - 1]).frame
        if not (frame == kept).all() or frame_hash(kept) != digest:
            return number
    return None


def _verify(recording: "Recording", options: argparse.Namespace) -> int:
    import gymnasium

    import worldsim  # noqa: F401  registers the ids
    from worldsim.runtime.place import Place

    identity = recording.identity
    kwargs = dict(identity.kwargs)
    kwargs |= {
        name: getattr(options, name) for name in ("world", "device") if getattr(options, name)
    }
    env = gymnasium.make(identity.environment, disable_env_checker=True, **kwargs)
    if recording.threads and "torch" in sys.modules:  # sums depend on who adds what first
        sys.modules["torch"].set_num_threads(recording.threads)
    try:
        different = first_difference(recording, Place(env, identity.environment, identity.kwargs))
    finally:
        env.close()
    verdict = "all equal" if different is None else f"first difference at frame {different}"
    print(f"{len(recording.episode.frames)} frames, {verdict}")
    return 0 if different is None else 1


def _show(recording: "Recording", options: argparse.Namespace) -> None:
    from worldsim.runtime.control import Latch
    from worldsim.runtime.film import Film, Projector
    from worldsim.runtime.opening import Opened
    from worldsim.runtime.requests import Keys
    from worldsim.runtime.session import Session
    from worldsim.runtime.window import Window

    film = Film(recording)
    height, width, _ = recording.episode.frames.shape[1:]
    window = Window(recording.name, (width, height), zoom=options.zoom)
    opening = Opened(film)
    fps = recording.fps if options.fps is None else options.fps
    seed = recording.point.start.seed
    session = Session(opening, Projector(film), seed=seed, fps=fps, sinks=[window])
    with session.requests.stopping_on_signals():
        window.run(session.run, Keys(opening, Latch(), session.requests))
