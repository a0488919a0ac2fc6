"""Worlds of VideoAR with a memory in space: from a card and weights to networks, and back."""

from typing import NamedTuple

import torch
from torch import Tensor

from models.build.networks import fill_weights, name_weights, read_settings
from models.build.videoar import check_tokenizer, make_tokenizer
from models.codec.multiscale_quantizer import QuantizerConfig
from models.codec.patch_autoencoder import AutoencoderConfig
from models.memory.depth_network import DepthConfig, DepthNetwork
from models.memory.odometry import Odometry, OdometryConfig
from models.spatial.config import SpaceConfig
from models.spatial.network import MASK_CELL
from models.videoar.config import NetworkConfig, PlayConfig
from models.videoar.network import VideoARNetwork
from models.videoar_spatial.condition import count_view_channels
from models.videoar_spatial.config import check_network
from models.videoar_spatial.dynamics import VideoARSpatialDynamics, VideoARSpatialModels
from worldsim.actions import load_actions
from worldsim.world.card import WorldCard
from worldsim.world.checkpoint import WorldError
from worldsim.world.protocols import Parts


class VideoARSpatialSettings(NamedTuple):
    """The configuration of each part of a world."""

    codec: AutoencoderConfig
    quantizer: QuantizerConfig
    network: NetworkConfig
    depth: DepthConfig
    odometry: OdometryConfig
    memory: SpaceConfig
    play: PlayConfig


def check_sizes(settings: VideoARSpatialSettings) -> None:
    """Refuse parts that do not fit each other.

    Raises:
        ValueError: which setting has to change.
    """
    codec = settings.codec
    check_tokenizer(codec, settings.quantizer)
    check_network(settings.network, len(settings.quantizer.scales))
    fits = (
        ("depth.frame_size", settings.depth.frame_size, codec.frame_size),
        ("odometry.actions", settings.odometry.actions, settings.network.conditions),
    )
    for name, got, expected in fits:
        if got != expected:
            raise ValueError(f"{name} must be {expected}, as other settings have it, got {got}")
    if codec.patch % MASK_CELL:
        raise ValueError(f"codec.patch must be a multiple of {MASK_CELL}, got {codec.patch}")


def make_network(network: NetworkConfig, quantizer: QuantizerConfig) -> VideoARNetwork:
    """A network that is told what memory shows, not trained."""
    return VideoARNetwork(network, quantizer, count_view_channels(quantizer.channels))


def make_models(settings: VideoARSpatialSettings, turns: tuple[float, ...]) -> VideoARSpatialModels:
    """Networks of a configuration, not trained; `turns` are radians per action."""
    check_sizes(settings)
    return VideoARSpatialModels(
        make_tokenizer(settings.codec, settings.quantizer),
        make_network(settings.network, settings.quantizer),
        DepthNetwork(settings.depth),
        Odometry(settings.odometry, turns, settings.memory.field_of_view),
    )


def weights_of(models: VideoARSpatialModels) -> dict[str, Tensor]:
    """Weights of all networks under one roof; matrices in float16, but for the codec's, whose
    labels would change.
    """
    return name_weights(models._asdict(), ("network", "depth", "odometry"))


def build_videoar_spatial(card: WorldCard, weights: dict[str, Tensor], device: str) -> Parts:
    """The tokenizer and the dynamics of a card.

    Raises:
        WorldError: weights that don't fit the card.
    """
    try:
        settings = read_settings(card, VideoARSpatialSettings)
        models = make_models(settings, load_actions(card.action_set).turns)
    except (KeyError, ValueError) as error:
        raise WorldError(
            f"the card of {card.name} does not describe a network ({error}): fetch the world again"
        ) from error
    for name, module in models._asdict().items():
        fill_weights(module, f"{name}.", card, weights, device)
    dynamics = VideoARSpatialDynamics(models, settings.memory, settings.play)
    return Parts(models.codec, dynamics.to(torch.device(device)))
