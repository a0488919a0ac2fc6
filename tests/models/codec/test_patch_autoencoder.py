"""The patch autoencoder: what is encoded comes back, and the decoder learns."""

import math

import numpy as np
import pytest
import torch

from models.codec.patch_autoencoder import AutoencoderConfig, PatchAutoencoder, decoder_loss


@pytest.fixture(scope="module")
def frames():
    """Pictures with structure: coloured ramps and boxes."""
    rng = np.random.default_rng(0)
    pictures = np.zeros((64, 64, 64, 3), np.uint8)
    ramp = np.linspace(0, 120, 64, dtype=np.uint8)
    for picture in pictures:
        picture[:] = ramp[:, None, None] + rng.integers(0, 60, 3, dtype=np.uint8)
        for _ in range(4):
            y, x, h, w = rng.integers(0, 48, 2).tolist() + rng.integers(8, 16, 2).tolist()
            picture[y : y + h, x : x + w] = rng.integers(0, 255, 3)
    return torch.from_numpy(pictures)


@pytest.fixture(scope="module")
def codec(frames):
    model = PatchAutoencoder(AutoencoderConfig(channels=48, width=16, blocks=1))
    model.fit_encoder(frames)
    return model


def test_encoder_keeps_the_picture(codec, frames):
    error = (codec.decode(codec.encode(frames)).float() - frames.float()).square().mean() / 255**2
    assert -10 * math.log10(error) > 25


def test_mirrored_latents_are_those_of_the_mirrored_frames(codec, frames):
    expected = codec.encode(frames.flip(2))
    assert (codec.mirror(codec.encode(frames)) - expected).abs().max() < 1e-3


def test_decoder_learns(frames):
    """The convolutional part starts at nothing and must come to help."""
    model = PatchAutoencoder(AutoencoderConfig(channels=8, width=32, blocks=1))
    model.fit_encoder(frames)
    frames = frames[:16]

    def loss(noise: float) -> torch.Tensor:
        return decoder_loss(model, frames, torch.Generator().manual_seed(0), noise)

    before = loss(0.0).item()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(40):
        optimiser.zero_grad()
        loss(0.1).backward()
        optimiser.step()
    assert loss(0.0).item() < 0.95 * before
