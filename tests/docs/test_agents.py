"""docs/agents.md: its Python runs, its commands and options are real."""

import re
import shlex
from pathlib import Path

import pytest

from worldsim.runtime.cli.rollout_command import _build_parser

PAGE = Path(__file__).resolve().parents[2] / "docs" / "agents.md"


def blocks(language):
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("code", blocks("python"))
def test_its_python_runs(code, bundled_world):
    exec(compile(code, "agents.md", "exec"), {"__name__": "agents"})


def test_its_rollouts_are_real():
    """A renamed option must not leave the page behind."""
    (block,) = blocks("bash")
    for line in block.splitlines():
        words = shlex.split(line)
        assert words[:2] == ["worldsim", "rollout"]
        _build_parser().parse_args(words[2:])
