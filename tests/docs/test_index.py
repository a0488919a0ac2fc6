"""The site of the documentation, and what stands beside the code: complete, and of one version.
CI builds the site itself (.ci/run).
"""

import re
import tomllib
from pathlib import Path

import yaml

from worldsim.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def leaves(item):
    """The pages of a navigation."""
    if isinstance(item, str):
        return [item]
    rows = item.values() if isinstance(item, dict) else item
    return [page for row in rows for page in leaves(row)]


def test_every_page_is_in_the_navigation_once():
    pages = leaves(SITE["nav"])
    excluded = SITE["exclude_docs"].split()
    there = {path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")}
    assert sorted(pages) == sorted(there - set(excluded))


def test_what_the_reference_names_is_there():
    """A renamed function must not leave the reference behind: the site is not built here."""
    text = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    names = re.findall(r"^::: ([\w.]+)\.(\w+)$", text, re.MULTILINE)
    assert len(names) > 8
    for module, name in names:
        source = ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
        assert re.search(rf"^(class|def) {name}\b", source, re.MULTILINE), f"{module}.{name}"


def test_the_tutorials_name_real_commands():
    for page in [*ROOT.glob("docs/tutorials/*.md"), ROOT / "docs/zoo.md", ROOT / "docs/index.md"]:
        for name in re.findall(r"^worldsim (\w+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            assert name in COMMANDS, f"{page.name}: {name}"


def test_citation_and_changelog_are_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert citation["title"] == PROJECT["name"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+?),? ", changes, re.MULTILINE)[1].strip(",") == PROJECT["version"]


def test_workflows_and_issue_forms_are_read_by_github():
    """What GitHub asks of them, and that a release uses extras and commands that exist."""
    for path in ROOT.glob(".github/ISSUE_TEMPLATE/*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.name != "config.yml":
            assert {"name", "description", "body"} <= set(form)
            assert all(row["attributes"]["label"] for row in form["body"])
    release = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))
    runs = "\n".join(step.get("run", "") for step in release["jobs"]["release"]["steps"])
    for extras in re.findall(r"-e '\.\[([\w,]+)\]'", runs):
        assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    assert set(re.findall(r"^worldsim (\w+)", runs, re.MULTILINE)) == {"page"}
    assert "mkdocs build --strict" in runs
