"""What a window draws, read back from pixels that no display shows."""

import os
import subprocess
import sys

import pytest

from tests.support.players import ROOT, SECONDS

DRAWN = """
import numpy as np
from worldsim.runtime.core.pane_layout import Pane, Rect, Strip, along
from worldsim.runtime.core.status import Status
from worldsim.runtime.window.compose import Around, compose
from worldsim.runtime.window.screen import Screen, pygame, spans

def pixels():
    return pygame.surfarray.array3d(screen._surface).swapaxes(0, 1)

screen = Screen("a", (16, 16), 40)
white = np.full((16, 16, 3), 255, np.uint8)
"""


def drawn(code):
    """Run lines after DRAWN on SDL's display without a screen."""
    env = os.environ | {"SDL_VIDEODRIVER": "dummy", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", DRAWN + code], env=env, capture_output=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr.decode()


def test_the_title_of_a_choice_hides_no_picture():
    """It was written over the thumbnails' names."""
    drawn("""
panes = tuple(Pane(white, "") for _ in range(4))
told = Status(state="choosing", panes=panes, note="Pick a start, and walk on. " * 9)
compose(screen, None, told, Around(), 0.0)
columns = (pixels() == 255).all(-1).mean(axis=1)
first = int((columns > 0.6).argmax())
assert (columns[first : first + 16] > 0.6).all() and not (columns[:first] > 0.6).any()
""")


def test_a_group_of_thumbnails_keeps_its_name_to_itself():
    drawn("""
panes = tuple(Pane(white // 4, name) for name in ("recent_coarse", *["window"] * 9))
room = screen.room()
cells = along(10, room, screen.line)
widths = spans(panes, cells)
assert widths[0] == cells[0].width and widths[1] == sum(
    cell.width for cell in cells[1:] if cell.y == cells[1].y
)
screen.clear()
screen.strip(Strip(panes[:1] + tuple(Pane(white // 4, "") for _ in range(9))), room)
top = pixels()[: cells[0].y]
assert (top > 90).any() and not (top[:, cells[1].x + 1 :] > 90).any()
""")


def test_a_frame_whose_picture_is_gone_is_seen_to_be_remembered():
    drawn("""
screen.clear()
screen.strip(Strip((Pane(None, "keyframes"),)), screen.room())
cell = along(1, screen.room(), screen.line)[0]
assert pixels()[cell.y + 2 :, cell.x + 2 : cell.x + cell.width - 2].any()
""")


def test_the_picture_has_its_room_to_itself():
    """Seven lines of figures covered a quarter of it."""
    drawn("""
from worldsim.actions import load_actions
from worldsim.runtime.core.intents import build_key_hints
pygame.display.quit()
screen = Screen("a", (16, 16), 40, footed=True)
hints = build_key_hints(load_actions("dmlab"))
compose(screen, white, Status(title="A maze"), Around("A maze", hints), 0.0)
assert (pixels()[:640] == 255).all()
assert pixels()[640:].shape[0] == screen.foot
words, caps = pixels()[640 + screen.foot // 2 :], pixels()[640 : 640 + screen.foot // 2]
assert (words == 255).all(-1).any() and (caps == 255).all(-1).any()
""")


def test_hints_that_have_no_room_are_nowhere():
    """Where each went is where it can be clicked on."""
    drawn("""
from worldsim.runtime.core.intents import Hint
from worldsim.runtime.core.pane_layout import NOWHERE, Rect
hints = [Hint("A", "word " * length, "a") for length in (3, 5, 90, 2)]
placed = compose(screen, white, Status(), Around("a maze", hints), 0.0)
first, second, third, last = placed.hints
assert third == NOWHERE and 0 < first.x + first.width < second.x and last.x > 500
foot = 640 - screen.foot
assert all(foot <= cell.y and cell.y + cell.height <= 640 for cell in (first, second, last))
long = Status(note="a note that is long " * 9)
assert compose(screen, white, long, Around("a maze", hints), 0.0).hints == []
""")


def test_among_pictures_the_newest_frame_is_where_a_click_walks():
    drawn("""
red = white // (1, 9, 9)
panes = Pane(white // 2, "truth"), Pane(red.astype(np.uint8), "dream", newest=True), Pane(None, "")
picture, _, beside, *_ = compose(screen, white, Status(panes=panes), Around(), 0.0)
shown = pixels()[picture.y + 40 : picture.y + picture.height, picture.x :][:, : picture.width]
assert (shown == (255, 28, 28)).all() and len(beside) == 2
assert (pixels()[beside[0].y + 40, beside[0].x + 40] == 127).all()
choosing = Status(state="choosing", panes=panes)
assert compose(screen, white, choosing, Around(), 0.0) == (None, [], [], [], [
    Rect(0, 0, 320, 320), Rect(320, 0, 320, 320), Rect(0, 320, 320, 320)
])
""")


def test_the_side_panel_stands_beside_the_picture():
    drawn("""
trends = [("ms a frame", (5.0, 9.0, 7.0))]
around = Around("A maze", (), ["frame 7"] * 7, trends)
compose(screen, white, Status(), around, 0.0)
shown = (pixels() == 255).all(-1)
rows, columns = shown.mean(1), shown.mean(0)
picture = shown[:, : 640 - 640 // 3]
assert picture.any(0).sum() == picture.any(1)[: 640 - screen.foot].sum() == 416
assert (pixels() == (86, 180, 233)).all(-1).sum() > 20
""")


def test_a_toast_stands_below_the_picture():
    """A line over the picture hid what it was about."""
    drawn("""
pygame.display.quit()
screen = Screen("a", (16, 16), 40, footed=True)
for note in ("Saved.", "A very long sentence about what was saved. " * 4):
    compose(screen, white, Status(title="A maze", note=note), Around("A maze"), 0.0)
    assert (pixels()[:640] == 255).all(), note
    assert (pixels()[640:] == 255).all(-1).any(), note
""")


def test_a_screenshot_is_what_was_drawn(tmp_path):
    drawn(f"""
import cv2
from pathlib import Path
path = Path({str(tmp_path)!r}) / "new" / "a.png"
compose(screen, white // 2, Status(), Around(), 0.0)
screen.save(path)
assert (cv2.imread(str(path))[..., ::-1] == pixels()).all()
try:
    screen.save(Path("/proc/no/a.png"))
except OSError:
    pass
else:
    raise AssertionError
""")


def test_a_long_meaning_stays_in_its_column_and_the_help_has_the_window_to_itself():
    """Where an engine was missing, what to install ran out of the window."""
    drawn("""
rows = ["A\\tturn left", "Backspace\\t" + "long words about it " * 9]
compose(screen, white, Status(), Around("A maze", helped=rows), 0.0)
shown = (pixels() > 60).all(-1)
assert shown.any() and not shown[:, -8:].any() and not shown[-40:].any()
left = pygame.font.Font.size(screen._font, "Backspace")[0]
below = shown[2 * screen.line + 8 : 4 * screen.line]
assert below.any() and not below[:, :left].any()
""")


def test_the_help_of_a_small_window_has_pages():
    """At 320 pixels its lower half was cut off."""
    drawn("""
from worldsim.runtime.core.status import format_help
from worldsim.actions import load_actions
lines = format_help(load_actions("dmlab"))
small = Rect(0, 0, 320, 320)
pages = screen.split_pages(lines, small, "F1")
assert len(pages) > 1 and [line for page in pages for line in page[:-1]] == lines
assert pages[1][-1] == f"F1: more (2 of {len(pages)})"
for page in pages:
    screen.clear()
    assert screen.text(page, small) <= 320
    assert (pixels()[320:, :320] == 0).all()
assert screen.split_pages(lines, Rect(0, 0, 1280, 1280), "F1") == [lines]
""")


def test_the_settings_of_a_small_window_keep_what_is_marked_in_view():
    """At 320 pixels the last rows were below the window's edge."""
    drawn("""
from worldsim.runtime.core.settings import LANGUAGES, Settings
from worldsim.runtime.core.settings_page import SettingsPage
for room in (Rect(0, 0, 256, 256), Rect(0, 0, 320, 372), Rect(0, 0, 1280, 1280)):
    for language in LANGUAGES[1:]:
        screen.apply(Settings(language=language))
        page = SettingsPage(["dmlab", "minecraft"])
        for _ in range(12):
            lines, at = page.lines(), page.marked_line
            assert lines[at].startswith("> ")
            kept = screen.keep_in_view(lines, room, at)
            assert {lines[at], lines[at + 1]} <= set(kept) and (room.width < 400 or kept == lines)
            screen.clear()
            assert screen.text(kept, room) <= room.height
            assert (pixels()[room.height :, : room.width] == 0).all()
            page.press("down")
        page._trouble = "Wrong."
        assert screen.keep_in_view(page.lines(), room, page.marked_line)[-1] == "Wrong."
""")


def test_every_language_can_be_drawn_and_its_help_is_no_wider_than_the_window():
    """In the usual window no meaning is broken, with a gamepad's controls beside it or without; and
    the keys that move, go back, show the truth, lead to other worlds and help stay in the line
    below the picture.
    """
    drawn("""
from pathlib import Path
from worldsim.actions import load_actions
from worldsim.runtime.core.intents import INTENTS, REPLAY_INTENTS, build_key_hints
from worldsim.runtime.core.language import find_words
from worldsim.runtime.core.settings import LANGUAGES, Settings
from worldsim.runtime.core.settings_page import LANGUAGE_NAMES, SettingsPage
from worldsim.runtime.core.status import format_help
from worldsim.runtime.window.screen import MARGIN, SMALLEST_FONT, _second_column, _wrap_row
from worldsim.runtime.panels.memory_strip import LEVELS
from worldsim.runtime.window.start_choice import HINTS as START_HINTS
from worldsim.world.starts import list_worlds
font, actions = screen._size_font(SMALLEST_FONT), load_actions("dmlab")

def look(letter):
    return pygame.image.tobytes(font.render(letter, True, (255, 255, 255)), "RGBA")

missing = look(chr(0x4E00))
assert look(chr(0xE123)) == missing  # the box that stands for any letter the font lacks
for language in LANGUAGES[1:]:
    words = find_words(language)
    screen.apply(Settings(language=language))
    letters = set("".join((*words.values(), *LANGUAGE_NAMES)))
    assert missing not in map(look, letters), language
    for intents, pads in ((i, p) for i in (INTENTS, REPLAY_INTENTS) for p in (False, True)):
        lines = format_help(actions, intents, pads, mouse=True)
        told = [screen._tell(line) for line in lines]
        width = screen.room().width - 3 * MARGIN
        second = _second_column(font, told, width)
        assert [row for line in told for row in _wrap_row(font, line, width, second)] == told
        assert screen.split_pages(lines, screen.room(), "F1") == [lines]
    hints = build_key_hints(actions)
    needed = [screen._keycap(*hint[:2]).get_width() + MARGIN for hint in (*hints[:6], hints[-1])]
    assert sum(needed) + MARGIN <= screen.room().width, language
    page = SettingsPage(["dmlab", "minecraft"]).lines()
    assert screen.text(page, screen.room()) < 0.6 * screen.room().height, language
    needed = [screen._keycap(*hint[:2]).get_width() + MARGIN for hint in START_HINTS]
    assert sum(needed) + MARGIN <= screen.room().width, language
    names = [name for world in list_worlds(Path("nowhere")) for name in world.names]
    for name in (*names, *LEVELS):  # below a thumbnail of the choice, above a group of the strip
        assert font.size(screen._tell(name))[0] <= screen.room().width / 4 - 8, (language, name)
""")


def test_no_curve_runs_through_its_numbers():
    """The newest value stood where a high curve runs, and the scale where each one ends."""
    drawn("""
from worldsim.runtime.core.pane_layout import Rect
mark, grid = (86, 180, 233), (110, 110, 110)
for values in ((60.0,) * 50, (20.0,) * 50, (1.0,) * 50):
    screen.clear()
    room = Rect(100, 100, 300, 200)
    screen.curve(values, room)
    curve = np.argwhere((pixels() == mark).all(-1))
    words = np.argwhere((pixels() == 255).all(-1))
    scale = np.argwhere((pixels() == grid).all(-1)[:, 400 - 2 * screen.line :])
    assert len(words) and len(scale) and curve[:, 0].min() > words[:, 0].max()
    assert curve[:, 1].max() < 400 - screen.line
    inside = np.zeros(pixels().shape[:2], bool)
    inside[100:300, 100:400] = True
    assert not pixels()[~inside].any()
screen.clear()
screen.curve((20.0,) * 50, Rect(0, 0, 100, 30))  # room for the number only
assert (pixels() == 255).all(-1).any() and not (pixels() == mark).all(-1).any()
""")


@pytest.mark.parametrize("zoom", [8, 20, 40])
def test_figures_stay_beside_the_picture_in_every_window(zoom):
    """In a small one they were written over the foot, and curves over them."""
    drawn(f"""
pygame.display.quit()
screen = Screen("a", (16, 16), {zoom}, footed=True)
foot = slice(screen.room().height - screen.foot, None)
trends = [("ms a frame", (5.0, 9.0, 7.0))] * 9
compose(screen, white, Status(), Around("A maze"), 0.0)
before = pixels()[foot].copy()
for number in (1, 9, 90):
    compose(screen, white, Status(), Around("A maze", (), ["figure by figure"] * number, trends), 0)
    assert (pixels()[foot] == before).all()
""")


def test_a_long_name_or_path_is_broken_instead_of_cut():
    drawn("""
from worldsim.runtime.core.pane_layout import Rect
from worldsim.runtime.window.screen import _wrap_line
font, path = screen._size_font(12), "/home/somebody/a folder/" + "recordings/" * 30
rows = _wrap_line(font, path, 200)
assert all(font.size(row)[0] <= 200 for row in rows) and len(rows) > 5
assert "".join(rows).replace(" ", "") == path.replace(" ", "")
screen.clear()
screen.panes((Pane(white // 255, "truth, 12 frames behind"),), [Rect(0, 0, 100, 100)])
lines = (pixels()[:96, :96] == 255).all(-1).any(1)
assert lines[:14].any() and lines[14:28].any() and not lines[50:].any()
""")


def test_a_light_window_and_a_smooth_picture():
    drawn("""
from worldsim.runtime.core.settings import Settings
checks = np.zeros((16, 16, 3), np.uint8)
checks[::2] = 255
compose(screen, checks, Status(), Around("a maze"), 0.0)
assert set(np.unique(pixels()[:300])) == {0, 255} and pixels()[-2, 2].tolist() == [24, 24, 28]
screen.apply(Settings(palette="light", upscaler="smooth"))
compose(screen, checks, Status(), Around("a maze"), 0.0)
assert len(np.unique(pixels()[:300])) > 20 and pixels()[-2, 2].tolist() == [236, 236, 232]
""")


def test_letters_can_be_read_in_both_palettes():
    """WCAG's contrast of text, against everything that it is written on."""
    drawn("""
from worldsim.runtime.window.palette import BY_NAME
def light(colour):
    part = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2]
def contrast(one, other):
    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)
for palette in BY_NAME.values():
    for behind in (palette.back, palette.foot, palette.cap):
        assert contrast(palette.text, behind) > 7
    assert contrast(palette.told, palette.foot) > 4.5 and contrast(palette.dim, palette.foot) > 4.5
    assert contrast(palette.alarm, palette.foot) > 4.5 and contrast(palette.mark, palette.back) > 3
""")
