"""Where the files that ship with the code lie. Knows folders, not what is in them."""

from pathlib import Path

ASSETS = Path(__file__).resolve().parent.parent / "assets"


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
