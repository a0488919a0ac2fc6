"""Are `models`, `envs` and `assets` ours? They are common names, and a stray one can win.

Looks where the names lead without importing them. The command, play.py and the doctor ask first.
"""

import importlib.util
from pathlib import Path

from worldsim.paths import ASSETS

HOME = Path(__file__).resolve().parent.parent


class NameConflict(ValueError):
    """A package of the same name hides one of ours; the message is one sentence."""


def check_names() -> None:
    """Make sure that the top-level names this project uses lead to its own files.

    Raises:
        NameConflict: another package is found under one of the names, or none.
    """
    for name in ("models", "envs"):
        found = _location(name)
        if found is None:
            raise NameConflict(f"no package {name!r} is found: run `pip install {_again()}`.")
        if found != HOME / name:
            raise NameConflict(
                f"the package {name!r} is {found} and not ours, {HOME / name}: "
                "remove it, or use a virtual environment of its own for worldsim."
            )
    if not ASSETS.is_dir():
        raise NameConflict(f"the folder {ASSETS} is missing: install worldsim again.")


def _again() -> str:
    """What pip is told: a checkout is installed from its folder."""
    checkout = (HOME / "pyproject.toml").is_file()
    return f"-e '{HOME}'" if checkout else "--force-reinstall worldsim"


def _location(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    if spec is None:
        return None
    places = list(spec.submodule_search_locations or []) or [spec.origin]
    return Path(places[0]).resolve()
