"""Show a recording again, make it again and compare bit for bit, or export it.

    worldsim replay                                          the newest; B shows all
    worldsim replay dmlab-20261121-120000-1
    worldsim replay dmlab-20261121-120000-1 --verify
    worldsim replay dmlab-20261121-120000-1 --export a.gif --export a.html
    worldsim replay some/folder/dmlab-20261121-120000-1

In the window: Left and Right scrub, - and = change the speed, Tab shows the truth or the same
moves dreamt again beside it, F1 lists all keys.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from worldsim.arguments import parse_count

if TYPE_CHECKING:
    import gymnasium

    from worldsim.runtime.core.playable_env import PlayableEnv
    from worldsim.runtime.recording.recording import Recording


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line as options."""
    parser = argparse.ArgumentParser(description="Show a recording again, or verify it.")
    add = parser.add_argument
    add(
        "recording",
        type=Path,
        nargs="?",
        metavar="DIR",
        help="a recording's folder or its name, a folder of recordings (by default that of play), "
        "or a left-over .journal",
    )
    add("--verify", action="store_true", help="make the frames again and compare; status 0 or 1")
    add(
        "--export",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help=".gif, .webp, .mp4, .png (a contact sheet) or .html; may be given several times",
    )
    add(
        "--world",
        metavar="NAME_OR_PATH",
        help="where the world is now, if it was moved; or another world to dream it again in",
    )
    add("--env", metavar="ID", help="to verify what was played in an environment of your own")
    add("--device", help="where the network runs; by default where it ran")
    add("--fps", type=float, help="frames a second; 0 for as fast as possible")
    add("--zoom", type=parse_count, metavar="N", help="screen pixels a pixel")
    add("--keys", metavar="YAML", help="your own keys, as for playing")
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
    from worldsim.runtime.recording.recording import read_recording

    folder, all_of_them = _find_recordings(locate(options.recording))
    if all_of_them and options.headless and not (options.verify or options.export):
        print("\n".join(describe(read_recording(path)) for path in all_of_them))
        return 0
    recording = read_recording(folder)
    if options.export:
        from worldsim.runtime.recording.export import export

        for path in options.export:
            export(recording, path, options.zoom)
            print(f"exported: {path}")
        if not options.verify:
            return 0
    if options.verify:
        return _verify(recording, options)
    if options.headless:
        print(describe(recording))
        return 0
    _show(recording, folder, options)
    return 0


def locate(given: Path | None) -> Path:
    """A recording, or a folder of some: as given, or by its name where play keeps them."""
    if given is not None and (given.exists() or len(given.parts) > 1):
        return given
    from worldsim.runtime.core.settings import read_settings
    from worldsim.runtime.core.user_folder import recordings_folder

    settings = read_settings()
    kept = recordings_folder(settings.recordings, settings.folder)
    if given is None:
        return kept
    return kept / given if (kept / given).exists() else given


def _find_recordings(folder: Path) -> tuple[Path, list[Path]]:
    """The recording that is meant, and all of them where a folder of recordings was given."""
    from worldsim.runtime.recording.recording import META, list_recordings

    if not folder.is_dir() or (folder / META).is_file():
        return folder, []
    found = list(list_recordings(folder))
    return (found[-1] if found else folder), found


def describe(recording: "Recording") -> str:
    """What a recording holds, in one line."""
    frames, height, width, _ = recording.episode.frames.shape
    begun = len(recording.point.lead_in)
    after = f", begun {begun} moves after it" if begun else ""
    return (
        f"{recording.name}: {frames} frames of {width}x{height} in {recording.identity}, "
        f"seed {recording.point.start.seed}{after}, {recording.fps:g} fps"
    )


