"""The card of a world that was trained here."""

from dataclasses import asdict
from typing import Any

from models.training.base_config import WorldConfig
from worldsim.actions import load_actions
from worldsim.config import to_dict
from worldsim.controls import limit_controls
from worldsim.world.card import WorldCard
from worldsim.world.memory_map import MAPPERS

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
        continuous=_tell_continuous(cfg, builder),
    )


def _tell_continuous(cfg: WorldConfig, builder: str) -> dict[str, float] | None:
    """What the world's continuous actions may say: its memory is one of space, and its actions turn
    and walk.
    """
    limits = limit_controls(load_actions(cfg.action_set)) if builder in MAPPERS else None
    return None if limits is None else asdict(limits)


def _drop_folders(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without the folders, which are nobody else's business."""
    data = {name: value for name, value in settings.pop("data").items() if name not in FOLDERS}
    return settings | ({"data": data} if data else {})
