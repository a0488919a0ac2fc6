"""Settings of VideoAR's memory in space."""

from dataclasses import dataclass

from models.memory.sizes import KEPT_NEWEST
from models.videoar.config import NetworkConfig


@dataclass(frozen=True, kw_only=True)
class SpaceConfig:
    """What a dream remembers of the space around it.

    Attributes:
        slots: frames in the bank.
        sources: of them, rendered into one view.
        field_of_view: degrees, of the square picture.
        sharp: whether pixels that are seen much nearer than they were stored are hints (see
            models/memory/renderer.py, `render`).
    """

    slots: int = 256
    sources: int = 6
    field_of_view: float = 73.0
    sharp: bool = False

    def __post_init__(self):
        if self.slots <= KEPT_NEWEST:
            raise ValueError(
                f"slots must be > {KEPT_NEWEST}, the newest frames that are never dropped, got "
                f"{self.slots}"
            )
        if self.sources < 1:
            raise ValueError(f"sources must be >= 1, got {self.sources}")
        if not 10 <= self.field_of_view <= 150:
            raise ValueError(f"field_of_view must be in [10, 150], got {self.field_of_view}")


def check_network(network: NetworkConfig, scales: int) -> None:
    """Refuse a network that cannot be told what memory shows.

    Args:
        network: its settings.
        scales: of the quantiser.

    Raises:
        ValueError: which setting has to change.
    """
    if not 1 <= network.view_scales <= scales:
        raise ValueError(
            f"network.view_scales must be in [1, {scales}], the scales that may be told what "
            f"memory shows, got {network.view_scales}"
        )
    if network.context != "whole":
        raise ValueError(
            "network.context must be 'whole' with a memory in space, whose finished frames are "
            f"remembered without an action, got {network.context!r}"
        )
