"""Where the files that ship with the code lie, and which names and paths may be written to. Knows
folders, not what is in them.
"""

import re
from pathlib import Path

ASSETS = Path(__file__).resolve().parent.parent / "assets"
MOST_LETTERS = 64
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?")
# Windows takes them for devices, whatever follows a dot.
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)


def asset(*parts: str) -> Path:
    """The path of a shipped file or folder, e.g. `asset("actions", "dmlab.yaml")`.

    Args:
        parts: path parts below `assets/`; a part may hold slashes.

    Returns:
        An absolute path; it need not exist.

    Raises:
        ValueError: the path would leave `assets/`.
    """
    path = ASSETS.joinpath(*parts)
    if not path.resolve().is_relative_to(ASSETS):
        raise ValueError(f"asset path {'/'.join(parts)!r} leaves the assets folder {ASSETS}.")
    return path


def asset_names(folder: str) -> list[str]:
    """What there is in a folder of assets, e.g. the names of the bundled worlds."""
    return sorted(path.name for path in asset(folder).iterdir() if path.name[0] not in "._")


def check_name(name: object, what: str) -> str:
    """A name that was read from a file, and may become a part of a path.

    Args:
        name: whatever the file held.
        what: what it names, for the error, e.g. "a world's name".

    Returns:
        The name.

    Raises:
        ValueError: it is no text, or no plain name.
    """
    plain = isinstance(name, str) and len(name) <= MOST_LETTERS and _NAME.fullmatch(name)
    if not plain or _DEVICES.fullmatch(name):
        raise ValueError(
            f"{what} must be 1 to {MOST_LETTERS} letters (a to z), digits, -, _ and inner dots, "
            f"got {_shorten_repr(name)}"
        )
    return name


def to_name(text: str, otherwise: str = "unnamed") -> str:
    """The nearest plain name to a text: what a name must not hold becomes `_`."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", text)[:MOST_LETTERS].strip(".-") or otherwise
    return f"_{name}"[:MOST_LETTERS] if _DEVICES.fullmatch(name) else name


def path_below(root: Path, *parts: str) -> Path:
    """The path of a file or folder to write to, whatever links there are on the way.

    Raises:
        ValueError: resolved, it does not lie below `root`.
    """
    path = root.joinpath(*parts)
    home, found = root.resolve(), path.resolve()
    if found == home or not found.is_relative_to(home):
        raise ValueError(f"{path} leads to {found}, which is not below {root}: nothing is written.")
    return path


def native_path(path: Path) -> str:
    """The path as text for a library in C++, which takes the process down over other text.

    Raises:
        ValueError: it is not UTF-8.
    """
    try:
        return str(path).encode("utf-8").decode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"the path {str(path)!a} is not UTF-8: rename the folder") from None


def _shorten_repr(value: object) -> str:
    shown = repr(value) if isinstance(value, str) else f"{type(value).__name__} {value!r}"
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
