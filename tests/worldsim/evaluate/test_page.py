"""A report's page in a real browser: it opens without an error, and counts blind choices."""

import json
import re
from urllib.parse import unquote

import numpy as np
import pytest

from tests.support.browser import check_page, open_page
from worldsim.evaluate.page.document import Film, Scene, films, table, write_page

pytestmark = pytest.mark.usefixtures("browser")
# Three pairs in each of two scenes, six choices; the last key comes when nothing is left.
CHOOSE = """
document.querySelector("#blind").click();
const names = [...document.querySelectorAll("figcaption")].map(one => one.textContent);
document.body.dataset.hidden = document.body.classList.contains("blind") && names.join();
document.querySelector("#choose button[value='0']").click();
for (const key of "201201") dispatchEvent(new KeyboardEvent("keydown", {key}));
"""


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(0)

    def film(name, choice=True):
        return Film(name, rng.integers(0, 256, (4, 16, 16, 3)).astype(np.uint8), choice)

    scenes = [
        Scene(title, [film("truth", False), film("a <b>"), film("b"), film("c")])
        for title in ("one", "two")
    ]
    parts = {"Figures": table(["who"], [["a"]]), "Films": films(scenes, 7.5)}
    write_page(tmp_path / "page.html", "A page", "of films", parts)
    return tmp_path / "page.html"


def test_an_error_in_a_page_is_noticed(path):
    check_page(path)
    assert "Uncaught TypeError" in open_page(path, "null.nothing")[1][0]


def test_blind_choices_hide_names_and_are_counted(path):
    page, said = open_page(path, CHOOSE)
    assert said == []
    assert 'data-hidden="left,right"' in page
    link = re.search(r'href="data:application/json,([^"]*)"', page)[1]
    choices = json.loads(unquote(link.replace("&amp;", "&")))
    assert len(choices) == 6
    assert [choice["better"] is None for choice in choices].count(True) == 2
    pairs = [tuple(sorted(choice["of"])) for choice in choices]
    expected = [("a <b>", "b"), ("a <b>", "c"), ("b", "c")]
    assert sorted(pairs) == sorted(expected * 2)  # each pair of each scene once
    rows = re.findall(r"<tr><td>(.*?)</td><td>(\d+)</td><td>(\d+)</td><td>(\d+)</td></tr>", page)
    assert sorted(row[0] for row in rows) == ["a &lt;b&gt;", "b", "c"]
    for name, better, worse, same in rows:
        mine = [choice for choice in choices if name.replace("&lt;b&gt;", "<b>") in choice["of"]]
        wins = [choice["better"] for choice in mine].count(name.replace("&lt;b&gt;", "<b>"))
        ties = [choice["better"] for choice in mine].count(None)
        assert (int(better), int(same)) == (wins, ties)
        assert int(worse) == len(mine) - wins - ties
