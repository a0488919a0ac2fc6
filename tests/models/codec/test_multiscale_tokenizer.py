"""The tokenizer as a Codec: latents that carry their labels, frames alone or in clips."""

import pytest
import torch

from models.codec.causal_autoencoder import CausalAutoencoder, CausalAutoencoderConfig
from models.codec.label_channels import unpack_labels
from models.codec.multiscale_quantizer import MultiscaleQuantizer, QuantizerConfig
from models.codec.multiscale_tokenizer import MultiscaleTokenizer
from models.codec.patch_autoencoder import AutoencoderConfig, PatchAutoencoder


def quantizer_of(kind: str) -> MultiscaleQuantizer:
    cfg = QuantizerConfig(kind=kind, channels=8, scales=((1, 1), (2, 2), (4, 4)), codebook=16)
    return MultiscaleQuantizer(cfg)


def patches() -> PatchAutoencoder:
    made = PatchAutoencoder(
        AutoencoderConfig(frame_size=32, patch=8, channels=8, width=16, blocks=1)
    )
    made.fit_encoder(frames(32))
    return made


def convolutions(kernel: int = 1, stride: int = 1) -> CausalAutoencoder:
    return CausalAutoencoder(
        CausalAutoencoderConfig(
            frame_size=16,
            channels=8,
            base=4,
            multipliers=(1, 2, 2),
            blocks=1,
            time_kernel=kernel,
            time_stride=stride,
        )
    )


def frames(count: int, size: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, size, size, 3), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("kind", ["bits", "codebook"])
@pytest.mark.parametrize("make", [patches, convolutions])
def test_latents_carry_their_labels(kind, make):
    torch.manual_seed(0)
    tokenizer = MultiscaleTokenizer(make(), quantizer_of(kind)).requires_grad_(False)
    given = frames(6, tokenizer.frame_size).unflatten(0, (2, 3))
    latents = tokenizer.encode(given)
    assert latents.shape == (2, 3, *tokenizer.latent_shape)
    flat = latents.flatten(0, 1)
    labels = unpack_labels(flat[:, 8:], tokenizer.cfg)
    total = tokenizer.quantizer.decode_labels(labels)
    torch.testing.assert_close(total, flat[:, :8], rtol=0, atol=1e-6)
    made = tokenizer.decode(flat)
    assert (made.shape, made.dtype) == ((6, *given.shape[2:]), torch.uint8)


def test_a_fitted_tokenizer_shows_what_it_was_given():
    """Its codes are of these very frames, so nearly nothing is lost but what the patches lose."""
    autoencoder, quantizer = patches(), quantizer_of("codebook")
    tokenizer = MultiscaleTokenizer(autoencoder, quantizer).requires_grad_(False)
    given = frames(8)
    quantizer.fit_codebooks(autoencoder.encode(given), torch.Generator().manual_seed(0))
    best = autoencoder.decode(autoencoder.encode(given)).float() - given
    error = tokenizer.decode(tokenizer.encode(given)).float() - given
    flat = given.float() - given.float().mean()
    assert best.square().mean() <= error.square().mean() < flat.square().mean()


def test_clips_go_through_in_chunks():
    torch.manual_seed(0)
    tokenizer = MultiscaleTokenizer(convolutions(3, 4), quantizer_of("bits"))
    given = frames(9, 16).unsqueeze(0)
    _, whole = tokenizer.encode_clip(tokenizer.initial(), given)
    past, first = tokenizer.encode_clip(tokenizer.initial(), given[:, :5])
    _, rest = tokenizer.encode_clip(past, given[:, 5:])
    assert whole.shape == (1, 3, *tokenizer.latent_shape)
    torch.testing.assert_close(torch.cat((first, rest), dim=1), whole)
    _, made = tokenizer.decode_clip(tokenizer.initial(), whole)
    assert made.shape == given.shape


def test_frames_in_a_batch_are_quantised_as_alone():
    """Each latent frame goes through the quantiser alone: no frame changes another's labels."""
    tokenizer = MultiscaleTokenizer(convolutions(), quantizer_of("bits")).requires_grad_(False)
    features = torch.randn(4, 8, 4, 4)
    together = tokenizer.quantise(features)
    for row in range(4):
        assert torch.equal(together[row], tokenizer.quantise(features[row : row + 1])[0])
