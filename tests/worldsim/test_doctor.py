"""The doctor: every fault is a line with a remedy, and only what playing needs blocks."""

import pytest

from worldsim import doctor
from worldsim.doctor import Check, Finding


def broken():
    raise OSError("libfoo.so:\ncannot open")


@pytest.fixture
def table(monkeypatch, capsys):
    def run(*checks):
        monkeypatch.setattr(doctor, "CHECKS", checks)
        status = doctor.main([])
        return status, capsys.readouterr().out

    return run


def test_all_well_is_ready(table):
    status, shown = table(Check("thing", lambda: Finding("1.0"), needed=True))
    assert status == 0
    assert shown.splitlines()[0] == "ok       thing         1.0"
    assert "worldsim play" in shown


def test_what_playing_needs_blocks_and_what_it_does_not_does_not(table):
    optional = Check("extra", lambda: Finding("", "install extra"), needed=False)
    status, shown = table(optional)
    assert status == 0
    assert "absent   extra\n" in shown
    assert "-> install extra" in shown
    status, shown = table(optional, Check("core", lambda: Finding("old", "upgrade"), needed=True))
    assert status == 1
    assert "MISSING  core" in shown
    assert "see core above" in shown


def test_a_broken_package_is_a_line_and_the_table_goes_on(table):
    """A package may fail to import in any way; the doctor is run when something is broken."""
    status, shown = table(
        Check("bad", broken, needed=True), Check("good", lambda: Finding("fine"), needed=True)
    )
    assert status == 1
    assert "OSError: libfoo.so: cannot open" in shown
    assert "good" in shown


def test_two_builds_of_one_package_are_noticed(monkeypatch):
    """pygame and pygame-ce install the same files, so the later one wins without a word."""
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda name: "1")
    assert "uninstall" in doctor.look_at_pygame().remedy
    assert "uninstall" in doctor.look_at_onnx().remedy


@pytest.mark.parametrize("check", doctor.CHECKS, ids=lambda check: check.name)
def test_each_check_gives_a_finding_here(check):
    finding = doctor._run_check(check)
    assert finding.found or finding.remedy
    assert "\n" not in finding.found + finding.remedy


def test_a_changed_world_is_named(monkeypatch, tmp_path):
    (tmp_path / "worlds" / "dmlab").mkdir(parents=True)
    monkeypatch.setattr(doctor, "asset", lambda *parts: tmp_path.joinpath(*parts))
    finding = doctor.look_at_worlds()
    assert finding.found == "dmlab"
    assert "manifest" in finding.remedy
