"""Commands run in a test, and what they printed: lines to read, and JSON in the last one."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from worldsim.cli import main as cli


class Told(NamedTuple):
    """A command's exit status, the lines it printed, and the last of them as JSON."""

    status: int
    lines: list[str]
    report: dict[str, Any]


def told(capsys, command: Callable[[list[str]], int], *arguments: str) -> Told:
    """Run a command that prints its report last."""
    capsys.readouterr()
    status = command([*arguments])
    lines = capsys.readouterr().out.splitlines()
    return Told(status, lines, json.loads(lines[-1]))


def refused(capsys, *arguments: str) -> str:
    """Run `worldsim ARGUMENTS`, which is the user's mistake; the sentence that it says."""
    capsys.readouterr()
    assert cli([*arguments]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said
