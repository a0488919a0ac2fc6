"""Opens a page in a browser without a window, and gives what became of it."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.support.players import SECONDS

NAMES = ("chromium", "chromium-browser", "google-chrome")
CONSOLE = re.compile(r"CONSOLE:\d+\] (.*)")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--enable-logging=stderr", "--virtual-time-budget=4000", "--dump-dom"),
)


def find_browser():
    """The path of a browser, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def open_page(path, script=""):
    """Open a page.

    Args:
        path: of the HTML file.
        script: JavaScript that is run after the page's own.

    Returns:
        The page's elements afterwards as HTML, and what was written to the console.
    """
    with tempfile.TemporaryDirectory(prefix="worldsim-browser-") as folder:
        opened = Path(folder) / "page.html"
        text = Path(path).read_text(encoding="utf-8")
        end = text.rindex("</body>")
        opened.write_text(f"{text[:end]}<script>{script}</script>{text[end:]}", encoding="utf-8")
        done = subprocess.run(
            [find_browser(), *OPTIONS, f"--user-data-dir={folder}/user", opened.as_uri()],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout, CONSOLE.findall(done.stderr)


def check_page(path):
    """A page opens, its films are drawn, and its console stays empty."""
    page, said = open_page(path)
    assert said == []
    if 'id="scenes"' in page:
        assert re.search(r'<span id="at">frame \d+ of \d+</span>', page)
        assert "<canvas" in page
