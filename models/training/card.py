"""The card of a world that was trained here."""

from models.build.networks import far_settings
from models.heads.reward import OutcomeHead
from models.retrieval_stack.geometry import Geometry
from models.training.config import TrainConfig
from worldsim.config import to_dict
from worldsim.world.card import WorldCard


def card_of(
    cfg: TrainConfig,
    trained: dict,
    head: OutcomeHead | None = None,
    geometry: Geometry | None = None,
) -> WorldCard:
    """What the training knows about its world."""
    return WorldCard(
        name=cfg.name,
        title=cfg.title,
        fps=cfg.fps,
        frame_size=cfg.codec.frame_size,
        action_set=cfg.action_set,
        engine=cfg.engine,
        licence=cfg.licence,
        builder="far",
        steps=cfg.steps,
        settings=far_settings(cfg.codec, cfg.dynamics, head, geometry),
        training=trained | {"config": _without_folders(cfg)},
        figures={},
    )


def _without_folders(cfg: TrainConfig) -> dict:
    """The configuration without the folders, which are nobody else's business."""
    settings = to_dict(cfg)
    for folder in ("train", "heldout", "cache"):
        del settings["data"][folder]
    return settings
