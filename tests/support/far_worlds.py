"""The smallest world of a sliding-layout dynamics, never trained: weights that hide no mistake."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from models.build.networks import far_settings, far_weights
from models.codec.patch_autoencoder import AutoencoderConfig, PatchAutoencoder
from models.far.network import FARNetwork
from tests.support.far_networks import far_config
from worldsim.data.store import EpisodeStore
from worldsim.types import Episode, EpisodeMeta
from worldsim.world.checkpoint import save_world

SIZE = 16  # pixels of a frame


def write_far_world(
    folder: Path,
    channels: int = 8,
    starts: Sequence[int] = (4, 4, 4),
    **settings,
) -> None:
    """Write the folder of such a world.

    Args:
        folder: a new one; its name is the world's.
        channels: of a latent.
        starts: how many frames each start has.
        settings: of the dynamics, besides its sizes.
    """
    write_noise_starts(folder / "spawns", starts)
    sizes = AutoencoderConfig(frame_size=SIZE, patch=4, channels=channels, width=16, blocks=1)
    shape = far_config(
        actions=4,
        latent_channels=channels,
        latent_size=4,
        coarse_patch=(4, 4),
        width=64,
        head_size=32,
        layers=2,
        context_noise=0.3,
        **settings,
    )
    codec, network = PatchAutoencoder(sizes), FARNetwork(shape)
    generator = torch.Generator().manual_seed(0)
    for weight in (codec.basis, *codec.parameters(), *network.parameters()):
        torch.nn.init.normal_(weight, std=0.1, generator=generator)
    card = {"name": folder.name, "title": "A tiny dream", "fps": 7.5, "frame_size": SIZE}
    card |= {"action_set": "dmlab", "engine": "Maze-v0", "licence": "MIT", "builder": "far"}
    card |= {"steps": 1, "settings": far_settings(sizes, shape)}
    card |= {"training": {}, "figures": {}}
    save_world(folder, card, far_weights(codec, network))


def write_noise_starts(folder: Path, lengths: Sequence[int], size: int = SIZE) -> None:
    """Episodes of noise, of so many frames each, `size` pixels a side."""
    rng, meta = np.random.default_rng(0), EpisodeMeta(source="noise", action_set="dmlab", fps=7.5)
    for length in lengths:
        episode = Episode(
            frames=rng.integers(0, 256, (length, size, size, 3)).astype(np.uint8),
            actions=rng.integers(0, 3, length - 1),
            rewards=np.zeros(length - 1, np.float32),
            meta=meta,
        )
        EpisodeStore(folder).append(episode)
