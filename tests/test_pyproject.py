"""What an installed wheel says needs no checkout, and what a package index shows of it works there.
Building and installing is .ci/check_packages.
"""

import ast
import re
import tomllib
from pathlib import Path

import pytest

import train_world
from tests.support.commands import refused
from worldsim.cli import main as cli

ROOT = Path(__file__).resolve().parents[1]
CODE = [
    path
    for place in ("worldsim", "models", "envs", "play.py", "train_world.py")
    for path in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
]
NEEDS_A_CHECKOUT = re.compile(
    r"docs/|examples/|assets/configs/|assets/worlds|pip install -e|pip install \.|python play\.py"
    r"|train_world\.py|CONTRIBUTING|README|\b[a-z_]+/[a-z_/]+\.py\b|of the source"
)


def sayings(text):
    """The texts in Python code that are not its documentation."""
    tree = ast.parse(text)
    told = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


def test_no_advice_needs_a_checkout():
    """`pip install -e`, docs/ and assets/configs/ are not where a wheel was installed."""
    assert len(CODE) > 100
    found = {
        (path.relative_to(ROOT).as_posix(), text.strip())
        for path in CODE
        for text in sayings(path.read_text(encoding="utf-8"))
        if " " in text and NEEDS_A_CHECKOUT.search(text)
    }
    assert not found


def test_the_advice_is_searched_for():
    assert NEEDS_A_CHECKOUT.search("see docs/published.md")
    assert list(sayings('"""Says docs/b."""\nprint("see docs/a.md")\n')) == ["see docs/a.md"]


def test_the_page_of_the_index_leads_nowhere_in_a_checkout():
    """An index shows it alone: relative pictures and links are broken there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (ROOT / project["readme"]).read_text(encoding="utf-8")
    assert page.startswith("# worldsim")
    links = re.findall(r"\]\(([^)]*)\)|src=\"([^\"]*)\"", page)
    assert all(one.startswith("https://") for pair in links for one in pair if one)
    assert "pip install worldsim" in page
    assert "-e " not in page


@pytest.mark.parametrize("name", train_world.config_names())
def test_every_configuration_is_found_by_its_name(name):
    assert Path(train_world.find_config(name)).is_file()
    assert Path(train_world.find_config(name.rpartition("/")[2])).is_file()


def test_a_wrong_name_gets_the_nearest(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "did you mean dmlab?" in refused(capsys, "train", "dmlabb")
    assert cli(["train", "--help"]) == 0
