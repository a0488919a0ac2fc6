"""The one command `worldsim`: finds the part a subcommand needs, runs it, reports its errors.

    worldsim play --world dmlab

Each part is named by a string and imported only when it is asked for, so `--help` is instant. It
knows no options: every part parses its own.
"""

import difflib
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from worldsim.import_check import HOME, check_names
from worldsim.reading import cut_sentence


class Command(NamedTuple):
    """A subcommand: what it is for, and the `module:function` that is called with its arguments."""

    summary: str
    target: str


COMMANDS = {
    "play": Command("open a window on a world and play it", "play:main"),
    "train": Command("train a network on recorded episodes", "train_world:main"),
    "collect": Command("record episodes of an environment", "worldsim.data.collect:main"),
    "rollout": Command(
        "play episodes without a window", "worldsim.runtime.cli.rollout_command:main"
    ),
    "data": Command("import, export, encode published data sets", "worldsim.data.command:main"),
    "evaluate": Command("compare a world's dreams with the truth", "worldsim.evaluate.report:main"),
    "compare": Command(
        "hold worlds or settings against each other", "worldsim.evaluate.compare.command:main"
    ),
    "bench": Command("measure how fast a world runs here", "worldsim.evaluate.bench.command:main"),
    "replay": Command("play a recording again, or verify it", "worldsim.runtime.cli.replay:main"),
    "export": Command("make a world playable without torch", "models.export.command:main"),
    "page": Command("make a page that plays a world", "models.export.page_command:main"),
    "serve": Command("let players in browsers play a world", "worldsim.serve.command:main"),
    "zoo": Command("list worlds, fetch released ones", "models.zoo.command:main"),
    "publish": Command(
        "write a world's model card, upload it to the hub", "models.zoo.publish:main"
    ),
    "convert": Command("import published FAR models, check agreement", "models.zoo.convert:main"),
    "doctor": Command("check that this machine has what is needed", "worldsim.doctor:main"),
}
OURS = ("worldsim", "models", "envs", "play.py", "train_world.py")
USER_ERROR = 2  # the exit status argparse uses too
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    name, *arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("-h", "--help", "help"):
        return run(_print_usage, arguments)
    if name == "--version":
        return run(_print_version, arguments)
    if name not in COMMANDS:
        print(f"worldsim: {_unknown(name)}", file=sys.stderr)
        return USER_ERROR
    # Parsers that name no program of their own take it from here.
    sys.argv = [f"worldsim {name}", *arguments]
    return run(_load_command(name), arguments)


def run(function: Callable[[list[str]], int | None], arguments: Sequence[str]) -> int:
    """Call a command's function; an error of the user's becomes one sentence, not a traceback.

    Looks first whether the names `models` and `envs` lead to this project.

    Args:
        function: takes the arguments, returns an exit status or None.
        arguments: the command line after the command's name.

    Returns:
        The exit status.
    """
    _print_anything()
    try:
        check_names()
        status = _call(function, list(arguments))
        if sys.stdout is not None:
            sys.stdout.flush()  # a closed pipe shows here, while it can be handled
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `worldsim ... | head` is no error
        _abandon_output()
        return 0
    except Exception as error:
        if not _is_users(error):
            raise
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _abandon_output()  # what is left in its buffer would fail again at the exit
        print(f"worldsim: {cut_sentence(' '.join(str(error).split()))}", file=sys.stderr)
        return USER_ERROR


def _print_anything() -> None:
    """Let what the terminal cannot show, such as a file's name in other bytes, be shown escaped."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _abandon_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _call(function: Callable[[list[str]], int | None], arguments: list[str]) -> int:
    try:
        return function(arguments) or 0
    except SystemExit as leave:  # argparse leaves this way
        if leave.code is None or isinstance(leave.code, int):
            return leave.code or 0
        print(leave.code, file=sys.stderr)
        return 1


def _load_command(name: str) -> Callable[[list[str]], int | None]:
    module, _, function = COMMANDS[name].target.partition(":")

    def load_and_call(arguments: list[str]) -> int | None:
        return getattr(importlib.import_module(module), function)(arguments)

    return load_and_call


def _is_users(error: Exception) -> bool:
    """Whether a user can mend it: refused by our own code, or by the file system for a path."""
    if isinstance(error, OSError):
        return error.filename is not None or error.errno == errno.ENOSPC
    if isinstance(error, ImportError):
        return (error.name or "").partition(".")[0] not in OURS
    gymnasium = sys.modules.get("gymnasium")
    if gymnasium is not None and isinstance(error, gymnasium.error.UnregisteredEnv):
        return True
    # A ValueError that leaves a library is a fault of ours, and its traceback is needed.
    return isinstance(error, ValueError) and _is_ours(
        traceback.extract_tb(error.__traceback__)[-1].filename
    )


def _is_ours(filename: str) -> bool:
    # Installed, other packages lie beside ours; in a checkout, a virtual environment may.
    path = Path(filename).resolve()
    return path.is_relative_to(HOME) and path.relative_to(HOME).parts[0] in OURS


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(COMMANDS)}."
    return f"no command {name!r}; {hint}"


def _print_usage(arguments: list[str]) -> None:
    print("usage: worldsim COMMAND [options]\n\ncommands:")
    for name, command in COMMANDS.items():
        print(f"  {name:<10}{command.summary}")
    print("\n`worldsim COMMAND --help` lists a command's options.")


def _print_version(arguments: list[str]) -> None:
    from worldsim import __version__

    print(f"worldsim {__version__}")
