"""A FAR network of the smallest size, and weights that hide no mistake."""

import torch

from models.far.config import FARConfig
from worldsim.config import from_dict, to_dict
from worldsim.upgrades import flatten_groups, upgrade_settings

TURNS = (0.4, -0.4, 0.0, 0.0)


def far_config(**settings) -> FARConfig:
    """A configuration by the bare names of its settings, whichever group they are of."""
    return from_dict(FARConfig, upgrade_settings({"dynamics": settings})[0]["dynamics"])


def changed(cfg: FARConfig, **settings) -> FARConfig:
    """A configuration in which some settings differ."""
    flat = flatten_groups({"dynamics": to_dict(cfg)})["dynamics"]
    return far_config(**flat | settings)


def small(**changes) -> FARConfig:
    base = {
        "actions": 4,
        "latent_channels": 3,
        "latent_size": 4,
        "patch": 2,
        "coarse_patch": (4, 2),
        "width": 64,
        "head_size": 32,
        "layers": 3,
    }
    base |= {
        "window": 3,
        "recent_coarse": 4,
        "dilation": 2,
        "dilated": 3,
        "keyframes": 2,
    }
    return far_config(**base | changes)


def awake(network: torch.nn.Module, seed: int = 0) -> None:
    """Random weights everywhere: what starts at zero would hide a mistake."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if "norm" not in name:
            parameter.data = (
                0.3
                * torch.randn(parameter.shape, generator=generator)
                / max(parameter.shape[-1], 1) ** 0.5
            )
        if "embed_motion" in name or "odometry.5.bias" in name:
            parameter.data *= 3