def find_first_difference(recording: "Recording", place: "PlayableEnv") -> int | None:
    """Make a recording again in a place.

    Returns:
        The number of the first frame that differs; None where every pixel is equal.

    Raises:
        ValueError: it is another world.
    """
    from worldsim.runtime.recording.recording import hash_frame

    if not place.identity.is_same_world(recording.identity):
        raise ValueError(f"this was recorded in {recording.identity}, and not in {place.identity}.")
    frames, hashes = recording.episode.frames, recording.hashes
    frame = place.reset(recording.point.start).frame
    for move in recording.point.moves:
        frame = place.step(move).frame
    for number, (kept, digest) in enumerate(zip(frames, hashes, strict=True)):
        if number:
            frame = place.step(recording.moves[number - 1]).frame
        if not (frame == kept).all() or hash_frame(kept) != digest:
            return number
    return None


def _verify(recording: "Recording", options: argparse.Namespace) -> int:
    from worldsim.runtime.core.playable_env import PlayableEnv

    identity = recording.identity
    kwargs = dict(identity.kwargs)
    kwargs |= {
        name: getattr(options, name) for name in ("world", "device") if getattr(options, name)
    }
    env = _make_environment(recording, options.env, kwargs)
    if recording.threads and "torch" in sys.modules:  # sums depend on who adds what first
        sys.modules["torch"].set_num_threads(recording.threads)
    try:
        different = find_first_difference(
            recording, PlayableEnv(env, identity.environment, identity.kwargs)
        )
    finally:
        env.close()
    verdict = "all equal" if different is None else f"first difference at frame {different}"
    print(f"{len(recording.episode.frames)} frames, {verdict}")
    return 0 if different is None else 1


def _make_environment(recording: "Recording", own: str | None, kwargs: dict) -> "gymnasium.Env":
    """What it was recorded in. Only who sits here may choose another package's environment."""
    from worldsim.registration import make_named

    named = recording.identity.environment
    if own is None:
        return make_named(named, f"the recording {recording.name}", kwargs)
    import gymnasium

    if own != named:
        raise ValueError(f"--env {own}: {recording.name} was recorded in {named}.")
    try:
        return gymnasium.make(own, disable_env_checker=True, **kwargs)
    except (gymnasium.error.Error, ImportError, TypeError) as error:
        raise ValueError(f"--env {own}: {error}") from error


def _show(recording: "Recording", folder: Path, options: argparse.Namespace) -> None:
    from worldsim.runtime.core.bindings import Bindings, read_bindings
    from worldsim.runtime.core.control import Latch
    from worldsim.runtime.core.intents import REPLAY_INTENTS
    from worldsim.runtime.core.settings import read_settings
    from worldsim.runtime.core.user_folder import SHARES, kept_folder
    from worldsim.runtime.panels.comparison import ComparisonPanel
    from worldsim.runtime.recording.recording_env import Projector, RecordingEnv
    from worldsim.runtime.session.command_queue import Keys
    from worldsim.runtime.session.loading import LoadedWorld
    from worldsim.runtime.session.session import Session
    from worldsim.runtime.window.window import Window

    bindings = Bindings(intents=REPLAY_INTENTS)
    if options.keys:  # a recording has no actions, so what was chosen for them does not matter
        intents = read_bindings(options.keys, REPLAY_INTENTS).intents
        bindings = Bindings(intents=intents, source=options.keys)
    recording_env = RecordingEnv(recording, folder)
    height, width, _ = recording.episode.frames.shape[1:]
    settings = read_settings()
    window = Window(
        recording.name,
        (width, height),
        zoom=options.zoom,
        shares=kept_folder(settings.folder) / SHARES,
        settings=settings,
    )
    opening = LoadedWorld(recording_env, bindings, title=recording.name)
    seed = recording.point.start.seed
    session = Session(opening, Projector(recording_env), seed=seed, fps=options.fps, sinks=[window])
    session.comparisons = ComparisonPanel(recording, options.world, options.device)
    with session.command_queue.stop_on_signals():
        window.run(session.run, Keys(opening, Latch(), session.command_queue))
