"""What VideoAR needs for a memory in space."""

from models.videoar.config import NetworkConfig


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
