"""Worlds of VideoAR: from a card and weights to networks, and back."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.build.networks import fill_weights, name_weights
from models.codec.causal_autoencoder import CausalAutoencoder, CausalAutoencoderConfig
from models.codec.multiscale_quantizer import MultiscaleQuantizer, QuantizerConfig
from models.codec.multiscale_tokenizer import MultiscaleTokenizer
from models.codec.patch_autoencoder import AutoencoderConfig, PatchAutoencoder
from models.videoar.config import NetworkConfig, PlayConfig
from models.videoar.dynamics import VideoARDynamics
from models.videoar.network import VideoARNetwork
from models.videoar.streaming import StreamingDynamics
from worldsim.config import from_dict
from worldsim.upgrades import drop_removed
from worldsim.world.card import WorldCard
from worldsim.world.checkpoint import WorldError
from worldsim.world.protocols import Parts


class VideoARSettings(NamedTuple):
    """The configuration of each part of a world; the codec is one of patches or of convolutions."""

    codec: AutoencoderConfig | CausalAutoencoderConfig
    quantizer: QuantizerConfig
    network: NetworkConfig
    play: PlayConfig


def check_tokenizer(
    codec: AutoencoderConfig | CausalAutoencoderConfig, quantizer: QuantizerConfig
) -> None:
    """Refuse an autoencoder and a quantiser that do not fit each other.

    Raises:
        ValueError: which setting has to change.
    """
    side = codec.frame_size // codec.patch
    fits = (
        ("quantizer.channels", quantizer.channels, codec.channels),
        ("the last of quantizer.scales", quantizer.grid, (side, side)),
    )
    for name, got, wanted in fits:
        if got != wanted:
            raise ValueError(f"{name} must be {wanted}, as the codec has it, got {got}")


def refuse_view(network: NetworkConfig) -> None:
    """Refuse a network that wants to be told what a memory in space shows, where there is none.

    Raises:
        ValueError: it does.
    """
    if network.view_scales:
        raise ValueError(
            f"network.view_scales must be 0 without a memory in space (recipe and builder "
            f"videoar-spatial), got {network.view_scales}"
        )


def make_tokenizer(
    codec: AutoencoderConfig | CausalAutoencoderConfig, quantizer: QuantizerConfig
) -> MultiscaleTokenizer:
    """A tokenizer of a configuration, not trained."""
    patches = isinstance(codec, AutoencoderConfig)
    autoencoder: nn.Module = PatchAutoencoder(codec) if patches else CausalAutoencoder(codec)
    return MultiscaleTokenizer(autoencoder, MultiscaleQuantizer(quantizer))


def settings_from_dict(told: dict[str, Any]) -> VideoARSettings:
    """Inverse of settings_to_dict.

    Raises:
        KeyError, ValueError: a part is missing, or they do not fit each other.
    """
    told = drop_removed(told)
    causal = "time_kernel" in told["codec"]
    settings = VideoARSettings(
        codec=from_dict(CausalAutoencoderConfig if causal else AutoencoderConfig, told["codec"]),
        quantizer=from_dict(QuantizerConfig, told["quantizer"]),
        network=from_dict(NetworkConfig, told["network"]),
        play=from_dict(PlayConfig, told["play"]),
    )
    check_tokenizer(settings.codec, settings.quantizer)
    refuse_view(settings.network)
    return settings


def weights_of(tokenizer: MultiscaleTokenizer, network: VideoARNetwork) -> dict[str, Tensor]:
    """Weights of all networks under one roof; matrices of the dynamics in float16."""
    return name_weights({"codec": tokenizer, "network": network})


def build_videoar(card: WorldCard, weights: dict[str, Tensor], device: str) -> Parts:
    """The tokenizer and the dynamics of a card.

    Raises:
        WorldError: weights that don't fit the card.
    """
    try:
        settings = settings_from_dict(card.settings)
        tokenizer = make_tokenizer(settings.codec, settings.quantizer)
        network = VideoARNetwork(settings.network, settings.quantizer)
    except (KeyError, ValueError) as error:
        raise WorldError(
            f"the card of {card.name} does not describe a network ({error}): fetch the world again"
        ) from error
    fill_weights(tokenizer, "codec.", card, weights, device)
    fill_weights(network, "network.", card, weights, device)
    dynamics = make_dynamics(tokenizer, network, settings)
    return Parts(tokenizer, dynamics.to(torch.device(device)))


def make_dynamics(
    tokenizer: MultiscaleTokenizer, network: VideoARNetwork, settings: VideoARSettings
) -> VideoARDynamics | StreamingDynamics:
    """What plays: frame by frame, with the past of an autoencoder that looks back."""
    scales = VideoARDynamics(network, tokenizer.quantizer, settings.play)
    looks_back = getattr(settings.codec, "time_kernel", 1) > 1
    return StreamingDynamics(tokenizer, scales) if looks_back else scales
