"""Worlds with a memory in space: from a card and weights to networks, and back."""

from typing import NamedTuple

import torch
from torch import Tensor

from models.build.networks import fill_weights, name_weights, read_settings
from models.codec.patch_autoencoder import AutoencoderConfig, PatchAutoencoder
from models.codec.view_decoder import ViewCodec, ViewDecoder, ViewDecoderConfig
from models.memory.depth_network import DepthConfig, DepthNetwork
from models.memory.odometry import Odometry, OdometryConfig
from models.spatial.config import MemoryConfig, NetworkConfig, SamplerConfig
from models.spatial.dynamics import SpatialDynamics, SpatialModels
from models.spatial.network import MASK_CELL, SpatialNetwork
from worldsim.actions import load_actions
from worldsim.world.card import WorldCard
from worldsim.world.checkpoint import WorldError
from worldsim.world.protocols import Parts


class SpatialSettings(NamedTuple):
    """The configuration of each part of a world."""

    codec: AutoencoderConfig
    network: NetworkConfig
    depth: DepthConfig
    odometry: OdometryConfig
    decoder: ViewDecoderConfig
    memory: MemoryConfig
    sampler: SamplerConfig


def check_sizes(settings: SpatialSettings) -> None:
    """Refuse parts that do not fit each other.

    Raises:
        ValueError: which setting has to change.
    """
    codec, network = settings.codec, settings.network
    fits = (
        ("network.latent_channels", network.latent_channels, codec.channels),
        ("network.latent_size", network.latent_size, codec.frame_size // codec.patch),
        ("depth.frame_size", settings.depth.frame_size, codec.frame_size),
        ("odometry.actions", settings.odometry.actions, network.actions),
    )
    for name, got, expected in fits:
        if got != expected:
            raise ValueError(f"{name} must be {expected}, as other settings have it, got {got}")
    if codec.patch % MASK_CELL:
        raise ValueError(f"codec.patch must be a multiple of {MASK_CELL}, got {codec.patch}")


def make_models(settings: SpatialSettings, turns: tuple[float, ...]) -> SpatialModels:
    """Networks of a configuration, not trained; `turns` are radians per action."""
    check_sizes(settings)
    view, codec = settings.memory.field_of_view, PatchAutoencoder(settings.codec)
    return SpatialModels(
        codec,
        SpatialNetwork(settings.network, view),
        DepthNetwork(settings.depth),
        Odometry(settings.odometry, turns, view),
        ViewDecoder(settings.decoder, codec.frame_size, codec.latent_shape),
    )


def weights_of(models: SpatialModels) -> dict[str, Tensor]:
    """Weights of all networks under one roof; matrices in float16."""
    return name_weights(models._asdict(), models._fields)


def build_spatial(card: WorldCard, weights: dict[str, Tensor], device: str) -> Parts:
    """The codec and the dynamics of a card.

    Raises:
        WorldError: weights that don't fit the card.
    """
    try:
        settings = read_settings(card, SpatialSettings)
        models = make_models(settings, load_actions(card.action_set).turns)
    except (KeyError, ValueError) as error:
        raise WorldError(
            f"the card of {card.name} does not describe a network ({error}): fetch the world again"
        ) from error
    for name, module in models._asdict().items():
        fill_weights(module, f"{name}.", card, weights, device)
    dynamics = SpatialDynamics(models, settings.memory, settings.sampler)
    codec = ViewCodec(models.codec, models.decoder)
    return Parts(codec, dynamics.to(torch.device(device)))
