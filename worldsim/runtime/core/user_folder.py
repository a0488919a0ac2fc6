"""The folder of a player's own settings, and which start was played last. Never used by tests and
runs without a window: WORLDSIM_CONFIG names another folder.
"""

import os
from contextlib import suppress
from pathlib import Path

import yaml

from worldsim.atomic import atomic_write
from worldsim.yaml12 import load_yaml

LAST = "last-start.yaml"


def user_folder() -> Path:
    """Where a player's settings lie; it need not exist."""
    if given := os.environ.get("WORLDSIM_CONFIG"):
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_config_dir("worldsim", appauthor=False))


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
