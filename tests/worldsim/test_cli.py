"""The command: instant help, near names for misspelt ones, sentences for errors."""

import os
import resource
import subprocess
import sys

import pytest

from worldsim import cli

HELP_SECONDS = 0.3


def command(*arguments, **options):
    options = {"capture_output": True, "text": True, "timeout": 120} | options
    return subprocess.run([sys.executable, "-m", "worldsim", *arguments], **options)


@pytest.fixture
def errors(monkeypatch):
    """Runs a function as the command does."""
    monkeypatch.setattr(sys, "argv", ["worldsim"])

    def run(function):
        return cli.run(function, [])

    return run


def child_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("name", [None, *cli.COMMANDS])
def test_help_is_instant(name):
    """Processor time, the best of a few runs: the machine may be busy, the command is not slow."""
    seconds = []
    for _ in range(5):
        before = child_seconds()
        shown = command(*([name] if name else []), "--help")
        seconds.append(child_seconds() - before)
        assert shown.returncode == 0, shown.stderr
        assert shown.stdout.startswith("usage: worldsim" + (f" {name}" if name else ""))
        if seconds[-1] < HELP_SECONDS:
            return
    pytest.fail(f"--help took {min(seconds):.2f} s")


def test_the_commands_are_listed():
    shown = command().stdout
    for name, described in cli.COMMANDS.items():
        assert f"  {name} " in shown
        assert described.summary in shown


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("pla", "did you mean play"),
        ("tarin", "did you mean train"),
        ("xyz", "there are play"),
        ("nosuch", "there are play"),
    ],
)
def test_an_unknown_command_names_the_nearest(name, hint):
    refused = command(name)
    assert refused.returncode == cli.USER_ERROR
    assert f"no command '{name}'; {hint}" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_the_version_is_told():
    assert command("--version").stdout.startswith("worldsim ")


def test_an_error_of_the_users_is_one_sentence(errors, capsys):
    from worldsim.actions import load_actions

    assert errors(lambda arguments: load_actions("nosuch") and None) == cli.USER_ERROR
    shown = capsys.readouterr().err
    assert shown.startswith("worldsim: no action set 'nosuch'")
    assert shown.count("\n") == 1


def test_a_path_of_the_users_is_one_sentence(errors, capsys, tmp_path):
    assert errors(lambda arguments: (tmp_path / "none").read_text()) == cli.USER_ERROR
    assert "No such file" in capsys.readouterr().err


def test_a_fault_of_ours_keeps_its_traceback(errors):
    """A ValueError that comes out of a library is a bug, and a sentence would hide where."""
    import json

    with pytest.raises(ValueError, match="Expecting value"):
        errors(lambda arguments: json.loads(""))
    with pytest.raises(KeyError):
        errors(lambda arguments: {}["x"])
    with pytest.raises(ModuleNotFoundError):
        errors(lambda arguments: __import__("worldsim.nosuch"))


def test_a_misspelt_environment_is_one_sentence(errors, capsys):
    import gymnasium

    assert errors(lambda arguments: gymnasium.make("Mazze-v0")) == cli.USER_ERROR
    assert "Did you mean: `Maze`?" in capsys.readouterr().err


def test_a_missing_package_is_one_sentence(errors, capsys):
    def needs(arguments):
        raise ImportError("labmaze is missing: pip install 'worldsim[maze]'.", name="labmaze")

    assert errors(needs) == cli.USER_ERROR
    assert "pip install" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("leave", "status"), [(None, 0), (0, 0), (3, 3), ("a last word", 1), (True, 1)]
)
def test_leaving_keeps_its_status(errors, leave, status):
    def leaves(arguments):
        raise SystemExit(leave)

    assert errors(leaves) == status


def test_interrupting_is_no_error(errors):
    def interrupted(arguments):
        raise KeyboardInterrupt

    assert errors(interrupted) == cli.INTERRUPTED


def test_arguments_reach_the_part_and_its_parser(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["worldsim"])
    monkeypatch.setitem(cli.COMMANDS, "echo", cli.Command("says it", "worldsim.cli:_echo"))
    monkeypatch.setattr(cli, "_echo", lambda arguments: len(arguments), raising=False)
    assert cli.main(["echo", "--a", "b"]) == 2
    assert sys.argv == ["worldsim echo", "--a", "b"]


@pytest.mark.skipif(os.name != "posix", reason="shell redirections")
@pytest.mark.parametrize(
    ("redirect", "status"), [("| true", 0), (">&-", 0), ("> /dev/full", cli.USER_ERROR)]
)
def test_a_lost_output_is_no_traceback(redirect, status):
    """`worldsim ... | head` closes the pipe early."""
    line = f"set -o pipefail; {sys.executable} -m worldsim --help {redirect}"
    run = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
    assert "Traceback" not in run.stderr
    assert "Exception" not in run.stderr
    assert run.returncode == status
