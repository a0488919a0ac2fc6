"""Names that settings once had, for worlds and configuration files of older versions.

One table; everything that reads settings goes through `upgrade_settings`. A name stays here for one
version after it changed.
"""

from collections.abc import Mapping
from typing import Any

RENAMED = {
    "dynamics.ring": "recent_coarse",
    "dynamics.landmarks": "keyframes",
    "loss.blind": "drop_window",
    "loss.drop_landmarks": "drop_keyframes",
    "loss.own_context": "self_forcing",
    "training.residuals_from": "error_injection_from",
    "training.own_context_from": "self_forcing_from",
}
"""Section and old name -> new name in that section."""


def upgrade_settings(settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Settings under their names of today, and one sentence for every name that was an old one.

    Args:
        settings: plain data: name -> value or section.

    Raises:
        ValueError: a setting is there under both names.
    """
    upgraded, notes = dict(settings), []
    for path, new in RENAMED.items():
        section, old = path.split(".")
        inside = upgraded.get(section)
        if not isinstance(inside, Mapping) or old not in inside or new == old:
            continue
        if new in inside:
            raise ValueError(f"{path} is now called {section}.{new}: give one of them, not both")
        upgraded[section] = {new if key == old else key: value for key, value in inside.items()}
        notes.append(f"{path} is now called {section}.{new}; the old name goes in the next version")
    return upgraded, notes
