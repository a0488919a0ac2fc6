"""What is waited for while a world opens or comes back, for the player to read."""

from typing import NamedTuple


class LoadingStage(NamedTuple):
    """What comes next, and how much is done (0 to 1)."""

    doing: str
    progress: float
