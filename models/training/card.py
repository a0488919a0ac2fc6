"""The card of a world that was trained here."""

from typing import Any

from models.training.base_config import WorldConfig
from worldsim.config import to_dict
from worldsim.world.card import WorldCard

FOLDERS = ("train", "heldout", "cache")


def make_card(
    cfg: WorldConfig, builder: str, settings: dict[str, Any], trained: dict[str, Any]
) -> WorldCard:
    """What a training knows about its world.

    Args:
        cfg: all settings of the training.
        builder: who makes the networks, a key of `BUILDERS`.
        settings: theirs.
        trained: what the training measured of itself.
    """
    return WorldCard(
        name=cfg.name,
        title=cfg.title,
        fps=cfg.fps,
        frame_size=cfg.codec.frame_size,
        action_set=cfg.action_set,
        engine=cfg.engine,
        licence=cfg.licence,
        builder=builder,
        steps=cfg.steps,
        settings=settings,
        training=trained | {"config": _drop_folders(to_dict(cfg))},
        figures={},
    )


def _drop_folders(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without the folders, which are nobody else's business."""
    data = {name: value for name, value in settings.pop("data").items() if name not in FOLDERS}
    return settings | ({"data": data} if data else {})
