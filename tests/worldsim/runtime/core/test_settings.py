"""A player's settings: kept, refused in a sentence, and never read without a window."""

import pytest

import play
from worldsim.runtime.core.settings import FILE, Settings, read_settings, write_settings
from worldsim.runtime.core.settings_page import SettingsPage, list_rows


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDSIM_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


def test_what_is_written_is_read_again(folder):
    assert read_settings() == Settings()
    chosen = Settings(world="a: b", steps=2, fps=0, palette="light", language="fr", mouse=False)
    write_settings(chosen)
    assert read_settings() == chosen
    write_settings(Settings())
    assert (folder / FILE).read_text() == "{}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "must have names with their values"),
        ("upscale: smooth", "no setting 'upscale'; did you mean upscaler"),
        ("upscaler: cubic", "upscaler must be nearest or smooth, got 'cubic'"),
        ("language: it", "language must be auto, en, de, fr or es, got 'it'"),
        ("steps: 0", r"steps must be in \[1, 64\] or null, got 0"),
        ("steps: true", r"steps must be in \[1, 64\] or null, got True"),
        ("mouse: 1", "mouse must be true or false, got 1"),
        ("recordings: ''", "recordings must be a folder"),
    ],
)
def test_a_wrong_file_is_one_sentence_that_names_it(folder, text, said):
    folder.mkdir()
    (folder / FILE).write_text(text)
    with pytest.raises(ValueError, match=said) as caught:
        read_settings()
    assert str(folder / FILE) in str(caught.value)


def press(page, *keys):
    for key in keys:
        page.press(key, key if len(key) == 1 else "")


def test_every_row_is_a_setting():
    assert sorted(row.field for row in list_rows([])) == sorted(vars(Settings()))


def test_the_page_changes_and_keeps(folder, tmp_path):
    page = SettingsPage(["dmlab", "minecraft"])
    press(page, "right", "right", "down", "right", "right")  # the second world, two steps
    press(page, "down", "down", "down", "backspace", "x", "down", "left", "down", "right")
    assert page.settings.palette == "light"
    assert any("> colours\t< light >" in line for line in page.lines())
    press(page, "return")
    assert not page.open
    assert read_settings() == Settings(
        world="minecraft", steps=2, recordings="recordingx", upscaler="smooth", palette="light"
    )


def test_escape_keeps_nothing(folder):
    page = SettingsPage([])
    press(page, "up", "right", "escape")
    assert not page.open
    assert page.settings == Settings()
    assert not (folder / FILE).exists()


def test_keys_that_cannot_be_read_are_refused_where_they_are_typed():
    """Kept, they would keep the next window from opening."""
    page = SettingsPage([])
    press(page, "down", "down", "down", *"no.yaml", "return")
    assert page.open
    assert "no.yaml" in page.lines()[-1]
    press(page, *["backspace"] * 7, "return")
    assert not page.open


def test_a_damaged_file_is_said_and_can_be_written_anew(folder):
    folder.mkdir()
    (folder / FILE).write_text("{")
    page = SettingsPage([])
    assert str(folder) in page.lines()[-1]
    press(page, "return")
    assert read_settings() == Settings()


def test_the_command_line_comes_first_and_engines_take_no_steps():
    options = play.parse(["--fps", "3"])
    options.settings = Settings(world="minecraft", steps=2, fps=10, recordings="films")
    play.apply_settings(options)
    assert (options.world, options.steps, options.fps) == ("minecraft", 2, 3)
    assert options.recordings == "films"
    engine = play.parse(["--env", "Maze-v0"])
    engine.settings = options.settings
    play.apply_settings(engine)
    assert (engine.world, engine.steps, engine.fps) == (None, None, 10)


def test_without_a_window_they_are_not_read(folder, tiny_world, capsys):
    folder.mkdir()
    (folder / FILE).write_text("{")
    assert play.main(["--headless", "1", "--world", str(tiny_world), "--seed", "0"]) == 0
