"""A page that is served on loopback, and a browser's tab, for all tests of the page."""

import os
from pathlib import Path

import pytest

from models.export.page import build_page
from models.onnx_runtime.world import load_world
from tests.support.devtools import find_chromium, open_browser, serve
from tests.support.pages import SEED, open_page, told

LIBRARY = Path(__file__).resolve().parents[3] / "node_modules" / "onnxruntime-web"


def lacking(what):
    if os.environ.get("CI"):
        pytest.fail(f"{what}; CI must have it")
    pytest.skip(what)


@pytest.fixture(scope="session")
def site(exported_world, tmp_path_factory):
    """The folder that is served; the page lies in a folder of it, as on a host for many pages."""
    if not LIBRARY.is_dir():
        lacking("no onnxruntime-web: npm install")
    folder = tmp_path_factory.mktemp("site")
    build_page(exported_world, folder / "some" / "page", "float32", 2, LIBRARY, lambda _: None)
    return folder


@pytest.fixture(scope="session")
def address(site):
    with serve(site) as host:
        yield f"{host}/some/page/"


@pytest.fixture(scope="session")
def tab(tmp_path_factory):
    if find_chromium() is None:
        lacking("no chromium: install it")
    with open_browser(tmp_path_factory.mktemp("browser") / "profile") as tab:
        yield tab


@pytest.fixture
def page(tab, address):
    """The page, ready to be played."""
    assert open_page(tab, f"{address}#start=0&seed={SEED}&moves=02") == "ready", told(tab)
    return tab


@pytest.fixture(scope="session")
def world(exported_world):
    return load_world(exported_world)
