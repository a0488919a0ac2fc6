"""docs/agents.md and its tutorial: their Python runs, commands and options are real."""

import re
import shlex
from pathlib import Path

import pytest

from worldsim.data.command import parser as data_parser
from worldsim.runtime.cli.rollout_command import _build_parser

DOCS = Path(__file__).resolve().parents[2] / "docs"


def blocks(language, page="agents.md"):
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("code", blocks("python") + blocks("python", "tutorials/agents.md"))
def test_its_python_runs(code, bundled_world, request):
    if "Paired-v0" in code:
        request.getfixturevalue("engine")
    if "envs.sb3_vec_env" in code or "envs.torchrl_env" in code:
        request.getfixturevalue("agents")
    exec(compile(code, "agents.md", "exec"), {"__name__": "agents"})


def test_its_rollouts_are_real():
    """A renamed option must not leave the page behind."""
    (block,) = blocks("bash")
    parsers = {"rollout": _build_parser, "data": data_parser}
    for line in block.splitlines():
        program, command, *options = shlex.split(line)
        assert program == "worldsim"
        parsers[command]().parse_args(options)
