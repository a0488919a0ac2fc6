"""The smallest VideoAR worlds, never trained, and weights that hide no mistake."""

from pathlib import Path

import numpy as np
import torch

from models.build.networks import settings_to_dict
from models.build.videoar import VideoARSettings, make_tokenizer, weights_of
from models.codec.multiscale_quantizer import MultiscaleQuantizer, QuantizerConfig
from models.codec.patch_autoencoder import AutoencoderConfig
from models.videoar.config import GuidanceConfig, NetworkConfig, PlayConfig
from models.videoar.dynamics import VideoARDynamics
from models.videoar.network import VideoARNetwork
from worldsim.data.store import EpisodeStore
from worldsim.types import Episode, EpisodeMeta
from worldsim.world.checkpoint import save_world

SIZE, SCALES = 32, ((1, 1), (2, 2), (4, 4))
GUIDED = GuidanceConfig(first=1.5, last=3.0, finest=4.0, length=5)


def small_quantizer(kind: str = "bits") -> MultiscaleQuantizer:
    """A quantiser of three scales."""
    torch.manual_seed(0)
    cfg = QuantizerConfig(kind=kind, channels=8, scales=SCALES, codebook=16)
    return MultiscaleQuantizer(cfg).requires_grad_(False)


def small_network(quantizer: QuantizerConfig, **changes) -> VideoARNetwork:
    """A network with random weights everywhere: what starts at zero would hide a mistake."""
    shape = {"conditions": 4, "width": 32, "layers": 2, "head_size": 16, "window": 3}
    network = VideoARNetwork(NetworkConfig(**shape | changes), quantizer)
    generator = torch.Generator().manual_seed(0)
    for name, weight in network.named_parameters():
        if "log_scale" not in name:
            start = weight.detach().clone() if name.endswith("numbers") else 0.0
            noise = torch.empty_like(weight).normal_(0, 0.2, generator=generator)
            weight.data = start + noise
    return network.requires_grad_(False)


def small_dynamics(kind: str = "bits", guided: bool = False, **changes) -> VideoARDynamics:
    """A dynamics of these."""
    quantizer = small_quantizer(kind)
    guidance = GUIDED if guided else GuidanceConfig()
    play = PlayConfig(temperature=1.0, guidance=guidance)
    return VideoARDynamics(small_network(quantizer.cfg, **changes), quantizer, play).eval()


def small_settings(kind: str = "codebook") -> VideoARSettings:
    """Every part of a world as small as it may be."""
    return VideoARSettings(
        codec=AutoencoderConfig(frame_size=SIZE, patch=8, channels=8, width=16, blocks=1),
        quantizer=QuantizerConfig(kind=kind, channels=8, scales=SCALES, codebook=16),
        network=NetworkConfig(conditions=4, width=32, layers=2, head_size=16, window=3),
        play=PlayConfig(),
    )


def write_videoar_world(folder: Path) -> None:
    """The folder of a world of these networks, with three starts."""
    rng = np.random.default_rng(0)
    meta = EpisodeMeta(source="noise", action_set="dmlab", fps=7.5)
    frames = rng.integers(0, 256, (12, SIZE, SIZE, 3)).astype(np.uint8)
    for part in np.split(frames, 3):
        episode = Episode(
            frames=part,
            actions=rng.integers(0, 3, 3),
            rewards=np.zeros(3, np.float32),
            meta=meta,
        )
        EpisodeStore(folder / "spawns").append(episode)
    torch.manual_seed(0)
    settings = small_settings()
    tokenizer = make_tokenizer(settings.codec, settings.quantizer)
    tokenizer.autoencoder.fit_encoder(torch.from_numpy(frames))
    network = small_network(settings.quantizer)
    card = {"name": "tiny-videoar", "title": "A tiny dream of scales", "fps": 7.5}
    card |= {"frame_size": SIZE, "action_set": "dmlab", "engine": "Maze-v0", "licence": "MIT"}
    card |= {"builder": "videoar", "steps": 3, "settings": settings_to_dict(settings)}
    save_world(folder, card | {"training": {}, "figures": {}}, weights_of(tokenizer, network))
