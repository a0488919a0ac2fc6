"""What is kept for a player between two evenings."""

import pytest

from worldsim.runtime.core import user_folder


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDSIM_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


def test_the_last_start_is_remembered(folder):
    assert user_folder.read_last_start() is None
    user_folder.write_last_start("runs/a: b/world", 3)
    assert user_folder.read_last_start() == ("runs/a: b/world", 3)


@pytest.mark.parametrize("text", ["{", "[1]", "{world: a, start: x}", "a: &b c"])
def test_a_damaged_file_is_as_none(folder, text):
    folder.mkdir()
    (folder / user_folder.LAST).write_text(text)
    assert user_folder.read_last_start() is None


def test_a_folder_that_cannot_be_written_stops_nobody(folder):
    folder.write_text("a file")
    user_folder.write_last_start("dmlab", 0)


def test_the_system_says_where_it_is(monkeypatch):
    platformdirs = pytest.importorskip("platformdirs")
    monkeypatch.delenv("WORLDSIM_CONFIG")
    assert str(user_folder.user_folder()) == platformdirs.user_config_dir("worldsim", False)
