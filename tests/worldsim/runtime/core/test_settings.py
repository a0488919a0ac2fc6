"""A player's settings: kept, refused in a sentence, and never read without a window."""

from pathlib import Path

import platformdirs
import pytest

import play
from worldsim.runtime.cli import replay
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
        ("recordings: ' '", "recordings must be a folder"),
        ("folder: 3", "folder must be a folder, got 3"),
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
    press(page, "down", "down", "down", "~", "/", "y", "backspace", "x", "down", "a")
    press(page, "down", "left", "down", "right")
    assert page.settings.palette == "light"
    assert any("> colours\t< light >" in line for line in page.lines())
    press(page, "return")
    assert not page.open
    assert read_settings() == Settings(
        world="minecraft",
        steps=2,
        folder="~/x",
        recordings="a",
        upscaler="smooth",
        palette="light",
    )


def test_the_page_names_the_folder_of_what_is_kept(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDSIM_KEPT", str(tmp_path / "kept"))
    lines = SettingsPage([]).lines()
    assert f"   folder of all that is kept\t{tmp_path / 'kept'}" in lines
    assert f"   folder of recordings\t{tmp_path / 'kept' / 'recordings'}" in lines
    monkeypatch.setenv("HOME", str(tmp_path))
    assert f"   folder of recordings\t{Path('~/kept/recordings')}" in SettingsPage([]).lines()


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
    assert options.recordings == Path("films")
    engine = play.parse(["--env", "Maze-v0"])
    engine.settings = options.settings
    play.apply_settings(engine)
    assert (engine.world, engine.steps, engine.fps) == (None, None, 10)


def test_what_is_kept_lies_in_one_folder_unless_something_says_otherwise(monkeypatch, tmp_path):
    """It lay in the folder that play was started from, wherever that was."""

    def list_folders(*arguments, settings=None):
        options = play.parse([*arguments])
        options.settings = settings
        play.apply_settings(options)
        return options.recordings, options.saves, options.shares

    def list_in(kept):
        return kept / "recordings", kept / "saves", kept / "shares"

    monkeypatch.setenv("WORLDSIM_KEPT", str(tmp_path))
    assert list_folders(settings=Settings()) == list_in(tmp_path)
    assert list_folders("--record", settings=Settings()) == list_in(tmp_path)
    assert list_folders(settings=Settings(folder="~/a")) == list_in(Path.home() / "a")
    said = ["--record", "r", "--saves", "s", "--shares", "c"]
    assert list_folders(*said, settings=Settings(folder="a", recordings="b")) == ("r", "s", "c")
    assert list_folders("--headless", "1") == list_in(Path()), "as the command line says, or here"
    monkeypatch.delenv("WORLDSIM_KEPT")
    documents = Path(platformdirs.user_documents_dir())
    assert list_folders(settings=Settings()) == list_in(documents / "worldsim")


def test_a_recording_is_replayed_by_its_name(monkeypatch, tmp_path):
    monkeypatch.setenv("WORLDSIM_KEPT", str(tmp_path))
    (tmp_path / "recordings" / "one").mkdir(parents=True)
    assert replay.locate(None) == tmp_path / "recordings"
    assert replay.locate(Path("one")) == tmp_path / "recordings" / "one"
    assert replay.locate(Path("two")) == Path("two")
    assert replay.locate(tmp_path) == tmp_path


def test_without_a_window_they_are_not_read(folder, tiny_world, capsys):
    folder.mkdir()
    (folder / FILE).write_text("{")
    assert play.main(["--headless", "1", "--world", str(tiny_world), "--seed", "0"]) == 0
