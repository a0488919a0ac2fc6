"""What a folder of unfinished results is of, so that nothing else is added to it."""

import json
from pathlib import Path
from typing import Any

from worldsim.atomic import atomic_write
from worldsim.reading import read_json, short_path

RUN = "run.json"


def keep_record(folder: Path, ours: dict[str, Any], held: str) -> None:
    """Write what a folder's results are of, or make sure that they are of the same.

    Args:
        folder: of the results.
        ours: what they are of, as JSON reads it back.
        held: of what else they may be, as the sentence says it.

    Raises:
        ValueError: they are of something else.
    """
    path = folder / RUN
    if not path.is_file():
        text = json.dumps(ours, indent=1)
        atomic_write(path, lambda scratch: scratch.write_text(text))
        return
    theirs = read_json(path, "record of a run", "delete its folder")
    if theirs != ours:
        other = [name for name in ours if theirs.get(name) != ours[name]]
        raise ValueError(
            f"{short_path(folder)} holds {held} {', '.join(other)}: give another --out, or delete "
            f"it"
        )
