"""The smallest VideoAR worlds with a memory in space, never trained, and weights that hide no
mistake.
"""

from pathlib import Path

import torch

from models.build.networks import settings_to_dict
from models.build.videoar_spatial import (
    VideoARSpatialSettings,
    make_models,
    weights_of,
)
from models.codec.multiscale_quantizer import QuantizerConfig
from models.codec.patch_autoencoder import AutoencoderConfig
from models.memory.depth_network import DepthConfig
from models.memory.odometry import OdometryConfig
from models.spatial.config import SpaceConfig
from models.videoar.config import GuidanceConfig, NetworkConfig, PlayConfig
from models.videoar_spatial.dynamics import VideoARSpatialDynamics, VideoARSpatialModels
from tests.support.far_worlds import write_noise_starts
from tests.support.videoar_worlds import GUIDED
from worldsim.actions import load_actions
from worldsim.world.checkpoint import save_world

SIZE, SCALES, VIEW_SCALES = 32, ((1, 1), (2, 2), (4, 4)), 2


def small_settings(
    kind: str = "codebook", guided: bool = False, **changes
) -> VideoARSpatialSettings:
    """Every part of a world as small as it may be; `changes` of the network."""
    shape = {"conditions": 4, "width": 32, "layers": 2, "head_size": 16, "window": 3}
    return VideoARSpatialSettings(
        codec=AutoencoderConfig(frame_size=SIZE, patch=8, channels=8, width=16, blocks=1),
        quantizer=QuantizerConfig(kind=kind, channels=8, scales=SCALES, codebook=16),
        network=NetworkConfig(**shape | {"view_scales": VIEW_SCALES} | changes),
        depth=DepthConfig(frame_size=SIZE, width=32, layers=1),
        odometry=OdometryConfig(actions=4, width=32, prototypes=6),
        memory=SpaceConfig(slots=24, sources=3),
        play=PlayConfig(temperature=1.0, guidance=GUIDED if guided else GuidanceConfig()),
    )


def small_models(settings: VideoARSpatialSettings) -> VideoARSpatialModels:
    """Networks with random weights everywhere: what starts at zero would hide a mistake."""
    torch.manual_seed(0)
    models = make_models(settings, load_actions("dmlab").turns)
    generator = torch.Generator().manual_seed(0)
    for module in models:
        for name, weight in module.named_parameters():
            if not any(part in name for part in ("norm", "log_scale", "codebooks")):
                start = weight.detach().clone() if name.endswith("numbers") else 0.0
                noise = torch.empty_like(weight).normal_(0, 0.1, generator=generator)
                weight.data = start + noise
    torch.nn.init.normal_(models.codec.autoencoder.basis, std=0.1, generator=generator)
    torch.nn.init.normal_(models.odometry.motions, std=0.3, generator=generator)
    return models


def small_dynamics(
    kind: str = "codebook", guided: bool = False, **changes
) -> VideoARSpatialDynamics:
    """A dynamics of these networks."""
    settings = small_settings(kind, guided, **changes)
    models = small_models(settings)
    dynamics = VideoARSpatialDynamics(models, settings.memory, settings.play)
    return dynamics.requires_grad_(False).eval()


def write_videoar_spatial_world(folder: Path) -> None:
    """The folder of a world of these networks, with three starts."""
    write_noise_starts(folder / "spawns", [4, 4, 4], SIZE)
    settings = small_settings()
    card = {"name": "tiny-videoar-spatial", "title": "A tiny dream of scales in space", "fps": 7.5}
    card |= {"frame_size": SIZE, "action_set": "dmlab", "engine": "Maze-v0", "licence": "MIT"}
    card |= {"continuous": {"turn": 22.5, "stride": 1.0}}
    # more steps than scales are all scales
    card |= {"builder": "videoar-spatial", "steps": 4, "settings": settings_to_dict(settings)}
    save_world(folder, card | {"training": {}, "figures": {}}, weights_of(small_models(settings)))
