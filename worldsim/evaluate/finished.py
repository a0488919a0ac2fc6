"""Parts of an evaluation that are measured already, kept while the run goes on: one that was killed
need not measure them again.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from worldsim.atomic import atomic_write

Part = tuple[dict[str, Any], dict[str, np.ndarray]]


def write_part(
    folder: Path, part: str, same: str, figures: dict[str, Any], pictures: dict[str, np.ndarray]
) -> None:
    """Keep a part: its figures (JSON values) and pictures, and what they are of."""
    told = np.frombuffer(json.dumps({"of": same, "figures": figures}).encode(), np.uint8)

    def write(scratch: Path) -> None:
        with open(scratch, "wb") as file:
            np.savez(file, told=told, **{f"_{k}": v for k, v in pictures.items()})  # type: ignore[arg-type]

    atomic_write(folder / f"{part}.npz", write)


def read_part(folder: Path, part: str, same: str) -> Part | None:
    """A part that was kept; None where there is none of the same world and protocol."""
    path = folder / f"{part}.npz"
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        told = json.loads(arrays["told"].tobytes())
        pictures = {name[1:]: arrays[name] for name in arrays.files if name != "told"}
    return (told["figures"], pictures) if told["of"] == same else None
