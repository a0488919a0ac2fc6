"""The README: its Python runs, its commands and links exist."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from worldsim.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]


def blocks(language, page="README.md"):
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("code", blocks("python"))
def test_its_python_runs(code, bundled_world):
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


def commands(page):
    for block in blocks("bash", page):
        for line in re.split(r"\n|&&", block):
            words = shlex.split(line, comments=True)
            if words:
                yield words


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_its_commands_exist(page):
    found = list(commands(page))
    assert found
    for words in found:
        if words[0] == "worldsim":
            assert words[1] in COMMANDS
        if words[0] == "python" and words[1].endswith(".py"):
            assert all(
                (ROOT / word).is_file() for word in words[1:] if word.endswith((".py", ".yaml"))
            )


def test_the_workflow_builds_the_page_as_the_docs_say():
    """The same commands, in the same order, and nothing that is no command of ours."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/page.yml").read_text(encoding="utf-8"))
    steps = [step["run"] for step in workflow["jobs"]["page"]["steps"] if "run" in step]
    told = [" ".join(words) for words in commands("docs/anywhere.md")]
    pages = [line for line in told if line.startswith("worldsim page")]
    assert len(pages) == 2
    assert steps[-2:] == pages
    assert steps[-3].startswith("npm install")
    assert "[export]" in steps[-4]


def test_the_options_of_its_collecting_are_real():
    """A renamed option must not leave the README behind."""
    from worldsim.data.collect import _build_parser

    collecting = [words for words in commands("README.md") if words[:2] == ["worldsim", "collect"]]
    assert collecting
    for words in collecting:
        _build_parser().parse_args(words[2:])


def test_it_lists_every_key_of_the_window():
    from worldsim.runtime.core.intents import INTENTS, format_keys

    rows = [line.split("|")[1] for line in README.splitlines() if line.startswith("| ")]
    listed = {word.strip(",") or word for row in rows for word in row.split()}
    for intent in INTENTS:
        for key in format_keys(intent).split():
            assert key in listed, f"{key} for {intent.name}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)\)", text):
        if not target.startswith("https://"):
            assert (ROOT / page).parent.joinpath(target).exists(), target
