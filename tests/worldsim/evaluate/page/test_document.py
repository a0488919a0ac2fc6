"""A page holds everything: well-formed, nothing fetched, films that decode to their frames."""

import base64
import json
import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from worldsim.evaluate.page.document import Film, Scene, films, picture, table, write_page
from worldsim.evaluate.page.svg import Series, curves, ticks

VOID = {"meta", "img", "input", "br"}


class Balance(HTMLParser):
    """Sees to it that every element is closed, and keeps what the page refers to."""

    def __init__(self):
        super().__init__()
        self.open, self.sources = [], []

    def handle_starttag(self, tag, attributes):
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def frames(seed, count=5):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 4, 4, 3)).astype(np.uint8)
    return small.repeat(4, axis=1).repeat(4, axis=2)


def test_a_page_is_whole_and_fetches_nothing(tmp_path):
    truth, dream = frames(0), frames(1)
    scene = Scene("one", [Film("truth", truth, choice=False), Film("a </script> b", dream)])
    parts = {
        "Figures": table(["<who>", "dB"], [["a & b", 1.23456], ["none", None]]),
        "Curves": curves("PSNR", "frames", [Series("a<b", [1, 2], [3.0, 4], [2.0, 3], [4.0, 5])]),
        "Films": films([scene], 7.5),
        "Sheet": picture("sheet", dream[0]),
    }
    write_page(tmp_path / "page.html", "A <page>", "of figures", parts)
    text = (tmp_path / "page.html").read_text()
    parser = Balance()
    parser.feed(text)
    assert parser.open == []
    assert all(source.startswith("data:") for source in parser.sources)
    assert not re.search(r"https?://|@import|url\(", text)
    assert "a &amp; b" in text
    assert "1.235" in text
    assert text.count("</script>") == 2


def test_a_film_decodes_to_its_frames():
    dream = frames(1, count=7)
    text = films([Scene("one", [Film("a", dream)])], 7.5)
    data = json.loads(re.search(r'json">(.*)</script>', text)[1])
    film = data["scenes"][0]["films"][0]
    assert (film["count"], film["columns"], film["size"]) == (7, 3, [16, 16])
    sheet = cv2.imdecode(np.frombuffer(base64.b64decode(film["data"]), np.uint8), 1)[..., ::-1]
    for number, frame in enumerate(dream):
        down, across = divmod(number, 3)
        found = sheet[16 * down : 16 * down + 16, 16 * across : 16 * across + 16]
        assert abs(found.astype(int) - frame).mean() < 25


def test_curves_are_drawn_where_their_numbers_are():
    """The highest number is highest; what is not finite is left out."""
    series = [Series("a", [0, 1, 2], [1.0, 5.0, math.nan]), Series("b", [0, 2], [0.0, 1.0])]
    text = curves("t", "x", series)
    svg = ElementTree.fromstring(re.search(r"<svg.*</svg>", text)[0])
    lines = [
        [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        for line in svg.iter("polyline")
    ]
    assert [len(line) for line in lines] == [2, 2]
    assert lines[0][1][1] < lines[0][0][1] == lines[1][1][1] < lines[1][0][1]
    assert lines[0][0][0] == lines[1][0][0] < lines[0][1][0] < lines[1][1][0]
    curves("nothing", "x", [Series("a", [], [])])


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 60), (0.001, 0.0042), (1, 156)])
def test_ticks_are_few_and_round(low, high):
    found = ticks(low, high)
    assert 2 <= len(found) <= 7
    assert low <= found[0] < found[-1] <= high
    assert all(len(f"{value:g}") <= 7 for value in found)
