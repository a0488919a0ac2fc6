"""The smallest world with a memory in space, never trained, and weights that hide no mistake."""

from pathlib import Path

import torch

from models.build.networks import settings_to_dict
from models.build.spatial import SpatialSettings, make_models, weights_of
from models.codec.patch_autoencoder import AutoencoderConfig
from models.codec.view_decoder import ViewDecoderConfig
from models.memory.depth_network import DepthConfig
from models.memory.odometry import OdometryConfig
from models.spatial.config import MemoryConfig, NetworkConfig, SamplerConfig
from models.spatial.dynamics import SpatialDynamics, SpatialModels
from tests.support.far_worlds import write_noise_starts
from worldsim.actions import load_actions
from worldsim.world.checkpoint import save_world

SIZE = 32  # pixels of a frame


def small_settings(**memory) -> SpatialSettings:
    """Every part as small as it may be; `memory` changes settings of the memory."""
    kept = {"slots": 24, "sources": 3, "window": 2, "keyframes": 2, "coarse": 3, "dilation": 4}
    return SpatialSettings(
        codec=AutoencoderConfig(frame_size=SIZE, patch=8, channels=8, width=16, blocks=1),
        network=NetworkConfig(
            actions=4,
            latent_channels=8,
            latent_size=4,
            narrow=32,
            wide=64,
            outer=1,
            layers=2,
            head_size=32,
            coarse_patch=(4, 2),
            condition=32,
        ),
        depth=DepthConfig(frame_size=SIZE, width=32, layers=1),
        odometry=OdometryConfig(actions=4, width=32, prototypes=6, radius=0.2),
        decoder=ViewDecoderConfig(eighth=16, quarter=16, half=8, noise=True),
        memory=MemoryConfig(**kept | memory),
        sampler=SamplerConfig(order=2),
    )


def small_models(settings: SpatialSettings) -> SpatialModels:
    """Networks with random weights everywhere: what starts at zero would hide a mistake."""
    models = make_models(settings, load_actions("dmlab").turns)
    generator = torch.Generator().manual_seed(0)
    for module in models:
        for name, weight in module.named_parameters():
            if "norm" not in name:
                # a decoder of larger weights makes of one last bit another dream within some frames
                std = 0.05 if module is models.decoder else 0.1
                std = 0.005 if name.startswith("grain") else std
                torch.nn.init.normal_(weight, std=std, generator=generator)
    torch.nn.init.normal_(models.codec.basis, std=0.1, generator=generator)
    torch.nn.init.normal_(models.odometry.motions, std=0.3, generator=generator)
    return models


def small_dynamics(**memory) -> SpatialDynamics:
    """A dynamics of these networks."""
    settings = small_settings(**memory)
    models = small_models(settings)
    return SpatialDynamics(models, settings.memory, settings.sampler).requires_grad_(False).eval()


def write_spatial_world(folder: Path) -> None:
    """The folder of a world of these networks, with three starts."""
    write_noise_starts(folder / "spawns", [4, 4, 4], SIZE)
    settings = small_settings()
    card = {"name": "tiny-spatial", "title": "A tiny dream in space", "fps": 7.5}
    card |= {"frame_size": SIZE, "action_set": "dmlab", "engine": "Maze-v0", "licence": "MIT"}
    card |= {"continuous": {"turn": 22.5, "stride": 1.0}}
    card |= {"builder": "far-spatial", "steps": 4, "settings": settings_to_dict(settings)}
    save_world(folder, card | {"training": {}, "figures": {}}, weights_of(small_models(settings)))
