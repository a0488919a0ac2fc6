"""A player's own folders: of settings and the start that was played last, and of what is kept of
play. Never used by tests and runs without a window: WORLDSIM_CONFIG and WORLDSIM_KEPT name others.
"""

import os
from contextlib import suppress
from pathlib import Path

import yaml

from worldsim.atomic import atomic_write
from worldsim.yaml12 import load_yaml

LAST = "last-start.yaml"
RECORDINGS, SAVES, SHARES = "recordings", "saves", "shares"
"""Folders of what is kept of play: below the player's folder for it, or where play was started."""


def user_folder() -> Path:
    """Where a player's settings lie; it need not exist."""
    if given := os.environ.get("WORLDSIM_CONFIG"):
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_config_dir("worldsim", appauthor=False))


def kept_folder(chosen: str = "") -> Path:
    """Where what is kept of play lies, in RECORDINGS, SAVES and SHARES; it need not exist.

    Args:
        chosen: as the settings name it; empty for the usual one, below the player's documents.
    """
    if chosen:
        return Path(chosen).expanduser()
    if given := os.environ.get("WORLDSIM_KEPT"):
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_documents_dir()) / "worldsim"


def recordings_folder(chosen: str = "", kept: str = "") -> Path:
    """Where recordings lie: in a folder of their own, or in that of all that is kept of play; both
    as the settings name them.
    """
    return Path(chosen).expanduser() if chosen else kept_folder(kept) / RECORDINGS


def shorten(path: Path) -> str:
    """A path as a player is told it: from the home folder on, where it is in there."""
    try:
        return str(Path("~") / path.relative_to(Path.home()))
    except (ValueError, RuntimeError):
        return str(path)


def read_last_start() -> tuple[str, int] | None:
    """World and number of the start that was chosen last; None where nothing readable is kept."""
    with suppress(OSError, ValueError):
        kept = load_yaml(user_folder() / LAST)
        if isinstance(kept, dict) and isinstance(kept.get("start"), int):
            return str(kept.get("world")), kept["start"]
    return None


def write_last_start(world: str, start: int) -> None:
    """Keep which start was chosen; a folder that cannot be written is no reason not to play."""
    text = yaml.safe_dump({"world": world, "start": start})
    with suppress(OSError):
        atomic_write(user_folder() / LAST, lambda scratch: scratch.write_text(text, "utf-8"))
