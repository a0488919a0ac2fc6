"""Networks from a world's card and weights, and back."""

import dataclasses
from collections.abc import Collection
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from models.codec.dcae import DCAECodec, empty_autoencoder
from models.codec.patch_autoencoder import AutoencoderConfig, PatchAutoencoder
from models.far.config import FARConfig
from models.far.dynamics import FARDynamics
from models.far_published.dynamics import FARReferenceDynamics, ReferencePlay
from models.far_published.network import FARReferenceConfig, FARReferenceNetwork
from models.heads.reward import JudgedDynamics, OutcomeConfig, OutcomeHead
from worldsim.actions import load_actions
from worldsim.config import from_dict
from worldsim.upgrades import drop_removed
from worldsim.world.card import WorldCard
from worldsim.world.checkpoint import WorldError
from worldsim.world.protocols import Parts

Settings = TypeVar("Settings")
REMOVED_PARTS = {"geometry", "album"}  # of worlds that older versions made


def settings_to_dict(settings: Any) -> dict[str, Any]:
    """What a card says of parts, a NamedTuple of configurations, so that it can be built."""
    return {name: dataclasses.asdict(part) for name, part in settings._asdict().items()}


def read_settings(card: WorldCard, kind: type[Settings]) -> Settings:
    """Inverse of settings_to_dict; each field of `kind` is of one class of configurations.

    Raises:
        KeyError, ValueError: a part is missing, or has what its class does not know.
    """
    told = drop_removed(card.settings)
    parts = {name: from_dict(cls, told[name]) for name, cls in kind.__annotations__.items()}
    return kind(**parts)


def far_settings(
    codec: AutoencoderConfig, dynamics: FARConfig, head: OutcomeHead | None = None
) -> dict[str, Any]:
    """What a card must say so that `build_far` can build."""
    settings = {"codec": dataclasses.asdict(codec), "dynamics": dataclasses.asdict(dynamics)}
    return settings if head is None else settings | {"outcome": dataclasses.asdict(head.cfg)}


def far_weights(
    codec: PatchAutoencoder, network: torch.nn.Module, head: OutcomeHead | None = None
) -> dict[str, Tensor]:
    """Weights of all networks under one roof; the dynamics' matrices in float16 (half the download,
    no visible difference).
    """
    parts = {"outcome": head, "codec": codec, "dynamics": network}
    named = {
        f"{part}.{name}": tensor
        for part, module in parts.items()
        if module is not None
        for name, tensor in module.state_dict().items()
    }
    return {
        name: tensor.half() if _is_matrix(name, tensor) else tensor
        for name, tensor in named.items()
    }


def _is_matrix(name: str, tensor: Tensor) -> bool:
    return name.startswith("dynamics.") and tensor.ndim >= 2 and tensor.is_floating_point()


def build_far(card: WorldCard, weights: dict[str, Tensor], device: str) -> Parts:
    """The codec and the FAR-Long dynamics of a card.

    Raises:
        WorldError: weights that don't fit the card, or a world that needs what is gone.
    """
    settings = _settings_of_today(card, weights)
    try:
        codec = PatchAutoencoder(from_dict(AutoencoderConfig, settings["codec"]))
        shape = from_dict(FARConfig, settings["dynamics"])
        dynamics = FARDynamics(shape, load_actions(card.action_set).turns)
        told = settings.get("outcome")  # only where the data had rewards or ends
        head = None if told is None else OutcomeHead(from_dict(OutcomeConfig, told))
    except (KeyError, ValueError) as error:
        raise WorldError(
            f"the card of {card.name} does not describe a network ({error}): fetch the world again"
        ) from error
    parts = {"codec": codec, "dynamics": dynamics.network, "outcome": head}
    for part, module in parts.items():
        if module is not None:
            fill_weights(module, f"{part}.", card, weights, device)
    dynamics.to(device)
    return Parts(codec, dynamics if head is None else JudgedDynamics(dynamics, head))


def _settings_of_today(card: WorldCard, weights: dict[str, Tensor]) -> dict[str, Any]:
    """The settings of a FAR-Long world without those that are gone.

    Raises:
        WorldError: it needs what is gone.
    """
    try:
        parts = {name.partition(".")[0] for name in weights} | set(card.settings)
        if gone := sorted(parts & REMOVED_PARTS):
            raise ValueError(f"its parts must be codec, dynamics and outcome, got {gone[0]}")
        return drop_removed(card.settings)
    except ValueError as error:
        raise WorldError(
            f"{card.name} needs what only older versions have ({error}): play it with the version "
            f"that made it, or train it anew"
        ) from error


def build_far_reference(card: WorldCard, weights: dict[str, Tensor], device: str) -> Parts:
    """The published autoencoder and FAR in the published layout, of a card that `worldsim convert
    import` wrote.

    Raises:
        WorldError: weights that don't fit the card.
    """
    try:
        cfg = from_dict(FARReferenceConfig, card.settings["network"])
        play = from_dict(ReferencePlay, card.settings["play"])
        dynamics = FARReferenceDynamics(FARReferenceNetwork(cfg), play)
        codec = DCAECodec(empty_autoencoder(card.settings["autoencoder"]), cfg.latent_size)
    except (KeyError, ValueError) as error:
        raise WorldError(
            f"the card of {card.name} does not describe a network ({error}): import it again"
        ) from error
    fill_weights(codec.model, "codec.", card, weights, device)
    fill_weights(dynamics.network, "dynamics.", card, weights, device)
    dynamics.to(device)
    return Parts(codec, dynamics)


def fill_weights(
    module: torch.nn.Module, prefix: str, card: WorldCard, weights: dict[str, Tensor], device: str
) -> None:
    """Load the weights whose names begin with `prefix`, for good."""
    part = {
        name.removeprefix(prefix): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in weights.items()
        if name.startswith(prefix)
    }
    try:
        module.load_state_dict(part)
    except RuntimeError as error:
        raise WorldError(
            f"the weights of {card.name} don't fit its card "
            f"({str(error).splitlines()[-1].strip()}): fetch the world again"
        ) from error
    module.requires_grad_(False).eval().to(device)


def name_weights(
    parts: dict[str, nn.Module], halved: Collection[str] = ("network",)
) -> dict[str, Tensor]:
    """Weights of parts by `part.name`; matrices of the parts `halved` in float16, but for the
    motions that odometry adds up.
    """
    found = {}
    for part, module in parts.items():
        for name, tensor in module.state_dict().items():
            half = part in halved and tensor.ndim >= 2 and name != "motions"
            half = half and tensor.is_floating_point()
            found[f"{part}.{name}"] = tensor.half() if half else tensor
    return found
